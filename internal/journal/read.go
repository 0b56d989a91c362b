package journal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/internal/vfs"
)

// Read yields committed records, in order, from position from on, until it has yielded max bytes of data or reached the end. It returns the
// position to go on with. A record's data is valid during the call of yield; an error of yield ends Read, which returns it unwrapped, with the
// position of that record. Records that were cut give [ErrCut].
//
// The newest few MiB are in memory; older records are read from the disk.
func (j *Journal) Read(ctx context.Context, from uint64, max int64, yield func(Record) error) (next uint64, err error) {
	buf := j.buffers.Get().(*[]byte)
	defer func() {
		if int64(cap(*buf)) <= j.opts.MaxBatch+recentRead { // a large one is left to the garbage collector
			j.buffers.Put(buf)
		}
	}()
	place := place{}
	for next = from; max > 0 && next <= j.Last(); {
		if err := ctx.Err(); err != nil {
			return next, err
		}
		records, first, count, err := j.read(next, &place, (*buf)[:0])
		if err != nil {
			return next, fmt.Errorf("read journal from %d: %w", next, err)
		}
		*buf = records
		for r, err := range frames(records, first, count) {
			if err != nil {
				return next, fmt.Errorf("read journal from %d: %w", next, err)
			}
			if r.Pos < next {
				continue
			}
			if err := yield(r); err != nil {
				return next, err
			}
			next++
			if max -= int64(len(r.Data)); max <= 0 {
				break
			}
		}
	}
	return next, nil
}

// place is where a reader has come to in the files.
type place struct {
	file   *file
	offset int64
}

// read returns some records of which one has position pos, which is committed.
func (j *Journal) read(pos uint64, at *place, buf []byte) (payload []byte, first uint64, count uint32, err error) {
	if pos < j.First() {
		return nil, 0, 0, ErrCut
	}
	if payload, count := j.recent.read(pos, buf); count > 0 {
		return payload, pos, count, nil
	}
	f, off, err := j.find(pos)
	if err != nil {
		return nil, 0, 0, err
	}
	if at.file == f && at.offset > off {
		off = at.offset
	}
	h, payload, err := f.readBatch(pos, off, buf)
	at.file, at.offset = f, h.end()
	return payload, h.first, h.count, err
}

// find returns the file that holds pos and an offset from which on it is found.
func (j *Journal) find(pos uint64) (*file, int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if pos < j.first {
		return nil, 0, ErrCut
	}
	i := len(j.files) - 1
	for i > 0 && (j.files[i].first == 0 || j.files[i].first > pos) {
		i--
	}
	return j.files[i], j.files[i].markBefore(pos), nil
}

// readBatch goes from the batch at off to the one with pos and reads it.
func (f *file) readBatch(pos uint64, off int64, buf []byte) (header, []byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.gone != nil {
		return header{}, nil, f.gone
	}
	for {
		h, ok, err := f.readHeader(off)
		if err != nil {
			return header{}, nil, err
		}
		if !ok || h.first > pos {
			return header{}, nil, &DamagedError{f.name, off, fmt.Sprintf("no batch leads to record %d", pos)}
		}
		if pos >= h.next() {
			off = h.end()
			continue
		}
		payload, ok, err := f.readPayload(h, buf)
		if err == nil && !ok {
			err = &DamagedError{f.name, off, "the records' checksum is wrong"}
		}
		return h, payload, err
	}
}

var errShort = errors.New("file ends early")

// readFull reads len(b) bytes; a file that ends before gives errShort and zeros.
func readFull(r vfs.File, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	clear(b[n:])
	if errors.Is(err, io.EOF) {
		return errShort
	}
	return err
}
