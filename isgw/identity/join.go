package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// refusals are the answers to a joining segment by their code on the wire; their order is the protocol's.
var refusals = []error{
	1: ErrInvitation,
	2: ErrInvitationUsed,
	3: ErrInvitationExpired,
	4: ErrTaken,
	5: ErrName,
	6: ErrTooMany,
	7: ErrNotFounder,
	8: wire.ErrMalformed,
}

// Serve answers one segment that asks over rw to join, and returns who was admitted with the addresses it gave. The error is what the other
// side was told, or that it could not be told.
func (a *Authority) Serve(from string, rw io.ReadWriter) (Member, []string, error) {
	var r wire.JoinRequest
	if err := wire.NewReader(rw).Read(&r, wire.MaxJoin); err != nil {
		return Member{}, nil, fmt.Errorf("read request to join: %w", err)
	}
	reply, err := a.Admit(from, &r)
	if err != nil {
		reply = refuse(err)
	}
	if werr := wire.NewWriter(rw).Write(reply); werr != nil {
		err = errors.Join(err, fmt.Errorf("answer request to join: %w", werr))
	}
	return Member{r.Segment, r.Name}, r.Addresses, err
}

func refuse(err error) *wire.JoinReply {
	for code, sentinel := range refusals {
		if sentinel != nil && errors.Is(err, sentinel) {
			return &wire.JoinReply{Refused: uint64(code), Why: err.Error()}
		}
	}
	return &wire.JoinReply{Refused: uint64(len(refusals)), Why: "the inviter failed; its log says why"}
}

func refusal(r *wire.JoinReply) error {
	if r.Refused < uint64(len(refusals)) {
		return fmt.Errorf("the inviter refused: %w", refusals[r.Refused])
	}
	return fmt.Errorf("the inviter refused: %q", r.Why)
}

// Join asks over rw, a connection whose other end [Token.Verify] has accepted, to become a member. The identity it returns replaces the
// segment's own once it is saved; nothing is changed before.
func (t Token) Join(rw io.ReadWriter, name string, id segment.ID, addresses []string, random io.Reader) (*Identity, error) {
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	request := &wire.JoinRequest{Secret: t.Secret[:], Request: csr, Name: name, Segment: id, Addresses: addresses}
	if err := wire.NewWriter(rw).Write(request); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var r wire.JoinReply
	if err := wire.NewReader(rw).Read(&r, wire.MaxJoin); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if r.Refused != 0 {
		return nil, refusal(&r)
	}
	member, err := t.identity(&r, key)
	if err != nil {
		return nil, fmt.Errorf("join: what the inviter sent: %w", err)
	}
	if member.Segment != id || member.Name != name {
		return nil, fmt.Errorf("join: the certificate is for %s: %w", member.Name, ErrStranger)
	}
	return member, nil
}

func (t Token) identity(r *wire.JoinReply, key ed25519.PrivateKey) (*Identity, error) {
	cert, err := x509.ParseCertificate(bytes.Clone(r.Certificate))
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(bytes.Clone(r.Authority))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(ca.Raw) != t.Authority || len(r.Secret) != 32 {
		return nil, ErrStranger
	}
	id := &Identity{Federation: t.Federation, Secret: [32]byte(r.Secret), key: key, cert: cert, ca: ca}
	return id, id.check()
}
