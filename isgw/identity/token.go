package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// ErrToken says that a text is not an invitation, or not a whole one.
var ErrToken = errors.New("not an invitation, or not all of it")

// Token is an invitation: who holds it may become a member, once. The authority keeps only the secret's hash.
type Token struct {
	Federation  FederationID
	Authority   Fingerprint // of the certificate that must have signed the inviter's
	Inviter     segment.ID
	Secret      [16]byte
	Expires     time.Time // in seconds
	Addresses   []string  // of the inviter, HOST:PORT
	InviterName string
}

const (
	tokenPrefix = "edgefs-invitation-"
	tokenSum    = 4 // bytes of SHA-256 behind the message, so that a text cut short by copying is told from a wrong one

	tokenFieldFederation = 1
	tokenFieldAuthority  = 2
	tokenFieldInviter    = 3
	tokenFieldSecret     = 4
	tokenFieldExpires    = 5
	tokenFieldAddress    = 6
	tokenFieldName       = 7
)

// String is the invitation as text for a URL or a command line.
func (t Token) String() string {
	b := wire.PutBytes(nil, tokenFieldFederation, t.Federation[:])
	b = wire.PutBytes(b, tokenFieldAuthority, t.Authority[:])
	b = wire.PutFixed(b, tokenFieldInviter, uint64(t.Inviter))
	b = wire.PutBytes(b, tokenFieldSecret, t.Secret[:])
	b = wire.PutUint(b, tokenFieldExpires, uint64(t.Expires.Unix()))
	for _, a := range t.Addresses {
		b = wire.PutBytes(b, tokenFieldAddress, a)
	}
	b = wire.PutBytes(b, tokenFieldName, t.InviterName)
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:tokenSum]...))
}

// ParseToken reads what [Token.String] writes, white space around it or not.
func ParseToken(s string) (t Token, err error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < tokenSum {
		return Token{}, ErrToken
	}
	b, sum := b[:len(b)-tokenSum], b[len(b)-tokenSum:]
	if want := sha256.Sum256(b); !bytes.Equal(sum, want[:tokenSum]) {
		return Token{}, ErrToken
	}
	err = wire.Fields(b, func(f wire.Field) error {
		switch {
		case f.Is(tokenFieldFederation, len(t.Federation)):
			t.Federation = FederationID(f.Bytes)
		case f.Is(tokenFieldAuthority, len(t.Authority)):
			t.Authority = Fingerprint(f.Bytes)
		case f.Num == tokenFieldInviter:
			t.Inviter = segment.ID(f.Uint)
		case f.Is(tokenFieldSecret, len(t.Secret)):
			t.Secret = [16]byte(f.Bytes)
		case f.Num == tokenFieldExpires:
			t.Expires = time.Unix(int64(f.Uint), 0).UTC()
		case f.Num == tokenFieldAddress:
			t.Addresses = append(t.Addresses, string(f.Bytes))
		case f.Num == tokenFieldName:
			t.InviterName = string(f.Bytes)
		}
		return nil
	})
	if err != nil || t.Inviter == 0 || len(t.Addresses) == 0 {
		return Token{}, ErrToken
	}
	return t, nil
}

// Verify says whether a chain of certificates is the inviter's: anybody else is not shown the secret.
func (t Token) Verify(chain []*x509.Certificate) error {
	if len(chain) != 2 || sha256.Sum256(chain[1].Raw) != t.Authority {
		return fmt.Errorf("the authority there is not the invitation's: %w", ErrStranger)
	}
	m, err := verifyMember(chain[1], t.Federation, chain[0])
	if err != nil {
		return err
	}
	if m.Segment != t.Inviter {
		return fmt.Errorf("segment %v there is not the inviter %v: %w", m.Segment, t.Inviter, ErrStranger)
	}
	return nil
}
