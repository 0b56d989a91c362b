package memnet

import (
	"errors"
	"io"

	"github.com/edgefs/edgefs/isgw/transport"
)

var errAborted = errors.New("stream aborted")

// pipe is one direction of a stream. The wire's lock guards it.
type pipe struct {
	from    *conn // who writes
	buf     []byte
	ended   bool
	aborted bool
}

func (c *conn) pipe(from *conn) *pipe { return &pipe{from: from} }

type stream struct {
	conn    *conn
	in, out *pipe
}

var _ transport.Stream = (*stream)(nil)

func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case s.conn.ctx.Err() != nil:
			return 0, s.conn.err()
		case s.in.aborted:
			return 0, errAborted
		case w.cut:
		case len(s.in.buf) > 0:
			n := copy(p, s.in.buf)
			s.in.buf = s.in.buf[n:]
			s.conn.received.Add(uint64(n))
			w.change.Broadcast()
			return n, nil
		case s.in.ended:
			return 0, io.EOF
		}
		w.change.Wait()
	}
}

func (s *stream) Write(p []byte) (n int, err error) {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case s.conn.ctx.Err() != nil:
			return n, s.conn.err()
		case s.out.aborted, s.out.ended:
			return n, errAborted
		case len(p) == 0:
			return n, nil
		case len(s.out.buf) < Window:
			m := min(len(p), Window-len(s.out.buf))
			s.out.buf = append(s.out.buf, p[:m]...)
			s.conn.count(m)
			n, p = n+m, p[m:]
			w.change.Broadcast()
			continue
		}
		w.change.Wait()
	}
}

func (c *conn) count(bytes int) {
	n := c.node.net
	n.mu.Lock()
	n.link(c.pair).bytes[c.node.id.Segment] += uint64(bytes)
	n.mu.Unlock()
}

func (s *stream) CloseWrite() {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	s.out.ended = true
	w.change.Broadcast()
}

// Abort leaves to the peer what was completely written: its reads go on to the end.
func (s *stream) Abort() {
	w := s.conn.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	s.in.aborted, s.in.buf = true, nil
	if !s.out.ended {
		s.out.aborted, s.out.buf = true, nil
	}
	w.change.Broadcast()
}
