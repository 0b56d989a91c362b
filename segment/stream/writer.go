package stream

import (
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// Writer writes a stream. What it is given is in the stream in that order, and the same calls give the same bytes. An error is final. It is not safe for
// concurrent use.
type Writer struct {
	out    io.Writer
	body   []byte
	number uint64 // of the next frame
	first  uint64 // chunks and nodes before it
	heads  *blake3.Hasher
	end    End
	err    error
}

// NewWriter begins a stream. Why it could not is the error of what is written next.
func NewWriter(out io.Writer, h Header) *Writer {
	w := &Writer{out: out, heads: blake3.New()}
	if w.err = w.record(KindHeader, h.append(nil)); w.err == nil {
		w.err = w.flush() // alone, so that it is not lost with others
	}
	return w
}

// Chunk writes a chunk and returns its number. It keeps nothing of data.
func (w *Writer) Chunk(data []byte) (n uint64, err error) {
	if len(data) == 0 || len(data) > MaxRecord {
		return 0, fmt.Errorf("a chunk of %d bytes: %w", len(data), ErrFormat)
	}
	n = w.end.Chunks + w.end.Nodes
	w.end.Chunks++
	w.end.Bytes += int64(len(data))
	return n, w.record(KindChunk, data)
}

// Node writes a node and returns its number.
func (w *Writer) Node(l List) (n uint64, err error) {
	n = w.end.Chunks + w.end.Nodes
	body := l.append(nil, n)
	w.end.Nodes++
	return n, w.record(KindNode, body)
}

// Version writes a version: what is known of it but its content, and that.
func (w *Writer) Version(raw []byte, content List) error {
	at := w.end.Chunks + w.end.Nodes
	body := appendBytes(nil, 1, raw)
	body = appendBytes(body, 2, content.append(nil, at))
	w.end.Versions++
	for _, r := range content.Refs {
		w.end.Logical += r.Size
	}
	return w.record(KindVersion, body)
}

// record appends one, and writes the frame once it is large enough.
func (w *Writer) record(k Kind, data []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case len(data) > MaxRecord:
		return fmt.Errorf("a record of %d bytes: %w", len(data), ErrFormat)
	}
	w.body = appendBytes(w.body, fieldOf(k), data)
	if len(w.body) < wantBody {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	h := head{number: w.number, first: w.first, length: uint32(len(w.body)), sum: sumOf(w.body)}.encode()
	_, _ = w.heads.Write(h[:])
	if _, w.err = w.out.Write(h[:]); w.err == nil {
		_, w.err = w.out.Write(w.body)
	}
	w.number++
	w.first = w.end.Chunks + w.end.Nodes
	w.body = w.body[:0]
	return w.err
}

// errEnded says that a stream was ended before.
var errEnded = errors.New("the stream has ended")

// End ends the stream: without it nobody takes it for whole. It returns what the last record says.
func (w *Writer) End() (End, error) {
	if w.err == nil && len(w.body) > 0 {
		w.err = w.flush()
	}
	if w.err != nil {
		return w.end, w.err
	}
	w.heads.Sum(w.end.Hash[:0])
	w.body = appendBytes(w.body, fieldOf(KindEnd), w.end.append(nil))
	if err := w.flush(); err != nil {
		return w.end, err
	}
	w.err = errEnded
	return w.end, nil
}

// So returns what has been written so far, without Hash.
func (w *Writer) So() End { return w.end }
