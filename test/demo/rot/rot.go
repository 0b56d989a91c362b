// Package rot damages known content wherever it lies on a disk, without knowing how it is kept there: it looks for the bytes themselves. It
// stands for a disk that returns other bytes than were written.
package rot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Window is the length of the piece of content that is looked for: longer than what files of different content have in common. Shorter
// content cannot be damaged.
const Window = 256

// Target is content to damage.
type Target struct {
	Name    string
	Content []byte
}

// probe is the middle of the content.
func (t Target) probe() []byte {
	at := (len(t.Content) - Window) / 2
	return t.Content[at : at+Window]
}

// minDifferent is how many different bytes a text has at least in a window.
const minDifferent = 16

// Telling says whether the middle is like little else: as long as a window, and not of a few different bytes only.
func (t Target) Telling() bool {
	if len(t.Content) < Window {
		return false
	}
	var seen [256]bool
	different := 0
	for _, b := range t.probe() {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	return different >= minDifferent
}

// Spoil flips one bit in the middle of every copy of the targets' middles in the files below dir, and syncs them to disk. It returns how many
// copies of each target, by name, were damaged. Files may be in use by another process.
func Spoil(ctx context.Context, dir string, targets []Target) (map[string]int, error) {
	f := newFinder(targets)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return ignoreGone(f.spoil(path))
	})
	if err != nil {
		return nil, fmt.Errorf("spoil %s: %w", dir, err)
	}
	return f.copies, nil
}

// ignoreGone lets the owner of the directory remove files meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// finder looks for all probes in one pass, by a rolling hash (R. M. Karp and M. O. Rabin, 1987).
type finder struct {
	probes map[uint64][]Target // by the hash of their probe
	filter []bool              // of the low bits of hashes: most places are passed without a look at the map
	drop   uint64              // what the first byte of a window counts for when it leaves
	copies map[string]int
}

const (
	factor     = 0x9E3779B97F4A7C15
	filterMask = 1<<16 - 1
)

func newFinder(targets []Target) *finder {
	f := &finder{probes: map[uint64][]Target{}, filter: make([]bool, filterMask+1), drop: 1, copies: map[string]int{}}
	for range Window {
		f.drop *= factor
	}
	for _, t := range targets {
		if len(t.Content) < Window {
			continue
		}
		h := hash(t.probe())
		f.probes[h] = append(f.probes[h], t)
		f.filter[f.slot(h)] = true
	}
	return f
}

func hash(window []byte) (h uint64) {
	for _, b := range window {
		h = h*factor + uint64(b)
	}
	return h
}

// slot takes the upper bits, into which all bytes of the window have been carried.
func (f *finder) slot(h uint64) uint64 { return h >> 48 & filterMask }

// bufferSize is what is read of a file at once.
const bufferSize = 4 << 20

// spoil damages the copies in one file.
func (f *finder) spoil(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var places []int64
	buf := make([]byte, bufferSize)
	for at := int64(0); ; {
		n, err := io.ReadFull(io.NewSectionReader(file, at, bufferSize), buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		for _, place := range f.find(buf[:n]) {
			places = append(places, at+int64(place))
		}
		if n < bufferSize {
			break
		}
		at += bufferSize - Window + 1 // a copy that the buffer's end cuts is found in the next
	}
	for _, place := range places {
		if err := flip(file, place+Window/2); err != nil {
			return err
		}
	}
	if len(places) == 0 {
		return nil
	}
	return file.Sync()
}

// find is where copies of probes begin in b. It counts them.
func (f *finder) find(b []byte) (places []int) {
	if len(b) < Window {
		return nil
	}
	h := hash(b[:Window])
	for i := 0; ; i++ {
		if f.filter[f.slot(h)] && f.match(h, b[i:i+Window]) {
			places = append(places, i)
		}
		if i+Window == len(b) {
			return places
		}
		h = h*factor + uint64(b[i+Window]) - uint64(b[i])*f.drop
	}
}

// match says whether a window is a probe, and counts it for the targets it belongs to.
func (f *finder) match(h uint64, window []byte) (found bool) {
	for _, t := range f.probes[h] {
		if bytes.Equal(t.probe(), window) {
			f.copies[t.Name]++
			found = true
		}
	}
	return found
}

// flip changes one bit of a file.
func flip(file *os.File, at int64) error {
	var b [1]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 1
	_, err := file.WriteAt(b[:], at)
	return err
}
