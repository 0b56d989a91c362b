// Package tlsfile serves TLS with a certificate in files, and takes up changed files without a restart.
package tlsfile

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how often handshakes look at the files.
const checkEvery = time.Second

// Certificate is a pair of PEM files. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	clock             func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	seen    [2]fs.FileInfo
	checked time.Time
}

// Open reads the files, which must be there and belong together.
func Open(certFile, keyFile string, clock func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, clock: clock, log: log}
	seen, err := c.stat()
	if err == nil {
		err = c.load(seen)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

// Config is for a server of HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// get is the pair as the files have it now. While they cannot be used, as between the writing of the one and the other, the last good pair
// goes on serving.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if now.Sub(c.checked) < checkEvery {
		return c.pair, nil
	}
	c.checked = now
	seen, err := c.stat()
	if err == nil && !c.changed(seen) {
		return c.pair, nil
	}
	if err == nil {
		err = c.load(seen)
	}
	if err != nil {
		c.log.Warn("changed certificate cannot be used; the last one stays", "file", c.certFile, "error", err)
		return c.pair, nil
	}
	c.log.Info("certificate read again", "file", c.certFile, "until", c.pair.Leaf.NotAfter)
	return c.pair, nil
}

func (c *Certificate) stat() (seen [2]fs.FileInfo, err error) {
	for i, name := range [2]string{c.certFile, c.keyFile} {
		if seen[i], err = os.Stat(name); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

func (c *Certificate) changed(now [2]fs.FileInfo) bool {
	for i, was := range c.seen {
		if !os.SameFile(was, now[i]) || !was.ModTime().Equal(now[i].ModTime()) || was.Size() != now[i].Size() {
			return true
		}
	}
	return false
}

func (c *Certificate) load(seen [2]fs.FileInfo) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.seen = &pair, seen
	return nil
}
