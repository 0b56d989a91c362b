package daemon

import (
	"io"
	"net/http"
	"time"
)

// stallTime is how long a client may neither send nor take a byte while the daemon waits for it. Content may take as long as it moves, but a
// client that stands still would hold its buffers for ever.
const stallTime = 5 * time.Minute

// unstalled breaks the connections of clients that stand still for longer than limit.
func unstalled(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &movingWriter{ResponseWriter: w, c: http.NewResponseController(w), limit: limit}
		// At both ends too: "100 Continue" goes out with the first read, and the last bytes after the handler's end.
		out.renew(time.Now())
		defer func() { out.renew(time.Now()) }()
		if r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // a copy: a server that finds another body than it gave waits for content before it refuses it
			r.Body = &movingBody{ReadCloser: r.Body, c: out.c, limit: limit}
		}
		next.ServeHTTP(out, r)
	})
}

// movingWriter moves the deadline for writing with each write, a few times per limit.
type movingWriter struct {
	http.ResponseWriter
	c     *http.ResponseController
	limit time.Duration
	set   time.Time
}

func (w *movingWriter) renew(now time.Time) {
	w.set = now
	_ = w.c.SetWriteDeadline(now.Add(w.limit)) // a connection without deadlines has no clients that stall
}

func (w *movingWriter) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(w.set) > w.limit/4 {
		w.renew(now)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *movingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// movingBody does the same for reading.
type movingBody struct {
	io.ReadCloser
	c     *http.ResponseController
	limit time.Duration
	set   time.Time
}

func (b *movingBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > b.limit/4 {
		b.set = now
		_ = b.c.SetReadDeadline(now.Add(b.limit))
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		// From here on the server itself reads, to learn when the client goes away: that has no limit.
		_ = b.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
