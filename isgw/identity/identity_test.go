package identity_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
)

func found(t *testing.T, name string) *identity.Identity {
	t.Helper()
	id, err := identity.Found(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func chain(t *testing.T, id *identity.Identity) (certs []*x509.Certificate) {
	t.Helper()
	for _, der := range id.Certificate().Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	return certs
}

func TestIdentityIsFoundedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := identity.Load(vfs.OS{}, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("load of nothing: %v", err)
	}
	first, err := identity.Open(vfs.OS{}, dir, "hawaii", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.Open(vfs.OS{}, dir, "other", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if again.Name != "hawaii" || again.Segment != first.Segment || again.Secret != first.Secret || again.Federation != first.Federation || !again.Founder() {
		t.Fatalf("got %v, want %v", again, first)
	}
	info, err := os.Stat(filepath.Join(dir, "identity.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	member, err := first.Verify(chain(t, again))
	if err != nil || member != (identity.Member{Segment: first.Segment, Name: "hawaii"}) {
		t.Fatalf("%v %v", member, err)
	}
}

func TestStrangersAreNotVerified(t *testing.T) {
	a, b := found(t, "a"), found(t, "b")
	if _, err := a.Verify(chain(t, b)); !errors.Is(err, identity.ErrStranger) {
		t.Fatalf("certificate of another authority: %v", err)
	}
	if _, err := a.Verify(nil); !errors.Is(err, identity.ErrStranger) {
		t.Fatalf("no certificate: %v", err)
	}
	if _, err := a.Verify(chain(t, a)[1:]); !errors.Is(err, identity.ErrStranger) {
		t.Fatalf("the authority itself: %v", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	for _, name := range []string{"", "A", "a b", "-a", "a/b", string(make([]byte, 41))} {
		if _, err := identity.Found(name, rand.Reader); !errors.Is(err, identity.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What is in the blocks must not be changed in any bit without being noticed. (Of a certificate only what is signed counts.)
func TestDamagedIdentityIsRefused(t *testing.T) {
	id := found(t, "a")
	good, err := id.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Parse(good); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		block, rest := nth(good, n)
		if block == nil {
			break
		}
		for i := range block.Bytes {
			bad := *block
			bad.Bytes = append([]byte(nil), block.Bytes...)
			bad.Bytes[i] ^= 1
			file := append(append([]byte(nil), good[:len(good)-len(rest)-len(pem.EncodeToMemory(block))]...), pem.EncodeToMemory(&bad)...)
			if got, err := identity.Parse(append(file, rest...)); err == nil && (got.Secret != id.Secret || got.Federation != id.Federation || got.Segment != id.Segment) {
				t.Fatalf("block %d, byte %d: passes for another identity", n, i)
			}
		}
		if _, err := identity.Parse(good[:len(good)-len(rest)-1]); err == nil && n < 3 {
			t.Fatalf("cut in block %d: no error", n)
		}
	}
	a := found(t, "b")
	other, err := a.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, rest := nth(good, 0)
	mixed := append(append([]byte(nil), other[:len(other)-len(func() []byte { _, r := nth(other, 0); return r }())]...), rest...)
	if _, err := identity.Parse(mixed); !errors.Is(err, identity.ErrDamaged) {
		t.Fatalf("secret of one, certificates of another: %v", err)
	}
}

func nth(b []byte, n int) (*pem.Block, []byte) {
	var block *pem.Block
	for range n + 1 {
		block, b = pem.Decode(b)
	}
	return block, b
}

func FuzzParse(f *testing.F) {
	id, err := identity.Found("a", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	b, err := id.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := identity.Parse(b)
		if err == nil && id.Segment == 0 {
			t.Fatal("no segment")
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("edgefs-invitation-AAAA")
	f.Add(identity.Token{Inviter: 1, Addresses: []string{"h:1"}}.String())
	f.Fuzz(func(t *testing.T, s string) {
		token, err := identity.ParseToken(s)
		if err != nil {
			return
		}
		again, err := identity.ParseToken(token.String())
		if err != nil || again.String() != token.String() {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
