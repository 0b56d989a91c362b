package admin

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Credential is what proves an administrator to a segment and, when the segment made its certificate itself, the segment to the
// administrator. Whoever holds it may do everything.
type Credential struct {
	Token       string `json:"token"`
	Certificate string `json:"certificate,omitempty"` // PEM: the server has exactly this one
}

// LoadCredential reads a credential from a file.
func LoadCredential(path string) (Credential, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	var c Credential
	if err := json.Unmarshal(text, &c); err != nil || c.Token == "" {
		return Credential{}, fmt.Errorf("credential %s: this is not the credential file of an administrator (keys/admin.json of the segment)", path)
	}
	return c, nil
}

// tlsConfig trusts roots, or when there are none the certificate that c names, or else what the system trusts.
func (c Credential) tlsConfig(roots *x509.CertPool) (*tls.Config, error) {
	if roots != nil || c.Certificate == "" {
		return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}, nil
	}
	block, _ := pem.Decode([]byte(c.Certificate))
	if block == nil {
		return nil, errors.New("the credential's certificate is not in PEM form")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The certificate itself is known, so that neither its issuer nor its names say more.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the server does not have the certificate that the credential names")
			}
			return nil
		},
	}, nil
}
