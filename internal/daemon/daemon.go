package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/admin/server"
	"github.com/edgefs/edgefs/internal/buildinfo"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/datadir"
	"github.com/edgefs/edgefs/internal/tlsfile"
)

// Options say what to run.
type Options struct {
	Dir     string
	Config  config.Config // valid
	Logger  *slog.Logger
	Started func(admin.Endpoints) // called once, when all is served; may be nil
	// Restored says that Dir was brought back from a backup: the segment begins a new life.
	Restored bool
}

// Run serves a segment until the context ends, or the segment cannot go on, and then ends it in order. It returns nil when the context was
// the reason and nothing was left undone.
func Run(ctx context.Context, o Options) error {
	d, err := Start(ctx, o)
	if err != nil {
		return err
	}
	if o.Started != nil {
		o.Started(d.Endpoints())
	}
	var cause error
	select {
	case <-ctx.Done():
		d.log.Info("ending", "grace", o.Config.ShutdownGrace)
	case <-d.broken:
		cause = d.brokenBy
	}
	return errors.Join(cause, d.Stop(context.WithoutCancel(ctx)))
}

// Daemon is a segment that is being served.
type Daemon struct {
	restored bool // the data was brought back from a backup
	cfg      config.Config
	log      *slog.Logger
	dir      *datadir.Dir
	name     string
	s3Key    datadir.S3Key
	started  time.Time
	metrics  *metrics

	ports   listeners
	servers []*httpServer
	s3      front
	admin   front

	exchange sync.Mutex // held while site is exchanged
	site     atomic.Pointer[site]

	stopping chan struct{} // closed when the daemon begins to end
	breakOff sync.Once
	broken   chan struct{} // closed when it cannot go on
	brokenBy error
}

// Start opens the segment in o.Dir, or makes a new one there, and serves it.
func Start(ctx context.Context, o Options) (*Daemon, error) {
	dir, err := datadir.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		cfg: o.Config, log: o.Logger, restored: o.Restored, dir: dir, started: time.Now(), metrics: newMetrics(),
		s3: front{kind: "application/xml", wait: waitS3}, admin: front{kind: "application/json", wait: waitAdmin},
		stopping: make(chan struct{}), broken: make(chan struct{}),
	}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *Daemon) start(ctx context.Context) (err error) {
	if d.s3Key, err = d.dir.S3Key(); err != nil {
		return err
	}
	id, err := d.openIdentity()
	if err != nil {
		return err
	}
	d.name = id.Name
	d.log = d.log.With("segment", d.name)
	if err := d.listen(ctx); err != nil {
		return err
	}
	if err := d.serve(); err != nil {
		return err
	}
	s, err := d.openSite(ctx, id)
	if err != nil {
		return err
	}
	d.enter(ctx, s)
	d.metrics.registry.MustRegister(newSiteCollector(d))
	e := d.Endpoints()
	d.log.Info("serving", "s3", e.S3, "link", e.Link, "admin", e.Admin, "metrics", e.Metrics, "build", buildinfo.Read().String())
	return nil
}

// listeners are the ports in use; nil where nothing listens.
type listeners struct{ s3, admin, metrics net.Listener }

func (d *Daemon) listen(ctx context.Context) (err error) {
	for _, p := range []struct {
		port
		l *net.Listener
	}{
		{port{"S3", "--s3", d.cfg.S3.Listen}, &d.ports.s3},
		{port{"the admin API", "--admin", d.cfg.Admin.Listen}, &d.ports.admin},
		{port{"metrics", "--metrics", d.cfg.Metrics.Listen}, &d.ports.metrics},
	} {
		if *p.l, err = p.listen(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve begins to answer. Until a site has been entered S3 and the admin API say 503, and readiness is false.
func (d *Daemon) serve() error {
	socket, err := admin.ListenSocket(d.dir.Path())
	if err != nil {
		return fmt.Errorf("socket of the admin API: %w", err)
	}
	d.run("admin socket", socket, nil, unstalled(stallTime, &d.admin))
	if d.ports.metrics != nil {
		d.run("metrics", d.ports.metrics, nil, unstalled(stallTime, d.monitoring()))
	}
	if err := d.serveAdmin(); err != nil {
		return err
	}
	return d.serveS3()
}

func (d *Daemon) serveS3() error {
	if d.ports.s3 == nil {
		return nil
	}
	l := limited(d.ports.s3, d.cfg.S3.MaxConnections)
	if d.cfg.S3.CertFile == "" {
		d.run("s3", l, nil, &d.s3)
		return nil
	}
	certificate, err := tlsfile.Open(d.cfg.S3.CertFile, d.cfg.S3.KeyFile, time.Now, d.log)
	if err != nil {
		return err
	}
	d.run("s3", l, certificate.Config(), &d.s3)
	return nil
}

func (d *Daemon) serveAdmin() error {
	if d.ports.admin == nil {
		return nil
	}
	conf, shown, err := d.adminTLS()
	if err != nil {
		return err
	}
	key, err := d.dir.AdminKey(shown)
	if err != nil {
		return err
	}
	d.run("admin", d.ports.admin, conf, unstalled(stallTime, server.Guard(key.Token, &d.admin)))
	return nil
}

// monitoring is what machines ask.
func (d *Daemon) monitoring() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := d.Health()
		if !h.Ready {
			http.Error(w, h.Why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// fail ends Run: the daemon cannot go on.
func (d *Daemon) fail(err error) {
	d.breakOff.Do(func() {
		d.brokenBy = err
		close(d.broken)
	})
}

// Stop ends what was started: no new requests, the grace for those in flight, links, segment, store, in this order. It is called once.
func (d *Daemon) Stop(ctx context.Context) error {
	close(d.stopping)
	grace, done := context.WithTimeout(ctx, d.cfg.ShutdownGrace.Std())
	defer done()
	err := stopAll(grace, d.servers)
	for _, l := range []net.Listener{d.ports.s3, d.ports.admin, d.ports.metrics} {
		if l != nil {
			l.Close() // those of servers are closed already
		}
	}
	d.exchange.Lock()
	defer d.exchange.Unlock()
	if s := d.site.Load(); s != nil {
		err = errors.Join(err, s.close(ctx))
	}
	return errors.Join(err, d.dir.Close())
}

// Health is whether the segment serves.
func (d *Daemon) Health() admin.Health {
	h := admin.Health{Live: true}
	select {
	case <-d.stopping:
		h.Why = "the segment is ending"
		return h
	case <-d.broken:
		h.Why = "the segment cannot go on"
		return h
	default:
	}
	s := d.site.Load()
	if s == nil {
		h.Why = "the segment is starting"
		return h
	}
	if err := s.store.devices.Err(); err != nil {
		h.Why = "no device takes writes: " + err.Error()
		return h
	}
	h.Ready = true
	return h
}

// Endpoints are the addresses in use.
func (d *Daemon) Endpoints() admin.Endpoints {
	var e admin.Endpoints
	if d.ports.s3 != nil {
		e.S3 = d.s3Scheme() + "://" + reachable(d.ports.s3.Addr().String())
	}
	if d.ports.admin != nil {
		e.Admin = "https://" + reachable(d.ports.admin.Addr().String())
	}
	if d.ports.metrics != nil {
		e.Metrics = "http://" + reachable(d.ports.metrics.Addr().String()) + "/metrics"
	}
	if s := d.site.Load(); s != nil {
		e.Link = strings.Join(s.links.Addresses(), " ")
	}
	return e
}

func (d *Daemon) s3Scheme() string {
	if d.cfg.S3.CertFile != "" {
		return "https"
	}
	return "http"
}

// newName is what a new segment is called.
func (d *Daemon) newName() (string, error) {
	if d.cfg.Name != "" {
		return d.cfg.Name, nil
	}
	c := d.cfg
	c.Name = strings.ToLower(filepath.Base(d.dir.Path()))
	if err := c.Validate(); err != nil {
		return "", fmt.Errorf("the directory's name makes no name for a segment: give it one with --name: %w", err)
	}
	return c.Name, nil
}
