package identity

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"

	"github.com/edgefs/edgefs/segment"
)

const scheme = "edgefs"

// Certificates do not expire (RFC 5280, 4.1.2.5), and time is not looked at when they are verified: a site whose clock is wrong must still
// reach the peers that could tell it. Who is to be shut out is removed by name.
var (
	notBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

func newAuthority(random io.Reader, fed FederationID, key ed25519.PrivateKey) (*x509.Certificate, error) {
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "EdgeFS federation " + fed.String()},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return create(random, t, t, key.Public(), key)
}

// issue certifies a member's key.
func (id *Identity) issue(random io.Reader, m Member, key crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: m.Name},
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{memberURL(id.Federation, m.Segment)},
	}
	return create(random, t, id.ca, key, id.caKey)
}

func create(random io.Reader, t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(random, t, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 15)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] |= 1 // not zero, and of one length
	return new(big.Int).SetBytes(b), nil
}

func memberURL(fed FederationID, s segment.ID) *url.URL {
	return &url.URL{Scheme: scheme, Host: fed.String(), Path: "/" + s.String()}
}

// verifyMember reads a certificate that the authority ca of the federation issued.
func verifyMember(ca *x509.Certificate, fed FederationID, cert *x509.Certificate) (Member, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: cert.NotBefore,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Member{}, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	if cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme || cert.URIs[0].Host != fed.String() {
		return Member{}, fmt.Errorf("the certificate names no segment: %w", ErrStranger)
	}
	s, err := segment.ParseID(trimSlash(cert.URIs[0].Path))
	if err != nil {
		return Member{}, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return Member{s, cert.Subject.CommonName}, nil
}

func trimSlash(p string) string {
	if len(p) > 0 && p[0] == '/' {
		return p[1:]
	}
	return p
}

func segmentID(b []byte) segment.ID {
	return segment.ID(max(binary.BigEndian.Uint64(b), 1))
}
