package identity

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/internal/document"
	"github.com/edgefs/edgefs/segment"
)

var (
	// ErrStranger says that a certificate is not of this federation.
	ErrStranger = errors.New("not a member of this federation")
	// ErrName says that a name is not fit for a segment.
	ErrName = errors.New("a segment's name is 1 to 40 lower-case letters, digits and dashes, and begins with a letter or digit")
	// ErrDamaged says that the file of keys cannot be used.
	ErrDamaged = errors.New("identity damaged")
)

// FederationID names a federation for ever.
type FederationID [16]byte

// String is 32 hexadecimal digits.
func (f FederationID) String() string { return hex.EncodeToString(f[:]) }

// Fingerprint is the SHA-256 of a certificate.
type Fingerprint [sha256.Size]byte

// String is 64 hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Identity is a segment's own: everything that it must keep secret is in here. It is not changed after it was made, and safe for
// concurrent use.
type Identity struct {
	Federation FederationID
	Secret     [32]byte // the federation's
	Segment    segment.ID
	Name       string

	key   ed25519.PrivateKey
	cert  *x509.Certificate
	ca    *x509.Certificate
	caKey ed25519.PrivateKey // of the founder only
}

// Member is a segment as its certificate says.
type Member struct {
	Segment segment.ID
	Name    string
}

// Found makes a federation of one segment. random is crypto/rand.Reader outside of tests.
func Found(name string, random io.Reader) (*Identity, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	id := &Identity{Name: name}
	own := make([]byte, 8)
	for _, b := range [][]byte{id.Federation[:], id.Secret[:], own} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("found federation: %w", err)
		}
	}
	id.Segment = segmentID(own)
	if err := id.certifySelf(random); err != nil {
		return nil, fmt.Errorf("found federation: %w", err)
	}
	return id, nil
}

func (id *Identity) certifySelf(random io.Reader) (err error) {
	if _, id.caKey, err = ed25519.GenerateKey(random); err != nil {
		return err
	}
	if id.ca, err = newAuthority(random, id.Federation, id.caKey); err != nil {
		return err
	}
	if _, id.key, err = ed25519.GenerateKey(random); err != nil {
		return err
	}
	id.cert, err = id.issue(random, Member{id.Segment, id.Name}, id.key.Public())
	return err
}

// Founder says whether the segment can invite others.
func (id *Identity) Founder() bool { return id.caKey != nil }

// Fingerprint names the federation's authority.
func (id *Identity) Fingerprint() Fingerprint { return sha256.Sum256(id.ca.Raw) }

// Certificate is what the segment shows to others: its own and the authority's.
func (id *Identity) Certificate() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.cert.Raw, id.ca.Raw}, PrivateKey: id.key, Leaf: id.cert}
}

// Verify says which member shows a chain of certificates, or fails with [ErrStranger].
func (id *Identity) Verify(chain []*x509.Certificate) (Member, error) {
	if len(chain) == 0 {
		return Member{}, fmt.Errorf("no certificate: %w", ErrStranger)
	}
	return verifyMember(id.ca, id.Federation, chain[0])
}

// CheckName says whether a segment may be called so.
func CheckName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	if name == "" || len(name) > 40 || strings.Trim(name, letters+"-") != "" || name[0] == '-' {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

const fileName = "identity.pem"

// Open reads the identity kept in the folder, or founds a federation and keeps its identity there. The name is used only to found.
func Open(fsys vfs.FS, dir, name string, random io.Reader) (*Identity, error) {
	id, err := Load(fsys, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if id, err = Found(name, random); err != nil {
		return nil, err
	}
	return id, id.Save(fsys, dir)
}

// Load reads the identity kept in the folder; fs.ErrNotExist when there is none.
func Load(fsys vfs.FS, dir string) (*Identity, error) {
	b, err := document.Read(fsys, path.Join(dir, fileName))
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	id, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, fileName), err)
	}
	return id, nil
}

// Key derives a key of the segment's own for a purpose: the same after a restart, another for each segment.
func (id *Identity) Key(purpose string) [32]byte {
	return [32]byte(hmacSum(id.key.Seed(), "edgefs key "+purpose))
}

func hmacSum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}
