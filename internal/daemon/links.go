package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/segment"
)

// siteLinks is the links of a site as the admin API sees them.
type siteLinks struct {
	d *Daemon
	s *site
}

// List implements server.Links.
func (l siteLinks) List() []admin.Link {
	all := []admin.Link{}
	for _, p := range l.s.links.Status() {
		all = append(all, linkOf(p))
	}
	return all
}

// Invite implements server.Links.
func (l siteLinks) Invite(_ context.Context, valid time.Duration, addresses []string) (admin.Invitation, error) {
	token, err := l.s.links.Invite(valid, addresses)
	if err != nil {
		return admin.Invitation{}, linkFault(err)
	}
	return admin.Invitation{Invitation: token.String(), Expires: token.Expires, Addresses: token.Addresses, Doubts: isgw.Doubts(token.Addresses)}, nil
}

// Remove implements server.Links.
func (l siteLinks) Remove(_ context.Context, peer string) error {
	return linkFault(l.s.links.Remove(peer))
}

// Pending implements server.Links.
func (l siteLinks) Pending(id segment.BucketID) []segment.ID { return l.s.links.Pending(id) }

// Join implements server.Links.
func (l siteLinks) Join(ctx context.Context, invitation string) (admin.Link, error) {
	peer, err := l.d.join(ctx, invitation)
	if err != nil {
		return admin.Link{}, linkFault(err)
	}
	return linkOf(isgw.LinkStatus{Peer: peer, State: isgw.Connecting, Since: time.Now()}), nil
}

// join makes the segment a member of another federation. Its chunks are named by another secret there, so it is opened again, empty.
func (d *Daemon) join(ctx context.Context, invitation string) (isgw.Peer, error) {
	d.exchange.Lock()
	defer d.exchange.Unlock()
	old := d.site.Load()
	if len(old.store.devices.Devices()) > 1 {
		return isgw.Peer{}, &admin.Error{Code: admin.Invalid, Message: "a segment with several devices cannot join a federation: remove those that were added, join, and add them then (their folders emptied)"}
	}
	id, peer, err := isgw.Join(ctx, invitation, isgw.JoinConfig{
		Segment: old.segment, Identity: old.id, FS: vfs.OS{}, Dir: d.dir.Path(), Advertise: old.links.Addresses(), Rand: rand.Reader,
	})
	if err != nil {
		return isgw.Peer{}, err
	}
	d.log.Info("joining a federation", "federation", id.Federation, "invited_by", peer.Name)
	// The directory is the new identity's already: whatever fails from here on ends the daemon, and the next start finds it so.
	d.s3.set(nil)
	d.site.Store(nil)
	ctx = context.WithoutCancel(ctx)
	if err := old.close(ctx); err != nil {
		d.log.Error("the segment was not closed in order before it joined", "error", err)
	}
	var refused error
	if made := old.segment.Buckets(); len(made) > 0 {
		refused = fmt.Errorf("join: the bucket %s was made meanwhile: %w", made[0].Name, isgw.ErrNotEmpty)
		id, err = old.id, old.id.Save(vfs.OS{}, d.dir.Keys())
	}
	var s *site
	if err == nil {
		s, err = d.openSite(ctx, id)
	}
	if err != nil {
		d.fail(err)
		return isgw.Peer{}, err
	}
	d.enter(ctx, s)
	return peer, refused
}

// linkFault is err as the admin API says it.
func linkFault(err error) error {
	for _, f := range []struct {
		err  error
		code admin.Code
	}{
		{isgw.ErrNoLink, admin.NoSuchLink},
		{isgw.ErrNotEmpty, admin.BucketNotEmpty},
		{identity.ErrToken, admin.Invalid},
		{identity.ErrInvitation, admin.Invalid},
		{identity.ErrInvitationUsed, admin.Invalid},
		{identity.ErrInvitationExpired, admin.Invalid},
		{identity.ErrTaken, admin.Invalid},
		{identity.ErrNotFounder, admin.Invalid},
		{identity.ErrTooMany, admin.Unavailable},
		{transport.ErrUnreached, admin.Unavailable},
		{segment.ErrInvalidArgument, admin.Invalid},
	} {
		if errors.Is(err, f.err) {
			return &admin.Error{Code: f.code, Message: err.Error()}
		}
	}
	return err
}
