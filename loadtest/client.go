package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Payload is how a PUT proves its body.
type Payload string

const (
	// Unsigned sends UNSIGNED-PAYLOAD: the cheapest.
	Unsigned Payload = "unsigned"
	// Signed sends the body's SHA-256, which costs a pass over it before sending.
	Signed Payload = "signed"
	// Trailer sends aws-chunked with a CRC64NVME trailer, as current SDKs do.
	Trailer Payload = "trailer"
)

// ClientConfig says how to reach a bucket.
type ClientConfig struct {
	Endpoint    string // http://host:port or https://host:port; requests are in path style
	Bucket      string
	Credentials Credentials
	Payload     Payload       // "" is Unsigned
	CAFile      string        // PEM; "" trusts what the machine trusts
	Insecure    bool          // accept any certificate
	AllowRemote bool          // accept endpoints that are not loopback addresses
	Timeout     time.Duration // of one request, from dial to the last byte; 0 is a minute
}

// Client is what the sessions of one run share. It follows no redirects and uses no proxy. Safe for concurrent use.
type Client struct {
	cfg     ClientConfig
	host    string // of the Host header
	address string // to dial
	tls     *tls.Config
	dialer  net.Dialer
}

// NewClient checks the configuration; it sends nothing. An endpoint elsewhere that was not allowed is ErrRemote.
func NewClient(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Credentials.Region == "" {
		cfg.Credentials.Region = "us-east-1"
	}
	switch cfg.Payload {
	case "":
		cfg.Payload = Unsigned
	case Unsigned, Signed, Trailer:
	default:
		return nil, fmt.Errorf("payload %q: want unsigned, signed or trailer", cfg.Payload)
	}
	if cfg.Bucket == "" || strings.ContainsAny(cfg.Bucket, "/?#% ") {
		return nil, fmt.Errorf("bucket %q is no name of a bucket", cfg.Bucket)
	}
	c := &Client{cfg: cfg, dialer: net.Dialer{Timeout: 10 * time.Second}}
	if err := c.setEndpoint(ctx); err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", cfg.Endpoint, err)
	}
	return c, nil
}

func (c *Client) setEndpoint(ctx context.Context) error {
	u, err := url.Parse(c.cfg.Endpoint)
	if err != nil {
		return err
	}
	if u.Host == "" || (u.Path != "" && u.Path != "/") || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("want http://host:port or https://host:port")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	c.host, c.address = u.Host, net.JoinHostPort(u.Hostname(), port)
	if !c.cfg.AllowRemote {
		if err := c.refuseRemote(ctx, u.Hostname()); err != nil {
			return err
		}
	}
	if u.Scheme == "http" {
		return nil
	}
	c.tls, err = tlsConfig(u.Hostname(), c.cfg)
	return err
}

// refuseRemote looks at every address of the host now, and at the address of every connection later, for names can change.
func (c *Client) refuseRemote(ctx context.Context, host string) error {
	c.dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !to.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%s: %w", address, ErrRemote)
		}
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if !addr.Unmap().IsLoopback() {
			return fmt.Errorf("%s: %w", addr.Unmap(), ErrRemote)
		}
	}
	return nil
}

func tlsConfig(host string, cfg ClientConfig) (*tls.Config, error) {
	t := &tls.Config{ServerName: host, InsecureSkipVerify: cfg.Insecure, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if cfg.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", cfg.CAFile)
	}
	return t, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, "tcp", c.address)
	if err != nil || c.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, c.tls)
	secured.SetDeadline(time.Now().Add(c.dialer.Timeout))
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// EnsureBucket creates the bucket unless it is there.
func (c *Client) EnsureBucket(ctx context.Context) error {
	s := c.Session()
	defer s.Close()
	_, err := s.exchange(ctx, request{method: http.MethodHead})
	if err == nil {
		return nil
	}
	var answer *ResponseError
	if !errors.As(err, &answer) || answer.Status != http.StatusNotFound {
		return fmt.Errorf("bucket %s: %w", c.cfg.Bucket, err)
	}
	_, err = s.exchange(ctx, request{method: http.MethodPut})
	if errors.As(err, &answer) && answer.Status == http.StatusConflict {
		return nil // somebody else was faster
	}
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", c.cfg.Bucket, err)
	}
	return nil
}
