package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/internal/document"
	"google.golang.org/protobuf/encoding/protowire"
)

// The identity is one file, so that joining another federation is one rename. docs/format/isgw.md describes it.
const (
	pemFederation  = "EDGEFS FEDERATION"
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"

	fileFormat = 1

	fileFieldFormat     = 1
	fileFieldFederation = 2
	fileFieldSecret     = 3
	fileFieldSum        = 15 // SHA-256 of the fields before it: a flipped bit in the secret would pass for another federation
)

// Save keeps the identity in the folder, readable by the owner only. After a crash the folder holds the old identity or the new one.
func (id *Identity) Save(fsys vfs.FS, dir string) error {
	b, err := id.Append(nil)
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return document.Replace(fsys, path.Join(dir, fileName), b)
}

// Append appends the identity as it is in its file.
func (id *Identity) Append(b []byte) ([]byte, error) {
	fed := protowire.AppendVarint(protowire.AppendTag(nil, fileFieldFormat, protowire.VarintType), fileFormat)
	fed = protowire.AppendBytes(protowire.AppendTag(fed, fileFieldFederation, protowire.BytesType), id.Federation[:])
	fed = protowire.AppendBytes(protowire.AppendTag(fed, fileFieldSecret, protowire.BytesType), id.Secret[:])
	sum := sha256.Sum256(fed)
	fed = protowire.AppendBytes(protowire.AppendTag(fed, fileFieldSum, protowire.BytesType), sum[:])

	key, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return nil, err
	}
	blocks := []pem.Block{
		{Type: pemFederation, Bytes: fed},
		{Type: pemCertificate, Bytes: id.cert.Raw},
		{Type: pemCertificate, Bytes: id.ca.Raw},
		{Type: pemKey, Bytes: key},
	}
	if id.caKey != nil {
		if key, err = x509.MarshalPKCS8PrivateKey(id.caKey); err != nil {
			return nil, err
		}
		blocks = append(blocks, pem.Block{Type: pemKey, Bytes: key})
	}
	out := bytes.NewBuffer(b)
	for i := range blocks {
		if err := pem.Encode(out, &blocks[i]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// Parse reads what Append writes and checks that its parts belong together.
func Parse(b []byte) (*Identity, error) {
	id := new(Identity)
	var certs []*x509.Certificate
	var keys []ed25519.PrivateKey
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if err := id.take(block, &certs, &keys); err != nil {
			return nil, err
		}
	}
	if len(certs) != 2 || len(keys) < 1 || len(keys) > 2 || id.Federation == (FederationID{}) {
		return nil, fmt.Errorf("parts are missing: %w", ErrDamaged)
	}
	id.cert, id.ca, id.key = certs[0], certs[1], keys[0]
	if len(keys) == 2 {
		id.caKey = keys[1]
	}
	return id, id.check()
}

func (id *Identity) take(block *pem.Block, certs *[]*x509.Certificate, keys *[]ed25519.PrivateKey) error {
	switch block.Type {
	case pemFederation:
		return id.parseFederation(block.Bytes)
	case pemCertificate:
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		*certs = append(*certs, c)
	case pemKey:
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		key, ok := k.(ed25519.PrivateKey)
		if !ok {
			return fmt.Errorf("key of another kind: %w", ErrDamaged)
		}
		*keys = append(*keys, key)
	}
	return nil
}

func (id *Identity) parseFederation(all []byte) error {
	bad := fmt.Errorf("federation: %w", ErrDamaged)
	format := uint64(0)
	for b := all; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return bad
		}
		var v []byte
		m := 0
		switch typ {
		case protowire.VarintType:
			format, m = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			v, m = protowire.ConsumeBytes(b[n:])
		default:
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m < 0 {
			return bad
		}
		switch {
		case num == fileFieldFederation && len(v) == len(id.Federation):
			id.Federation = FederationID(v)
		case num == fileFieldSecret && len(v) == len(id.Secret):
			id.Secret = [32]byte(v)
		case num == fileFieldSum:
			if sum := sha256.Sum256(all[:len(all)-len(b)]); !bytes.Equal(v, sum[:]) || format != fileFormat {
				return bad
			}
			return nil
		}
		b = b[n+m:]
	}
	return bad
}

// check says whether the parts are of one identity, and learns from the certificate who it is.
func (id *Identity) check() error {
	m, err := verifyMember(id.ca, id.Federation, id.cert)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	id.Segment, id.Name = m.Segment, m.Name
	own := id.key.Public().(ed25519.PublicKey)
	if !own.Equal(id.cert.PublicKey) {
		return fmt.Errorf("the key is not the certificate's: %w", ErrDamaged)
	}
	if id.caKey != nil && !id.caKey.Public().(ed25519.PublicKey).Equal(id.ca.PublicKey) {
		return fmt.Errorf("the authority's key is not its certificate's: %w", ErrDamaged)
	}
	return nil
}
