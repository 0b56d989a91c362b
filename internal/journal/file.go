package journal

import (
	"errors"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/edgefs/edgefs/internal/vfs"
)

const (
	logSuffix   = ".log"   // a file of the journal, named by its generation
	spareSuffix = ".spare" // one to be recycled
	tempName    = "new.tmp"
	maxSpares   = 2
	markEvery   = 256 << 10 // bytes between two marks
)

// file is a file of the journal. What was committed to it is read through r; w belongs to the one who commits.
type file struct {
	fileInfo // the size changes under both the journal's mutex and mu
	name     string
	first    uint64 // position of its first record; 0 while it holds no batch

	mu    sync.RWMutex // held for reading while bytes are read, for writing when the file is given up
	gone  error        // why nothing can be read any more
	r, w  vfs.File
	marks []mark // some of its batches, to begin a search at; under the journal's mutex
}

// mark says where a batch lies.
type mark struct {
	first  uint64
	offset int64
}

func logName(dir string, generation uint64) string {
	return path.Join(dir, fmt.Sprintf("%016x%s", generation, logSuffix))
}

func spareName(dir string, generation uint64) string {
	return path.Join(dir, fmt.Sprintf("%016x%s", generation, spareSuffix))
}

// generationOf reads the generation from a file's name.
func generationOf(name, suffix string) (uint64, bool) {
	hex, ok := strings.CutSuffix(path.Base(name), suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	g, err := strconv.ParseUint(hex, 16, 64)
	return g, err == nil
}

// openFile opens a file that exists and reads its header.
func openFile(fs vfs.FS, name string) (*file, error) {
	r, err := fs.Open(name, 0)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, r: r}
	if f.fileInfo, err = readInfo(r, name); err != nil {
		_ = r.Close()
		return nil, err
	}
	return f, nil
}

func readInfo(r vfs.File, name string) (fileInfo, error) {
	b := make([]byte, fileHeader)
	if err := readFull(r, b, 0); err != nil && !errors.Is(err, errShort) {
		return fileInfo{}, err
	}
	info, err := decodeFileInfo(b)
	if err != nil {
		return fileInfo{}, &DamagedError{File: name, Reason: err.Error()}
	}
	if g, _ := generationOf(name, logSuffix); g != info.generation {
		return fileInfo{}, &DamagedError{File: name, Reason: fmt.Sprintf("the header says generation %016x", info.generation)}
	}
	size, err := r.Size()
	if err != nil {
		return fileInfo{}, err
	}
	if size < info.size {
		return fileInfo{}, &DamagedError{File: name, Offset: size, Reason: fmt.Sprintf("the file should have %d bytes", info.size)}
	}
	info.size = size // a record that was larger than a file has made it grow
	return info, nil
}

// prepare makes the file of the given generation ready to take batches, from a spare one of at least the size, or new. It is named, and synced
// with its folder, before it is used.
func prepare(fs vfs.FS, dir string, info fileInfo, spare string) (*file, error) {
	temp := spare
	if temp == "" {
		temp = path.Join(dir, tempName)
	}
	w, err := fs.Open(temp, vfs.Create|vfs.Direct)
	if err != nil {
		return nil, err
	}
	if spare == "" {
		err = prewrite(w, info.size)
	}
	if err == nil {
		err = writeInfo(w, info)
	}
	if err == nil {
		err = w.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close(), fs.Remove(temp))
	}
	name := logName(dir, info.generation)
	if err := publish(fs, dir, temp, name); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	r, err := fs.Open(name, 0)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &file{fileInfo: info, name: name, r: r, w: w}, nil
}

// publish gives a file its name for good.
func publish(fs vfs.FS, dir, temp, name string) error {
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// prewrite fills a new file: a sync of bytes written before costs half of one that also has to record new extents (BenchmarkAppend).
func prewrite(w vfs.File, size int64) error {
	if err := w.Truncate(0); err != nil {
		return err
	}
	if err := w.Allocate(size); err != nil {
		return err
	}
	zero := vfs.Buffer(int(min(size, 1<<20)))
	for off := int64(0); off < size; off += int64(len(zero)) {
		if _, err := w.WriteAt(zero[:min(size-off, int64(len(zero)))], off); err != nil {
			return err
		}
	}
	return nil
}

func writeInfo(w vfs.File, info fileInfo) error {
	b := vfs.Buffer(vfs.Align)
	info.encode(b)
	_, err := w.WriteAt(b, 0)
	return err
}

// retire turns a file that nobody needs any more into a spare, or removes it. The folder has yet to be synced.
func (f *file) retire(fs vfs.FS, dir string, keep bool) (spare string, err error) {
	if err := f.close(ErrCut); err != nil {
		return "", err
	}
	if !keep {
		return "", fs.Remove(f.name)
	}
	spare = spareName(dir, f.generation)
	return spare, fs.Rename(f.name, spare)
}

// close waits for those who read; later ones get the reason.
func (f *file) close(reason error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone != nil {
		return nil
	}
	f.gone = reason
	err := f.r.Close()
	if f.w != nil {
		err = errors.Join(err, f.w.Close())
	}
	return err
}

// closeWrite says that no more batches come.
func (f *file) closeWrite() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.w
	if w == nil {
		return nil
	}
	f.w = nil
	return w.Close()
}

// readHeader reads the header of the batch at off, if there is one.

func (f *file) readHeader(off int64) (header, bool, error) {
	if off+batchHeader > f.size {
		return header{}, false, nil
	}
	var b [batchHeader]byte
	if err := readFull(f.r, b[:], off); err != nil && !errors.Is(err, errShort) {
		return header{}, false, err
	}
	h, ok := decodeHeader(f.fileInfo, off, b[:])
	return h, ok && h.end() <= vfs.AlignUp(f.size), nil
}

// readPayload reads into buf what h announces, and says whether it is what was written.
func (f *file) readPayload(h header, buf []byte) ([]byte, bool, error) {
	if int64(cap(buf)) < h.length {
		buf = make([]byte, h.length)
	}
	buf = buf[:h.length]
	err := readFull(f.r, buf, h.offset+batchHeader)
	if errors.Is(err, errShort) {
		return buf, false, nil
	}
	return buf, err == nil && payloadSum(0, buf) == h.payload, err
}

// addMark remembers where a batch lies unless one close before it is known.
func (f *file) addMark(h header) {
	if n := len(f.marks); n == 0 || h.offset-f.marks[n-1].offset >= markEvery {
		f.marks = append(f.marks, mark{h.first, h.offset})
	}
}

// markBefore is the offset to look for pos from.
func (f *file) markBefore(pos uint64) int64 {
	i := sort.Search(len(f.marks), func(i int) bool { return f.marks[i].first > pos })
	if i == 0 {
		return dataStart
	}
	return f.marks[i-1].offset
}
