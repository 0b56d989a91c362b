package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of frames, by what they carry.
const (
	MaxJoin    = 64 << 10
	MaxControl = 4 << 20
	MaxBatch   = 16 << 20
	MaxNodes   = 16 << 20
	MaxPieces  = 10 << 20 // one chunk of the greatest size fits
)

// Message is what a frame carries.
type Message interface {
	// Append appends the encoded message.
	Append(b []byte) []byte
	// Parse reads a message, which may share b. The message must be zero before.
	Parse(b []byte) error
}

// Writer writes frames: the length of a message as a varint, then the message. It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter writes to w, each frame in one Write.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one message.
func (w *Writer) Write(m Message) error {
	const room = binary.MaxVarintLen32
	w.buf = m.Append(append(w.buf[:0], make([]byte, room)...))
	size := binary.AppendUvarint(nil, uint64(len(w.buf)-room))
	frame := w.buf[room-len(size):]
	copy(frame, size)
	_, err := w.w.Write(frame)
	return err
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader reads from r, ahead of what is asked for.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 4<<10)} }

// Rest is what follows the frames read so far.
func (r *Reader) Rest() io.Reader { return r.r }

// Read reads one message of at most limit bytes into m, which may then share the reader's buffer until the next Read. It returns io.EOF
// when the peer ended before a frame.
func (r *Reader) Read(m Message, limit int) error {
	size, err := binary.ReadUvarint(r.r)
	if err != nil {
		return err
	}
	if size > uint64(limit) {
		return fmt.Errorf("frame of %d bytes: %w", size, ErrMalformed)
	}
	if err := r.fill(int(size)); err != nil {
		return err
	}
	return m.Parse(r.buf)
}

// fill reads size bytes, and allocates only as they come.
func (r *Reader) fill(size int) error {
	const step = 256 << 10
	r.buf = r.buf[:0]
	for len(r.buf) < size {
		n := min(size-len(r.buf), max(step, cap(r.buf)-len(r.buf), len(r.buf)))
		from := len(r.buf)
		if cap(r.buf) < from+n {
			r.buf = append(make([]byte, 0, from+n), r.buf...)
		}
		r.buf = r.buf[:from+n]
		if _, err := io.ReadFull(r.r, r.buf[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
