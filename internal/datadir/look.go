package datadir

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Look locks the data directory at path as [Open] does, and changes nothing else: one that is not there, or holds no segment, is an error. On a file system that cannot be
// written to there is nobody to lock out.
func Look(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(path, "keys")); err != nil {
		if _, marked := os.Stat(filepath.Join(path, markerName)); marked != nil {
			return nil, fmt.Errorf("%s: %w: %w", path, ErrForeign, err)
		}
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(path, lockName))
	if errors.Is(err, syscall.EROFS) {
		lock, err = io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return &Dir{path, lock}, nil
}

// Check tells of what is wrong with the directory's own files and with the daemon's keys. It changes nothing.
func (d *Dir) Check(tell finding.Tell) {
	name := d.Path(markerName)
	text, err := os.ReadFile(name)
	if err == nil {
		err = checkMarker(string(text))
	}
	switch {
	case errors.Is(err, ErrNewer):
		tell.Damage("datadir.newer", name, 0, err.Error())
	case err != nil:
		tell.Repairable("datadir.marker", name, 0, err.Error()+"; the segment does not start", "it is made again: the directory has the keys of a segment", func() error {
			return writeFile(name, []byte(marker), 0o644)
		})
	}
	d.checkKey(tell, "s3.json", func(text []byte) bool {
		var k S3Key
		return json.Unmarshal(text, &k) == nil && k.AccessKey != "" && k.SecretKey != ""
	})
	d.checkKey(tell, "admin.json", func(text []byte) bool {
		var k AdminKey
		return json.Unmarshal(text, &k) == nil && k.Token != ""
	})
	d.checkKey(tell, "admin-tls.pem", func(text []byte) bool {
		for blocks := 0; ; blocks++ {
			block, rest := pem.Decode(text)
			if block == nil {
				return blocks >= 2
			}
			text = rest
		}
	})
}

// checkKey looks at a file that is made when it is missing.
func (d *Dir) checkKey(tell finding.Tell, file string, good func([]byte) bool) {
	name := filepath.Join(d.Keys(), file)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || !good(text) {
		tell.Repairable("datadir.key", name, 0, "it cannot be read as what it should be; the segment does not start with it", "it is put aside, and the next start makes a new one: clients need the new key", func() error {
			_, err := vfs.Aside(vfs.OS{}, name, d.Keys())
			return err
		})
	}
}
