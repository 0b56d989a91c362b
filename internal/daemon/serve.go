package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// httpServer is one HTTP server on one listener.
type httpServer struct {
	name string
	http *http.Server
	l    net.Listener
	done chan error
}

const (
	// headerTime bounds how long a client may take for a request's header; content may take as long as it moves.
	headerTime = 20 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeader is what a request with the most metadata needs, with room.
	maxHeader = 64 << 10
)

// run serves h, which gives up clients that stall, on l, with TLS when there is a configuration for it, until the daemon stops.
func (d *Daemon) run(name string, l net.Listener, conf *tls.Config, h http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s := &httpServer{name: name, l: l, done: make(chan error, 1), http: &http.Server{
		Handler: h, TLSConfig: conf, Protocols: protocols,
		ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(d.log.With("server", name).Handler(), slog.LevelDebug),
	}}
	go func() {
		if conf != nil {
			s.done <- s.http.ServeTLS(l, "", "")
			return
		}
		s.done <- s.http.Serve(l)
	}()
	d.servers = append(d.servers, s)
}

// stop takes no new requests, lets those in flight end until the context does, breaks what is left off, and waits.
func (s *httpServer) stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(ignore(err, context.DeadlineExceeded), s.http.Close())
	}
	return errors.Join(err, ignore(<-s.done, http.ErrServerClosed))
}

// stopAll stops servers side by side, so that they share the time.
func stopAll(ctx context.Context, servers []*httpServer) error {
	var wg sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		wg.Go(func() { errs[i] = s.stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// front is a handler that can be exchanged while the server runs. Without one it answers 503, in words that its clients understand.
type front struct {
	h    atomic.Pointer[http.Handler]
	kind string // media type of answer
	wait string // the answer
}

// What clients of S3 and of the admin API are told before a segment serves, and after.
const (
	waitS3 = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>ServiceUnavailable</Code><Message>The segment is starting or ending. Please try again.</Message></Error>`
	waitAdmin = `{"error":{"code":"unavailable","message":"the segment is starting or ending: try again in a moment"}}`
)

// set exchanges the handler; nil is none.
func (f *front) set(h http.Handler) {
	if h == nil {
		f.h.Store(nil)
		return
	}
	f.h.Store(&h)
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := f.h.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, f.wait)
}
