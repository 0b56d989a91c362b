package daemon

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/edgefs/edgefs/internal/tlsfile"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
)

// openIdentity reads who the segment is, or makes a new segment when the directory holds no data of one.
func (d *Daemon) openIdentity() (*identity.Identity, error) {
	id, err := identity.Load(vfs.OS{}, d.dir.Keys())
	switch {
	case err == nil:
		if d.cfg.Name != "" && d.cfg.Name != id.Name {
			return nil, fmt.Errorf("the segment in %s is called %s, and keeps that name: leave out --name %s, or name another directory", d.dir.Path(), id.Name, d.cfg.Name)
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (restore the folder keys from your backup)", err)
	}
	if held, err := os.ReadDir(d.dir.Path(dataName)); err == nil && len(held) > 0 {
		return nil, fmt.Errorf("%s holds data, but not the keys to it: restore the folder keys from your backup", d.dir.Path())
	}
	name, err := d.newName()
	if err != nil {
		return nil, err
	}
	return identity.Open(vfs.OS{}, d.dir.Keys(), name, rand.Reader)
}

// adminTLS is how the remote admin API speaks, and the certificate that clients must be shown because nobody has signed it.
func (d *Daemon) adminTLS() (conf *tls.Config, shown string, err error) {
	if d.cfg.Admin.CertFile != "" {
		certificate, err := tlsfile.Open(d.cfg.Admin.CertFile, d.cfg.Admin.KeyFile, time.Now, d.log)
		if err != nil {
			return nil, "", err
		}
		return certificate.Config(), "", nil
	}
	pair, shown, err := d.dir.AdminCertificate(d.name)
	if err != nil {
		return nil, "", err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}, shown, nil
}
