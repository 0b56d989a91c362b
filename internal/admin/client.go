package admin

import (
	"bytes"
	"cmp"
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
	"sync"
	"time"
)

// Client talks to one segment. It is safe for concurrent use.
type Client struct {
	base  string // scheme and host
	token string
	where string // for messages
	limit time.Duration
	http  *http.Client
	asOf  func(AsOf)

	mu     sync.Mutex
	states map[string]AsOf // that were read, by the names that were asked for
}

// Options say how a remote segment is reached; the socket needs none of them.
type Options struct {
	Credential string // file with the administrator's credential
	CA         string // PEM file with the issuers of the server's certificate; empty: the certificate that the credential names, or the system's

	// Silence is how long the segment may do nothing when it is its turn, before a call ends as [Unreachable]; 0: for ever. Content may take
	// as long as it moves, and so may a call that counts or reads much, as long as the segment answers that it is alive.
	Silence time.Duration

	// AsOf, unless nil, is told once of each state that is read as of a time, before what is read of it.
	AsOf func(AsOf)
}

// DefaultSilence is what the command line allows.
const DefaultSilence = 30 * time.Second

// Dial makes the client of an endpoint: a data directory, the socket in it, or https://HOST:PORT. It does not connect yet.
func Dial(endpoint string, o Options) (*Client, error) {
	if strings.HasPrefix(endpoint, "http://") {
		return nil, fmt.Errorf("endpoint %s: the admin API is not served in clear; use https://HOST:PORT", endpoint)
	}
	if strings.HasPrefix(endpoint, "https://") {
		return dialRemote(endpoint, o)
	}
	return dialLocal(strings.TrimPrefix(endpoint, "unix:"), o), nil
}

// connectTime is how long a connection may take to be made.
const connectTime = 10 * time.Second

// continueTime is how long content waits for the server's word that it wants it: a refusal should come before much is sent.
const continueTime = 10 * time.Second

func dialLocal(path string, o Options) *Client {
	dir := path
	if filepath.Base(path) == SocketName {
		dir = filepath.Dir(path)
	}
	return &Client{
		base:  "http://segment",
		where: dir,
		limit: o.Silence,
		asOf:  o.AsOf,
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
		limit: o.Silence,
		asOf:  o.AsOf,
		http: &http.Client{Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: connectTime}).DialContext,
			TLSClientConfig: tls, TLSHandshakeTimeout: connectTime,
			Proxy: http.ProxyFromEnvironment, ExpectContinueTimeout: continueTime,
		}},
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one call: query values that are empty are left out.
type request struct {
	method  string
	path    string // below Version1, its variable parts escaped
	query   map[string]string
	header  map[string]string
	body    io.Reader
	size    int64 // of body; 0: not known
	patient bool  // the work may be long before there is a word: as long as the segment lives, wait
}

// do sends r. The answer is a success, and the caller closes its body.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	call, end := context.WithCancelCause(ctx)
	var alive func() bool
	if r.patient {
		alive = func() bool { return c.lives(call) }
	}
	s := listen(c.limit, end, alive)
	done := func() { s.owes(false); end(nil) }
	explain := func(err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case context.Cause(call) == errSilent:
			return c.silent(r.method, c.limit)
		}
		return c.unreachable(r.method, err)
	}
	req, sent, err := c.newRequest(call, r, s)
	if err != nil {
		done()
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if err = cmp.Or(sent.err(), explain(err)); err == ctx.Err() && r.method != http.MethodGet && sent.asked() {
			err = &Undecided{err}
		}
		done()
		return nil, err
	}
	s.answer()
	res.Body = &answerBody{res.Body, s, explain, done}
	if err := c.told(res); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// newRequest makes the request, whose body waits with s.
func (c *Client) newRequest(ctx context.Context, r request, s *silence) (*http.Request, *content, error) {
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
	sent := &content{Reader: r.body, s: s}
	var body io.Reader
	if r.body != nil {
		body = sent
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, nil, err
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
	return req, sent, nil
}

// livesTime is how long the word that a segment is alive may take.
const livesTime = 5 * time.Second

// lives asks whether the segment answers at all, over a connection of its own.
func (c *Client) lives(ctx context.Context) bool {
	ctx, done := context.WithTimeout(ctx, min(livesTime, c.limit))
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+Version1+"/health", nil)
	if err != nil {
		return false
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
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

// send is do with in, when it is not nil, as the body.
func (c *Client) send(ctx context.Context, r request, in any) (*http.Response, error) {
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		r.body, r.size = bytes.NewReader(text), int64(len(text))
		r.header = map[string]string{"Content-Type": "application/json"}
	}
	return c.do(ctx, r)
}

// call sends in, when it is not nil, as the body of r and reads the answer into out, when that is not nil.
func (c *Client) call(ctx context.Context, r request, in, out any) error {
	res, err := c.send(ctx, r, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return c.decode(res.Body, r, out)
}

// decode reads the document of an answer.
func (c *Client) decode(body io.Reader, r request, out any) error {
	err := json.NewDecoder(body).Decode(out)
	if err != nil && !errors.As(err, new(*Unreachable)) {
		err = fmt.Errorf("%s: answer of %s: %w", c.where, r.path, err)
	}
	return err
}
