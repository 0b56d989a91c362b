package admin

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Client talks to one segment. It is safe for concurrent use.
type Client struct {
	base  string // scheme and host
	token string
	where string // for messages
	http  *http.Client
}

// Options say how a remote segment is reached; the socket needs none of them.
type Options struct {
	Credential string // file with the administrator's credential
	CA         string // PEM file with the issuers of the server's certificate; empty: the certificate that the credential names, or the system's
}

// Dial makes the client of an endpoint: a data directory, the socket in it, or https://HOST:PORT. It does not connect yet.
func Dial(endpoint string, o Options) (*Client, error) {
	if strings.HasPrefix(endpoint, "http://") {
		return nil, fmt.Errorf("endpoint %s: the admin API is not served in clear; use https://HOST:PORT", endpoint)
	}
	if strings.HasPrefix(endpoint, "https://") {
		return dialRemote(endpoint, o)
	}
	return dialLocal(strings.TrimPrefix(endpoint, "unix:")), nil
}

// continueTime is how long content waits for the server's word that it wants it: a refusal should come before much is sent.
const continueTime = 10 * time.Second

func dialLocal(path string) *Client {
	dir := path
	if filepath.Base(path) == SocketName {
		dir = filepath.Dir(path)
	}
	return &Client{
		base:  "http://segment",
		where: dir,
		http: &http.Client{Transport: &http.Transport{
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return DialSocket(ctx, dir) },
			ExpectContinueTimeout: continueTime,
		}},
	}
}

func dialRemote(endpoint string, o Options) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q: want https://HOST:PORT", endpoint)
	}
	if o.Credential == "" {
		return nil, fmt.Errorf("endpoint %s needs the administrator's credential: copy keys/admin.json of the segment and name the copy with --credential or EDGEFS_CREDENTIAL", endpoint)
	}
	credential, err := LoadCredential(o.Credential)
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if o.CA != "" {
		text, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("issuers: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("issuers: no certificate in %s", o.CA)
		}
	}
	tls, err := credential.tlsConfig(roots)
	if err != nil {
		return nil, err
	}
	return &Client{
		base:  "https://" + u.Host,
		token: credential.Token,
		where: endpoint,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig: tls, Proxy: http.ProxyFromEnvironment, ExpectContinueTimeout: continueTime,
		}},
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one call: query values that are empty are left out.
type request struct {
	method string
	path   string // below Version1, its variable parts escaped
	query  map[string]string
	header map[string]string
	body   io.Reader
	size   int64 // of body; 0: not known
}

// do sends r. The answer is a success, and the caller closes its body.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	values := url.Values{}
	for k, v := range r.query {
		if v != "" {
			values.Set(k, v)
		}
	}
	target := c.base + Version1 + r.path
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	if r.size > 0 {
		req.ContentLength = r.size
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// unreachable explains why there was no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if c.token == "" && (errors.Is(err, os.ErrNotExist) || errors.Is(err, errRefused)) {
		return fmt.Errorf("no segment runs in %s (start it with: edgefs serve %s)", c.where, c.where)
	}
	return fmt.Errorf("%s: %w", c.where, err)
}

// refusal reads an answer that is no success.
func refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var f failure
	if json.Unmarshal(text, &f) == nil && f.Error.Code != "" {
		return &f.Error
	}
	return &Error{Code: Internal, Message: fmt.Sprintf("the server answered %s", res.Status)}
}

// call sends in, when it is not nil, as the body of r and reads the answer into out, when that is not nil.
func (c *Client) call(ctx context.Context, r request, in, out any) error {
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		r.body = bytes.NewReader(text)
		r.header = map[string]string{"Content-Type": "application/json"}
	}
	res, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("%s: answer of %s: %w", c.where, r.path, err)
	}
	return nil
}
