package datadir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// S3Key is the pair of keys of the segment's owner.
type S3Key struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// S3Key reads keys/s3.json, or makes it with random keys.
func (d *Dir) S3Key() (S3Key, error) {
	return document(filepath.Join(d.Keys(), "s3.json"), func(k S3Key) bool { return k.AccessKey != "" && k.SecretKey != "" }, func() S3Key {
		return S3Key{
			AccessKey: "EF" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(randomBytes(10))[:16],
			SecretKey: base64.RawURLEncoding.EncodeToString(randomBytes(30)),
		}
	})
}

// AdminKey is the administrator's credential, in the form that package admin reads.
type AdminKey struct {
	Token       string `json:"token"`
	Certificate string `json:"certificate,omitempty"` // of the certificate that the daemon made; empty when it was given one
}

// AdminKey reads keys/admin.json, or makes it with a random token. The file is written again when the certificate is another one, so that a
// copy of it is all that a remote administrator needs.
func (d *Dir) AdminKey(certificate string) (AdminKey, error) {
	path := filepath.Join(d.Keys(), "admin.json")
	key, err := document(path, func(k AdminKey) bool { return k.Token != "" }, func() AdminKey {
		return AdminKey{Token: base64.RawURLEncoding.EncodeToString(randomBytes(32)), Certificate: certificate}
	})
	if err != nil || key.Certificate == certificate {
		return key, err
	}
	key.Certificate = certificate
	return key, writeDocument(path, key)
}

// AdminCertificate reads keys/admin-tls.pem, or makes it: a certificate that nobody has signed, for clients that know it. It also returns
// the certificate alone, in PEM form.
func (d *Dir) AdminCertificate(name string) (tls.Certificate, string, error) {
	path := filepath.Join(d.Keys(), "admin-tls.pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = newCertificate(name); err == nil {
			err = writeFile(path, text, 0o600)
		}
	}
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("certificate of the admin API: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("%s: %w", path, err)
	}
	return pair, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), nil
}

func newCertificate(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomBytes(16)),
		Subject:      pkix.Name{CommonName: "EdgeFS segment " + name},
		DNSNames:     []string{name},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), // a client compares the certificate itself, and no clock
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

// document reads a file of JSON, or makes it of what fresh returns. A file that is not as it should be is never replaced: its owner may want
// what is left of it.
func document[T any](path string, good func(T) bool, fresh func() T) (v T, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		v = fresh()
		return v, writeDocument(path, v)
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(text, &v); err != nil || !good(v) {
		return v, fmt.Errorf("%s is damaged: restore it from your backup, or remove it to get new keys", path)
	}
	return v, nil
}

func writeDocument(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'), 0o600)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the package's documentation
	return b
}
