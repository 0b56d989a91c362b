package identity

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/internal/document"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

var (
	// ErrNotFounder says that the segment does not hold the authority's key.
	ErrNotFounder = errors.New("only the segment that founded the federation can invite")
	// ErrInvitation says that no invitation has that secret. An unknown one and a wrong one are the same.
	ErrInvitation = errors.New("no such invitation")
	// ErrInvitationUsed says that the invitation has made a member already.
	ErrInvitationUsed = errors.New("the invitation was used: ask for a new one")
	// ErrInvitationExpired says that the invitation is too old.
	ErrInvitationExpired = errors.New("the invitation has expired: ask for a new one")
	// ErrTaken says that another member has that name or id.
	ErrTaken = errors.New("another segment of the federation has that name")
	// ErrTooMany says that too many invitations are open or too many attempts failed.
	ErrTooMany = errors.New("too many: try again later")
)

const (
	maxInvitations = 1000
	remembered     = 30 * 24 * time.Hour // how long a used or expired invitation gets an answer of its own
	maxTTL         = 365 * 24 * time.Hour
)

// Authority invites and admits members. It is safe for concurrent use.
type Authority struct {
	fsys   vfs.FS
	name   string
	id     *Identity
	clock  func() time.Time
	random io.Reader

	mu      sync.Mutex
	state   authorityState
	limiter limiter
}

type authorityState struct {
	invitations []invitation
	members     []Member
}

type invitation struct {
	hash    [sha256.Size]byte // of the secret
	expires time.Time
	used    bool
}

var authorityKind = document.Kind{Name: "edgefs-members", Version: 1}

// OpenAuthority reads who was invited and admitted from the folder of the identity.
func OpenAuthority(fsys vfs.FS, dir string, id *Identity, clock func() time.Time, random io.Reader) (*Authority, error) {
	a := &Authority{fsys: fsys, name: path.Join(dir, "members-"+id.Federation.String()), id: id, clock: clock, random: random}
	b, err := document.Load(fsys, a.name, authorityKind)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.state.members = []Member{{id.Segment, id.Name}}
		return a, nil
	case err != nil:
		return nil, fmt.Errorf("open authority: %w", err)
	}
	if err := a.state.parse(b); err != nil {
		return nil, fmt.Errorf("open authority: %s: %w", a.name, err)
	}
	return a, nil
}

// Members are all that were admitted, the founder included, by name.
func (a *Authority) Members() []Member {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.state.members)
}

// Invite makes an invitation to the addresses that works once, until ttl has passed, also after a restart.
func (a *Authority) Invite(ttl time.Duration, addresses []string) (Token, error) {
	if !a.id.Founder() {
		return Token{}, ErrNotFounder
	}
	if ttl <= 0 || ttl > maxTTL || len(addresses) == 0 {
		return Token{}, fmt.Errorf("invite for %v to %d addresses: %w", ttl, len(addresses), segment.ErrInvalidArgument)
	}
	t := Token{
		Federation: a.id.Federation, Authority: a.id.Fingerprint(), Inviter: a.id.Segment, InviterName: a.id.Name,
		Expires: a.clock().Add(ttl).Truncate(time.Second).UTC(), Addresses: addresses,
	}
	if _, err := io.ReadFull(a.random, t.Secret[:]); err != nil {
		return Token{}, fmt.Errorf("invite: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.state.without(a.clock().Add(-remembered))
	if len(next.invitations) >= maxInvitations {
		return Token{}, fmt.Errorf("%d invitations: %w", len(next.invitations), ErrTooMany)
	}
	next.invitations = append(next.invitations, invitation{hash: sha256.Sum256(t.Secret[:]), expires: t.Expires})
	return t, a.save(next)
}

// Admit makes a member of who asks from an address (of which failed attempts are counted). The invitation is spent, durably, before the
// certificate exists.
func (a *Authority) Admit(from string, r *wire.JoinRequest) (*wire.JoinReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.id.Founder() {
		return nil, ErrNotFounder
	}
	if !a.limiter.allow(a.clock(), from) {
		return nil, ErrTooMany
	}
	m, csr, err := a.check(r)
	if err != nil {
		a.limiter.failed(a.clock(), from)
		return nil, err
	}
	if err := a.spend(r.Secret, m); err != nil {
		return nil, fmt.Errorf("admit %s: %w", m.Name, err)
	}
	cert, err := a.id.issue(a.random, m, csr.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("admit %s: %w", m.Name, err)
	}
	return &wire.JoinReply{Certificate: cert.Raw, Authority: a.id.ca.Raw, Secret: a.id.Secret[:]}, nil
}

// check says who would be admitted, and changes nothing.
func (a *Authority) check(r *wire.JoinRequest) (Member, *x509.CertificateRequest, error) {
	m := Member{r.Segment, r.Name}
	i := a.state.find(r.Secret)
	switch {
	case i < 0:
		return m, nil, ErrInvitation
	case a.state.invitations[i].used:
		return m, nil, ErrInvitationUsed
	case !a.clock().Before(a.state.invitations[i].expires):
		return m, nil, ErrInvitationExpired
	}
	if err := CheckName(m.Name); err != nil {
		return m, nil, err
	}
	if m.Segment == a.id.Segment || m.Name == a.id.Name { // nobody becomes the founder
		return m, nil, fmt.Errorf("%q: %w", m.Name, ErrTaken)
	}
	for _, o := range a.state.members {
		if o != m && (o.Name == m.Name || o.Segment == m.Segment) || m.Segment == 0 {
			return m, nil, fmt.Errorf("%q: %w", m.Name, ErrTaken)
		}
	}
	csr, err := x509.ParseCertificateRequest(r.Request)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return m, nil, fmt.Errorf("certificate request: %w", wire.ErrMalformed)
	}
	return m, csr, nil
}

func (a *Authority) spend(secret []byte, m Member) error {
	next := a.state.without(a.clock().Add(-remembered))
	next.invitations[next.find(secret)].used = true
	if !slices.Contains(next.members, m) {
		next.members = append(next.members, m)
		slices.SortFunc(next.members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	}
	return a.save(next)
}

func (a *Authority) save(next authorityState) error {
	if err := document.Save(a.fsys, a.name, authorityKind, next.append(nil)); err != nil {
		return err
	}
	a.state = next
	return nil
}

// without is a copy without the invitations that ended before then.
func (s authorityState) without(then time.Time) authorityState {
	s.invitations = slices.DeleteFunc(slices.Clone(s.invitations), func(i invitation) bool { return i.expires.Before(then) })
	s.members = slices.Clone(s.members)
	return s
}

// find looks for a secret by its hash, so the time it takes tells nothing about secrets.
func (s authorityState) find(secret []byte) int {
	h := sha256.Sum256(secret)
	return slices.IndexFunc(s.invitations, func(i invitation) bool { return i.hash == h })
}

const (
	authorityFieldInvitation = 1
	authorityFieldMember     = 2

	invitationFieldHash    = 1
	invitationFieldExpires = 2
	invitationFieldUsed    = 3

	memberFieldSegment = 1
	memberFieldName    = 2
)

func (s authorityState) append(b []byte) []byte {
	for _, i := range s.invitations {
		m := wire.PutBytes(nil, invitationFieldHash, i.hash[:])
		m = wire.PutUint(m, invitationFieldExpires, uint64(i.expires.Unix()))
		if i.used {
			m = wire.PutUint(m, invitationFieldUsed, 1)
		}
		b = wire.PutBytes(b, authorityFieldInvitation, m)
	}
	for _, m := range s.members {
		b = wire.PutBytes(b, authorityFieldMember, wire.PutBytes(wire.PutFixed(nil, memberFieldSegment, uint64(m.Segment)), memberFieldName, m.Name))
	}
	return b
}

func (s *authorityState) parse(b []byte) error {
	return wire.Fields(b, func(f wire.Field) error {
		switch f.Num {
		case authorityFieldInvitation:
			i, err := parseInvitation(f.Bytes)
			s.invitations = append(s.invitations, i)
			return err
		case authorityFieldMember:
			m, err := parseMember(f.Bytes)
			s.members = append(s.members, m)
			return err
		}
		return nil
	})
}

func parseInvitation(b []byte) (i invitation, err error) {
	return i, wire.Fields(b, func(f wire.Field) error {
		switch {
		case f.Is(invitationFieldHash, len(i.hash)):
			i.hash = [sha256.Size]byte(f.Bytes)
		case f.Num == invitationFieldExpires:
			i.expires = time.Unix(int64(f.Uint), 0).UTC()
		case f.Num == invitationFieldUsed:
			i.used = f.Uint != 0
		}
		return nil
	})
}

func parseMember(b []byte) (m Member, err error) {
	return m, wire.Fields(b, func(f wire.Field) error {
		switch f.Num {
		case memberFieldSegment:
			m.Segment = segment.ID(f.Uint)
		case memberFieldName:
			m.Name = string(f.Bytes)
		}
		return nil
	})
}
