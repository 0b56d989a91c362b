package isgw

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport/quicnet"
	"github.com/edgefs/edgefs/segment"
)

// JoinConfig says who joins.
type JoinConfig struct {
	// Segment, when open, must hold no buckets.
	Segment   *segment.Segment
	Identity  *identity.Identity // the present one, of which id and name are kept
	FS        vfs.FS
	Dir       string
	Advertise []string // where the inviter and others can dial this segment; none behind a NAT
	Rand      io.Reader
}

// Join makes the segment a member of the inviter's federation. It writes the new identity and the link to the inviter, and returns; until
// the segment is opened again, with that identity and an empty state, it is what it was. After a crash at any moment the segment is of the
// old federation or the new one. Whatever an error says, an invitation that reached the inviter may be spent.
func Join(ctx context.Context, token string, c JoinConfig) (*identity.Identity, Peer, error) {
	t, err := identity.ParseToken(token)
	if err != nil {
		return nil, Peer{}, fmt.Errorf("join: %w", err)
	}
	if t.Federation == c.Identity.Federation {
		return nil, Peer{}, fmt.Errorf("join: the segment is of that federation already: %w", segment.ErrInvalidArgument)
	}
	if c.Segment != nil && len(c.Segment.Buckets()) > 0 {
		return nil, Peer{}, fmt.Errorf("join: %w", ErrNotEmpty)
	}
	var id *identity.Identity
	err = quicnet.Join(ctx, t, func(rw io.ReadWriter) (err error) {
		id, err = t.Join(rw, c.Identity.Name, c.Identity.Segment, c.Advertise, c.Rand)
		return err
	})
	if err != nil {
		return nil, Peer{}, err
	}
	inviter := Peer{Segment: t.Inviter, Name: t.InviterName, Addresses: t.Addresses}
	// The link first: links of another federation than the identity's are not used.
	f := peerFile{federation: id.Federation, peers: []Peer{inviter}}
	if err := f.save(c.FS, c.Dir); err != nil {
		return nil, Peer{}, fmt.Errorf("join: %w", err)
	}
	if err := id.Save(c.FS, path.Join(c.Dir, "keys")); err != nil {
		return nil, Peer{}, fmt.Errorf("join: %w", err)
	}
	return id, inviter, nil
}
