package segment

import (
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// file is what a file client does: records of several keys, and reserved ones.
func (m *sim) file(b *Bucket) error {
	paths := []string{"k", "d/x", "d/y", "e", "f/g", "f"}
	f, from, to := b.Files(), paths[m.rng.IntN(len(paths))], paths[m.rng.IntN(len(paths))]
	var err error
	switch m.rng.IntN(6) {
	case 0:
		m.step = fmt.Sprintf("rename file %s to %s", from, to)
		err = f.Rename(m.ctx, from, to)
	case 1:
		m.step = fmt.Sprintf("link %s to %s", from, to)
		_, err = f.Link(m.ctx, from, to)
	case 2:
		m.step = "remove file " + from
		err = f.Remove(m.ctx, from)
	case 3:
		m.step = "make directory " + from
		_, err = f.Mkdir(m.ctx, from, NewFile{})
	case 4:
		m.step = "remove directory " + from
		err = f.Rmdir(m.ctx, from)
	default:
		m.step = "write file " + from
		err = m.writeFile(f, from)
	}
	return allow(err, ErrNoSuchKey, ErrNotDirectory, ErrIsDirectory, ErrDirectoryInUse, ErrFileExists, ErrInvalidArgument,
		chunk.ErrNotFound) // what is written in place may be at another site, which this one cannot ask
}

func (m *sim) writeFile(f Files, path string) error {
	if _, err := f.Create(m.ctx, path, NewFile{}); err != nil {
		return err
	}
	h, err := f.Open(m.ctx, path)
	if err != nil {
		return err
	}
	defer h.Close()
	if _, err = h.Append(m.ctx, fmt.Append(nil, m.n)); err != nil {
		return err
	}
	_, err = h.Flush(m.ctx, nil)
	if errors.Is(err, ErrStaleFile) {
		err = fmt.Errorf("%q, which nobody else writes: %w", path, err)
	}
	return err
}
