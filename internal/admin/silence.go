package admin

import (
	"context"
	"io"
	"sync"
	"time"
)

// silence ends a call when its other side owes something and does nothing for as long as limit: it takes no connection, no byte of the
// request, sends no byte of the answer. Time in which the caller owes something, the next byte of content or the taking of one, does not
// count, so content of any length goes at any speed.
type silence struct {
	limit time.Duration
	alive func() bool // not nil: asked before the call is given up, which goes on when it is true
	end   context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	owed     bool // by the other side
	answered bool // the answer has begun, so the request's body matters no more
}

// listen begins to count. A limit of 0 is none.
func listen(limit time.Duration, end context.CancelCauseFunc, alive func() bool) *silence {
	s := &silence{limit: limit, alive: alive, end: end, owed: true}
	if limit > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = time.AfterFunc(limit, s.tooLong)
	}
	return s
}

func (s *silence) tooLong() {
	lives := s.alive != nil && s.alive()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.owed: // it came meanwhile
	case lives:
		s.timer.Reset(s.limit)
	default:
		s.end(errSilent)
	}
}

// owes says whose turn it is: the other side's from now on, or no longer.
func (s *silence) owes(owed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(owed)
}

func (s *silence) set(owed bool) {
	s.owed = owed
	switch {
	case s.timer == nil:
	case owed:
		s.timer.Reset(s.limit)
	default:
		s.timer.Stop()
	}
}

// answer says that the answer has begun.
func (s *silence) answer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
	s.set(false)
}

// content is what a request sends. Its own failure is kept apart from those of the connection.
type content struct {
	io.Reader
	s      *silence
	failed error
	whole  bool // all of it was read
}

func (c *content) Read(p []byte) (int, error) {
	c.turn(false)
	n, err := c.Reader.Read(p)
	c.s.mu.Lock()
	if err == io.EOF {
		c.whole = true
	} else if err != nil {
		c.failed = err
	}
	c.s.mu.Unlock()
	c.turn(true)
	return n, err
}

func (c *content) turn(owed bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.s.answered {
		c.s.set(owed)
	}
}

// err is why the content could not be read, if that is so.
func (c *content) err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.failed
}

// asked says whether the request may have been sent as a whole.
func (c *content) asked() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.Reader == nil || c.whole
}

// answerBody is an answer on its way.
type answerBody struct {
	io.ReadCloser
	s       *silence
	explain func(error) error
	done    func()
}

func (b *answerBody) Read(p []byte) (int, error) {
	b.s.owes(true)
	n, err := b.ReadCloser.Read(p)
	b.s.owes(false)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

func (b *answerBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
