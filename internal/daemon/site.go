package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/gateways/s3"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/admin/server"
	"github.com/edgefs/edgefs/internal/buildinfo"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/segment"
)

// anyRegion is what clients are told to sign for where any region will do: what suits every client.
const anyRegion = "us-east-1"

// rememberRoots is how often the state of a bucket that was written to can be gone back to.
const rememberRoots = 10 * time.Minute

// dataName is the folder of the segment's data, in it one folder for each federation that the segment has been of.
const dataName = "data"

// site is what one identity's segment consists of. Joining another federation closes it and opens another.
type site struct {
	id      *identity.Identity
	store   *store
	segment *segment.Segment
	links   *isgw.Links
	copies  *isgw.Copies
	admin   *server.Server
	s3      http.Handler

	exposure exposure
	closing  chan struct{}
	watch    sync.WaitGroup
}

// openSite opens from the bottom up: chunks, the segment on them, links, gateways.
func (d *Daemon) openSite(ctx context.Context, id *identity.Identity) (_ *site, err error) {
	s := &site{id: id, closing: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	federation := id.Federation.String()
	device := d.dir.Path(dataName, federation, "device")
	if d.cfg.Storage.Device != "" {
		device = filepath.Join(d.cfg.Storage.Device, federation)
	}
	_, unheld := os.Stat(d.dir.Path(dataName, federation, "segment"))
	where := place{dir: d.dir.Path(dataName, federation), first: device, owner: ownerOf(id), held: unheld == nil}
	if s.store, err = openStore(ctx, where, d.cfg.Storage, d.log); err != nil {
		return nil, err
	}
	remember, history := rememberRoots, time.Duration(d.cfg.Storage.History)
	if history == 0 {
		remember, history = 0, -1
	}
	lazy := isgw.NewLazy(isgw.LazyConfig{Chunks: s.store.chunks, Logger: d.log})
	s.copies = isgw.NewCopies(time.Duration(d.cfg.Link.CopyTimeout))
	s.segment, err = segment.Open(ctx, segment.Config{
		FS: vfs.OS{}, Dir: d.dir.Path(dataName, federation, "segment"), ID: id.Segment, Name: id.Name, Secret: id.Secret, Restored: d.restored,
		Chunks: s.store.chunks, Read: lazy.Store, Mend: lazy.Mend, Forward: lazy.Forward, Copied: s.copies.Await, Clock: time.Now, Rand: rand.Reader, Logger: d.log,
		RememberRoots: remember, RememberFor: history, Sweeper: s.store.devices, Usage: s.store.usage, Census: s.store.devices,
		Scrubber: s.store.devices, ScrubEvery: time.Duration(d.cfg.Storage.Scrub), ScrubRate: int64(d.cfg.Storage.ScrubRate), Repair: lazy.Repair,
		CollectEvery: time.Duration(d.cfg.Storage.Collect), CollectRate: int64(d.cfg.Storage.CollectRate),
	})
	if err != nil {
		return nil, err
	}
	listen := d.cfg.Link.Listen
	if listen == config.Off {
		listen = ""
	}
	s.links, err = isgw.Open(ctx, isgw.Config{
		Segment: s.segment, Identity: id, Chunks: s.store.chunks, Lazy: lazy, Copies: s.copies, FS: vfs.OS{}, Dir: d.dir.Path(),
		Listen: listen, Advertise: d.cfg.Link.Advertise, EagerBytes: isgw.DefaultEagerBytes,
		Clock: time.Now, Rand: rand.Reader, Logger: d.log,
	})
	if err != nil {
		return nil, port{"links", "--link", d.cfg.Link.Listen}.fault(err)
	}
	s.s3 = s3.New(s3.Config{
		Segment: s.segment, Credentials: d.credential, Domains: d.cfg.S3.Domains, Region: d.cfg.S3.Region,
		Logger: d.log, Observe: d.metrics.observe, Clock: time.Now,
	})
	s.admin = server.New(server.Config{
		Segment: s.segment, Local: s.store.chunks.Open(s.segment.Domain(), chunk.Cache), Links: siteLinks{d, s},
		Base: func() (admin.Status, error) { return d.base(s) }, Health: d.Health, Metrics: d.metrics.handler(),
		Exposed: s.links.Exposed, Devices: siteDevices{s.store},
		Credentials: d.credentials(), Stopping: d.stopping, Logger: d.log,
	})
	return s, nil
}

// ownerOf is what a device says of whose it is.
func ownerOf(id *identity.Identity) (o pack.Owner) {
	copy(o[:8], id.Federation[:])
	binary.BigEndian.PutUint64(o[8:], uint64(id.Segment))
	return o
}

// close ends from the top down what was opened.
func (s *site) close(ctx context.Context) error {
	close(s.closing)
	s.watch.Wait()
	var err error
	if s.links != nil {
		err = s.links.Close()
	}
	if s.segment != nil {
		err = errors.Join(err, s.segment.Close(ctx))
	}
	if s.store != nil {
		err = errors.Join(err, s.store.close(ctx))
	}
	return err
}

// enter makes s what is served.
func (d *Daemon) enter(ctx context.Context, s *site) {
	d.site.Store(s)
	d.admin.set(s.admin)
	d.s3.set(s.s3)
	s.exposure.bytes.Store(-1)
	s.watchExposure(ctx)
	s.watch.Go(func() {
		select {
		case <-s.segment.Failed():
			d.fail(fmt.Errorf("the segment cannot go on: %w", s.segment.Err()))
		case <-s.closing:
		}
	})
}

// credential is the secret of an access key, for the S3 gateway.
func (d *Daemon) credential(accessKey string) (string, bool) {
	return d.s3Key.SecretKey, accessKey == d.s3Key.AccessKey
}

func (d *Daemon) credentials() admin.Credentials {
	c := admin.Credentials{AccessKey: d.s3Key.AccessKey, SecretKey: d.s3Key.SecretKey, Region: cmp.Or(d.cfg.S3.Region, anyRegion)}
	if d.ports.s3 != nil {
		c.Endpoint = d.s3Scheme() + "://" + reachable(d.ports.s3.Addr().String())
	}
	return c
}

// base is what the daemon knows of a status.
func (d *Daemon) base(s *site) (admin.Status, error) {
	storage, err := s.store.stats()
	if err != nil {
		return admin.Status{}, err
	}
	return admin.Status{
		Name: s.id.Name, Segment: s.id.Segment.String(), Federation: s.id.Federation.String(), Build: buildinfo.Read(),
		Started: d.started, Dir: d.dir.Path(), Endpoints: d.Endpoints(), Ready: d.Health().Ready, Storage: storage,
	}, nil
}
