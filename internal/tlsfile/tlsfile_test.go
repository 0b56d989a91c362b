package tlsfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestChangedFilesAreTakenUp(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	now := time.Unix(1e9, 0)
	write(t, cert, key, "first")
	c, err := Open(cert, key, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want string) {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil || pair.Leaf.Subject.CommonName != want {
			t.Fatalf("serves %v, %v; want %s", pair.Leaf.Subject, err, want)
		}
	}
	serves("first")
	write(t, cert, key, "second")
	serves("first") // looked a moment ago
	now = now.Add(checkEvery)
	serves("second")

	if err := os.WriteFile(cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(checkEvery)
	serves("second")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(checkEvery)
	serves("second")
	write(t, cert, key, "third")
	now = now.Add(checkEvery)
	serves("third")
}

func TestFilesThatDoNotBelongTogetherAreRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key, other := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	write(t, cert, key, "a")
	write(t, filepath.Join(dir, "x"), other, "b")
	if _, err := Open(cert, other, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("opened")
	}
	if _, err := Open(cert, filepath.Join(dir, "none"), time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("opened")
	}
}

func write(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
