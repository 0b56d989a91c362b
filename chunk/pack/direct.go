package pack

import (
	"cmp"
	"errors"
	"io"

	"github.com/edgefs/edgefs/internal/vfs"
)

// direct is a pack that is read from the disk itself: what the machine remembers of the file says nothing of what the disk will give another day, and is needed
// by others. It is for one goroutine. Of a disk that stalls it does not wait for the answer.
type direct struct {
	vfs.File
	d   *Device
	buf []byte // aligned
}

// openDirect opens a pack's file. One that is not there is chunk.ErrCorrupt.
func (d *Device) openDirect(generation uint64) (*direct, error) {
	opened := make(chan vfs.File, 1)
	err := d.patiently(func() error {
		f, err := d.opts.FS.Open(packName(d.opts.Dir, generation), vfs.Direct)
		if err == nil {
			opened <- f
		}
		return err
	}, func() {})
	if err != nil {
		return nil, unopened(err)
	}
	return &direct{File: <-opened, d: d}, nil
}

// ReadAt reads any range, by way of whole blocks.
func (f *direct) ReadAt(b []byte, off int64) (int, error) {
	from := off &^ (vfs.Align - 1)
	size := int(vfs.AlignUp(off+int64(len(b))) - from)
	if cap(f.buf) < size {
		f.buf = vfs.Buffer(max(size, spanSize+2*vfs.Align))
	}
	buf := f.buf[:size]
	got := make(chan int, 1)
	err := f.d.patiently(func() error {
		n, err := f.File.ReadAt(buf, from)
		got <- n
		return err
	}, func() {})
	if errors.Is(err, ErrStalled) {
		f.buf = nil // which may still be read to
		return 0, err
	}
	skip := int(off - from)
	n := copy(b, buf[skip:max(<-got, skip)])
	if n == len(b) {
		return n, nil
	}
	return n, cmp.Or(err, io.EOF)
}
