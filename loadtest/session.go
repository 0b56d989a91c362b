package loadtest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// pieceSize is how much of a body is made, sent, read and checked at a time: it stays in a core's second cache.
const pieceSize = 256 << 10

// Session is one worker's keep-alive connection and its buffers (at most about 600 KiB). It writes requests itself and leaves reading answers to
// net/http: http.Transport hands every request to two goroutines more, which is most of what a small request costs (BenchmarkClient).
// Not safe for concurrent use.
type Session struct {
	Once bool // never try a request again on a fresh connection; set before use

	client  *Client
	signer  *signer
	conn    net.Conn
	reader  *bufio.Reader
	used    bool // the connection has served a request
	dials   int
	second  int64 // of stamp
	stamp   string
	out     []byte
	path    []byte
	headers []header
	in      []byte
	scratch []byte // for making what a body or an answer should be
}

// Session makes a session; it connects when it is first used.
func (c *Client) Session() *Session {
	return &Session{client: c, signer: newSigner(c.cfg.Credentials)}
}

// Close closes the connection. The session may be used again and then connects anew.
func (s *Session) Close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// Put writes an object. It returns nil when the server acknowledged it.
func (s *Session) Put(ctx context.Context, o Object) error {
	_, err := s.exchange(ctx, request{method: http.MethodPut, key: o.Key, body: &o})
	return err
}

// Delete deletes a key; a key that is not there is not an error.
func (s *Session) Delete(ctx context.Context, key string) error {
	_, err := s.exchange(ctx, request{method: http.MethodDelete, key: key})
	return err
}

// Head returns the size of a key.
func (s *Session) Head(ctx context.Context, key string) (int64, error) {
	resp, err := s.exchange(ctx, request{method: http.MethodHead, key: key})
	if err != nil {
		return 0, err
	}
	return resp.ContentLength, nil
}

// Get reads a key and hands its bytes to consume in pieces of a multiple of CellSize, the last one excepted, with the size of
// the whole. A piece is valid until consume returns; an error of consume ends the read and is returned if it is a WrongError. Get returns the size.
func (s *Session) Get(ctx context.Context, key string, consume func(size, off int64, piece []byte) error) (int64, error) {
	resp, err := s.exchange(ctx, request{method: http.MethodGet, key: key, read: func(resp *http.Response) error {
		size := resp.ContentLength
		if size < 0 {
			return &WrongError{What: "length", Key: key, Detail: "answer without a length"}
		}
		for off := int64(0); off < size; {
			s.in = sized(s.in, int(min(pieceSize, size-off)))
			if _, err := io.ReadFull(resp.Body, s.in); err != nil {
				return err
			}
			if err := consume(size, off, s.in); err != nil {
				return err
			}
			off += int64(len(s.in))
		}
		return nil
	}})
	if err != nil {
		return 0, err
	}
	return resp.ContentLength, nil
}

// request is what one exchange sends, and how its answer is read.
type request struct {
	method string
	key    string // "" is the bucket
	query  string // escaped and sorted
	body   *Object
	read   func(*http.Response) error // of a successful answer's body; nil discards it
}

// exchange sends a request and reads its answer wholly. A connection that served before and died before an answer began is tried
// once more on a fresh one, as a server may close idle connections at any time; all requests are idempotent.
func (s *Session) exchange(ctx context.Context, r request) (*http.Response, error) {
	reused := s.conn != nil && s.used
	resp, err := s.try(ctx, r)
	if s.Once || !reused || !staleConn(err) || ctx.Err() != nil {
		return resp, err
	}
	resp, err = s.try(ctx, r)
	var again *ConnError
	if errors.As(err, &again) {
		again.Sent = true // by the first try
	}
	return resp, err
}

// staleConn says whether the connection ended before any byte of an answer came.
func staleConn(err error) bool {
	var conn *ConnError
	if !errors.As(err, &conn) || !conn.Sent {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (s *Session) try(ctx context.Context, r request) (*http.Response, error) {
	if err := s.connect(ctx); err != nil {
		return nil, &ConnError{Err: err}
	}
	s.conn.SetDeadline(time.Now().Add(s.client.cfg.Timeout))
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	resp, keep, err := s.roundTrip(r)
	if !stop() || !keep {
		s.Close()
	}
	s.used = true
	return resp, err
}

func (s *Session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.client.dial(ctx)
	if err != nil {
		return err
	}
	s.conn, s.used = conn, false
	s.dials++
	if s.reader == nil {
		s.reader = bufio.NewReaderSize(conn, 16<<10)
	}
	s.reader.Reset(conn)
	return nil
}

// roundTrip says whether the connection can serve the next request.
func (s *Session) roundTrip(r request) (resp *http.Response, keep bool, err error) {
	sendErr := s.send(r)
	if sendErr != nil {
		// A server may refuse a body without reading it, and say why before it hangs up.
		s.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	if _, err = s.reader.Peek(1); err == nil { // io.EOF here, unlike in the middle, says that no answer began
		resp, err = http.ReadResponse(s.reader, &http.Request{Method: r.method})
	}
	if err != nil {
		if sendErr != nil {
			err = sendErr
		}
		return nil, false, &ConnError{Sent: true, Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		err = answerError(resp)
	} else if err = s.consume(r, resp); err != nil {
		return resp, false, err
	}
	_, drainErr := io.CopyN(io.Discard, resp.Body, 64<<10)
	return resp, sendErr == nil && drainErr == io.EOF && !resp.Close, err
}

// consume reads a successful answer's body. What breaks in there is a connection error: the answer had begun, so it is not tried again.
func (s *Session) consume(r request, resp *http.Response) error {
	if r.read == nil {
		return nil
	}
	err := r.read(resp)
	var wrong *WrongError
	if err == nil || errors.As(err, &wrong) {
		return err
	}
	return &ConnError{Sent: true, Err: brokenBody{err}}
}

// brokenBody hides io.EOF and its like from staleConn.
type brokenBody struct{ cause error }

func (b brokenBody) Error() string { return "body broke off: " + b.cause.Error() }
func (b brokenBody) Timeout() bool {
	var t net.Error
	return errors.As(b.cause, &t) && t.Timeout()
}
func (b brokenBody) Temporary() bool { return false }

// sized returns buf with length n, grown if needed; its bytes are not kept.
func sized(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// now is x-amz-date, formatted once a second.
func (s *Session) now() string {
	now := time.Now()
	if second := now.Unix(); second != s.second {
		s.second, s.stamp = second, amzStamp(now)
	}
	return s.stamp
}

func appendHeader(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}
