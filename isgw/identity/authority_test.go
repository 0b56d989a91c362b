package identity_test

import (
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/segment"
)

// house is a founder whose clock stands, with a folder to restart from.
type house struct {
	t   *testing.T
	dir string
	id  *identity.Identity
	now time.Time
	*identity.Authority
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "keys"), id: found(t, "hawaii"), now: time.Unix(1_800_000_000, 0)}
	h.restart()
	return h
}

func (h *house) restart() {
	h.t.Helper()
	var err error
	if h.Authority, err = identity.OpenAuthority(vfs.OS{}, h.dir, h.id, func() time.Time { return h.now }, rand.Reader); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) invite(ttl time.Duration) identity.Token {
	h.t.Helper()
	t, err := h.Invite(ttl, []string{"127.0.0.1:1"})
	if err != nil {
		h.t.Fatal(err)
	}
	if t, err = identity.ParseToken("\n" + t.String() + " "); err != nil {
		h.t.Fatal(err)
	}
	return t
}

// join runs both sides and returns both errors.
func (h *house) join(token identity.Token, name string, id segment.ID) (joined *identity.Identity, asked, served error) {
	h.t.Helper()
	here, there := net.Pipe()
	done := make(chan error)
	go func() {
		_, _, err := h.Serve("192.0.2.1", there)
		done <- errors.Join(err, there.Close())
	}()
	joined, asked = token.Join(here, name, id, []string{"h:2"}, rand.Reader)
	return joined, asked, <-done
}

func TestInvitationMakesAMember(t *testing.T) {
	h := newHouse(t)
	token := h.invite(time.Hour)
	if err := token.Verify(chain(t, h.id)); err != nil {
		t.Fatal(err)
	}
	h.restart() // an invitation survives it
	id, asked, served := h.join(token, "tokyo", 7)
	if asked != nil || served != nil {
		t.Fatal(asked, served)
	}
	if id.Secret != h.id.Secret || id.Federation != h.id.Federation || id.Founder() {
		t.Fatal("not of the federation")
	}
	if m, err := h.id.Verify(chain(t, id)); err != nil || m != (identity.Member{Segment: 7, Name: "tokyo"}) {
		t.Fatal(m, err)
	}
	dir := t.TempDir()
	if err := id.Save(vfs.OS{}, dir); err != nil {
		t.Fatal(err)
	}
	again, err := identity.Load(vfs.OS{}, dir)
	if err != nil || again.Segment != 7 || again.Secret != id.Secret {
		t.Fatal(again, err)
	}
	if _, err := openAuthority(t, dir, again).Invite(time.Hour, []string{"h:1"}); !errors.Is(err, identity.ErrNotFounder) {
		t.Fatalf("a member that is not the founder invites: %v", err)
	}
}

func openAuthority(t *testing.T, dir string, id *identity.Identity) *identity.Authority {
	t.Helper()
	a, err := identity.OpenAuthority(vfs.OS{}, dir, id, time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestInvitationsAreRefused(t *testing.T) {
	h := newHouse(t)
	used := h.invite(time.Hour)
	if _, asked, served := h.join(used, "tokyo", 7); asked != nil || served != nil {
		t.Fatal(asked, served)
	}
	expired := h.invite(time.Minute)
	h.now = h.now.Add(time.Minute)
	wrong := h.invite(time.Hour)
	wrong.Secret[3] ^= 1
	h.restart()
	for _, c := range []struct {
		what  string
		token identity.Token
		name  string
		id    segment.ID
		want  error
	}{
		{"used", used, "oslo", 8, identity.ErrInvitationUsed},
		{"expired", expired, "oslo", 8, identity.ErrInvitationExpired},
		{"wrong", wrong, "oslo", 8, identity.ErrInvitation},
		{"name taken", h.invite(time.Hour), "tokyo", 8, identity.ErrTaken},
		{"founder's name", h.invite(time.Hour), "hawaii", 8, identity.ErrTaken},
		{"id taken", h.invite(time.Hour), "oslo", 7, identity.ErrTaken},
		{"bad name", h.invite(time.Hour), "Oslo!", 8, identity.ErrName},
	} {
		if _, asked, served := h.join(c.token, c.name, c.id); !errors.Is(asked, c.want) || !errors.Is(served, c.want) {
			t.Errorf("%s: asked %v, served %v", c.what, asked, served)
		}
	}
	if len(h.Members()) != 2 {
		t.Errorf("members: %v", h.Members())
	}
}

// A member that asks again with a new invitation, as after a lost answer, is the same member.
func TestMemberMayJoinAgain(t *testing.T) {
	h := newHouse(t)
	for range 2 {
		if _, asked, served := h.join(h.invite(time.Hour), "tokyo", 7); asked != nil || served != nil {
			t.Fatal(asked, served)
		}
	}
	if len(h.Members()) != 2 {
		t.Errorf("members: %v", h.Members())
	}
}

func TestFailedAttemptsAreLimited(t *testing.T) {
	h := newHouse(t)
	good, bad := h.invite(time.Hour), h.invite(time.Hour)
	bad.Secret[0] ^= 1
	for range 10 {
		if _, asked, _ := h.join(bad, "tokyo", 7); !errors.Is(asked, identity.ErrInvitation) {
			t.Fatal(asked)
		}
	}
	if _, asked, _ := h.join(good, "tokyo", 7); !errors.Is(asked, identity.ErrTooMany) {
		t.Fatalf("attempt after too many failures: %v", asked)
	}
	h.now = h.now.Add(time.Minute)
	if _, asked, _ := h.join(good, "tokyo", 7); asked != nil {
		t.Fatalf("a minute later: %v", asked)
	}
}

func TestTokenIsShownToTheInviterOnly(t *testing.T) {
	h := newHouse(t)
	member, asked, _ := h.join(h.invite(time.Hour), "tokyo", 7)
	if asked != nil {
		t.Fatal(asked)
	}
	token := h.invite(time.Hour)
	for what, other := range map[string]*identity.Identity{"another federation": found(t, "hawaii"), "another member": member} {
		if err := token.Verify(chain(t, other)); !errors.Is(err, identity.ErrStranger) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDamagedTokenIsNoToken(t *testing.T) {
	s := newHouse(t).invite(time.Hour).String()
	for _, bad := range []string{"", s[:len(s)-1], s[1:], strings.ToUpper(s), s + "A"} {
		if _, err := identity.ParseToken(bad); !errors.Is(err, identity.ErrToken) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
