package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/internal/vfs"
)

// scan yields the whole records of a pack, in order, by looking at all of it. What is broken is passed over: records after it were acknowledged
// too. It does not believe the length of a record whose payload is broken, for that may be what a torn batch left.
func scan(ctx context.Context, f vfs.File, i packInfo, yield func(record)) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	w := window{f: f, size: size}
	for off := int64(dataStart); off+recordSize <= size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, ok, err := w.record(i, off)
		if err != nil {
			return err
		}
		if ok {
			yield(r)
			off = r.end()
			continue
		}
		if off, err = w.nextMagic(off + recordAlign); err != nil {
			return err
		}
	}
	return nil
}

// window is the part of a file that is in memory while it is read from start to end.
type window struct {
	f    vfs.File
	size int64
	buf  []byte
	off  int64 // of buf in the file
}

const windowSize = 4 << 20

// bytes returns n bytes at off, or less at the end of the file; they are valid until the next call.
func (w *window) bytes(off, n int64) ([]byte, error) {
	n = min(n, w.size-off)
	if off >= w.off && off+n <= w.off+int64(len(w.buf)) {
		return w.buf[off-w.off:][:n], nil
	}
	want := min(max(n, windowSize), w.size-off)
	if int64(cap(w.buf)) < want {
		w.buf = make([]byte, want)
	}
	w.buf, w.off = w.buf[:want], off
	if err := readFull(w.f, w.buf, off); err != nil && !errors.Is(err, errShort) {
		w.buf = w.buf[:0]
		return nil, err
	}
	return w.buf[:n], nil
}

// record reads the record at off, if there is a whole one.
func (w *window) record(i packInfo, off int64) (record, bool, error) {
	b, err := w.bytes(off, recordSize)
	if err != nil {
		return record{}, false, err
	}
	r, ok := decodeRecord(i, b)
	if !ok || r.offset != off || off+recordSize+int64(r.length) > w.size {
		return record{}, false, nil
	}
	b, err = w.bytes(off, recordSize+int64(r.length))
	if err != nil {
		return record{}, false, err
	}
	return r, payloadSum(b[recordSize:]) == r.sum, nil
}

// nextMagic looks for what may be the start of a record, from offset off on.
func (w *window) nextMagic(off int64) (int64, error) {
	for off < w.size {
		b, err := w.bytes(off, windowSize)
		if err != nil {
			return 0, err
		}
		at := bytes.Index(b, []byte(recordMagic))
		switch {
		case at < 0 && off+int64(len(b)) >= w.size:
			return w.size, nil
		case at < 0:
			off += int64(len(b) - len(recordMagic) + 1)
		case (off+int64(at))%recordAlign == 0:
			return off + int64(at), nil
		default:
			off += int64(at) + 1
		}
	}
	return w.size, nil
}

// readSeal reads the seal of a pack, if it has one.
func readSeal(f vfs.File, i packInfo) (seal, bool, error) {
	size, err := f.Size()
	if err != nil {
		return seal{}, false, err
	}
	b := make([]byte, infoSize)
	if err := readFull(f, b, sealStart); errors.Is(err, errShort) {
		return seal{}, false, nil
	} else if err != nil {
		return seal{}, false, err
	}
	s, ok := decodeSeal(i, size, b)
	return s, ok, nil
}

var errFooter = errors.New("the footer is damaged")

// readFooter returns the records that a sealed pack lists.
func readFooter(f io.ReaderAt, i packInfo, s seal) ([]record, error) {
	b := make([]byte, s.size())
	if err := readFull(f, b, s.footer); err != nil && !errors.Is(err, errShort) {
		return nil, err
	}
	if payloadSum(b) != s.sum {
		return nil, errFooter
	}
	records := make([]record, s.count)
	for n := range records {
		r, ok := decodeRecord(i, b[n*recordSize:])
		if !ok {
			return nil, fmt.Errorf("%w: entry %d", errFooter, n)
		}
		records[n] = r
	}
	return records, nil
}
