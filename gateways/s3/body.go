package s3

import (
	"io"
	"net/http"
	"time"
)

// clientBody is a request's body. It counts what is read, and gives up a client that stalls.
type clientBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	stall time.Duration
	set   time.Time // when the deadline was set last
	n     int64
}

// wait gives the client from now on so long to send something, give or take a quarter. A body that nobody reads is read by the server, within
// the same time.
func (b *clientBody) wait(now time.Time) {
	if now.Sub(b.set) > b.stall/4 {
		b.set = now
		_ = b.conn.SetReadDeadline(now.Add(b.stall)) // a server that cannot has none
	}
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.wait(time.Now())
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err == io.EOF { // from here on the server watches the connection, and must not take our deadline for its end
		b.set = time.Time{}
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
