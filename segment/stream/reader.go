package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/encoding/protowire"
)

func fieldOf(k Kind) protowire.Number { return protowire.Number(k) }

// Record is one of a stream. Of its fields those are set that its kind has.
type Record struct {
	Kind   Kind
	N      uint64 // of a chunk or node: how many came before it
	Data   []byte // of a chunk: its bytes; of a version: what is known of it. Valid until the next call of Next
	List   List   // of a node; of a version: its content
	Header Header
	End    End
}

// Damage is a place where a stream is not as it was written.
type Damage struct {
	Offset int64  // in the stream, in bytes
	Bytes  int64  // that were passed over
	Frames uint64 // that are missing, as far as that can be told
	Lost   uint64 // chunks and nodes that are missing
	Why    error
}

// Reader reads a stream, in 9 MiB of memory, the longest frame. It gives out nothing that was not checked. It is not safe for
// concurrent use.
type Reader struct {
	// Damaged, unless nil, is told of each damage, and reading goes on behind it as long as it returns nil. Else damage ends the reading.
	Damaged func(Damage) error

	in     *bufio.Reader
	offset int64  // of what in gives next
	rest   []byte // of the frame that is read, in the buffer of in
	number uint64 // of the next frame
	next   uint64 // number of the next chunk or node
	heads  *blake3.Hasher
	whole  bool // there was no damage so far
	begun  bool
	so     End
	atEnd  bool // the frame that is read is the last one
	done   bool
	err    error
}

// NewReader reads a stream from in, of which it may read more than the stream.
func NewReader(in io.Reader) *Reader { return newReader(in, headSize+maxBody) }

// newReader reads frames up to a length.
func newReader(in io.Reader, longest int) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, longest), heads: blake3.New(), whole: true}
}

// Next is the next record: first the header, last the end. Behind that it is io.EOF, after damage that was told of perhaps without an end. It fails with
// ErrDamaged, ErrShort or ErrFormat, wrapped, or with the error of what is read from; after that nothing can be read.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.record()
	if err != nil {
		r.err = err
	}
	return rec, err
}

func (r *Reader) record() (Record, error) {
	for len(r.rest) == 0 {
		if r.done {
			return Record{}, r.ended()
		}
		if err := r.frame(); err != nil {
			return Record{}, err
		}
	}
	num, typ, n := protowire.ConsumeTag(r.rest)
	if n != 1 || typ != protowire.BytesType || num > fieldOf(KindEnd) {
		return Record{}, fmt.Errorf("a record of kind %d at byte %d: %w", num, r.offset, ErrFormat)
	}
	data, m := protowire.ConsumeBytes(r.rest[n:])
	if m < 0 || len(data) == 0 || len(data) > MaxRecord || m != protowire.SizeBytes(len(data)) {
		return Record{}, fmt.Errorf("a record of kind %d before byte %d: %w", num, r.offset, ErrFormat)
	}
	r.rest = r.rest[n+m:]
	rec, err := r.parse(Kind(num), data)
	if err != nil {
		return rec, fmt.Errorf("before byte %d: %w", r.offset, err)
	}
	return rec, nil
}

func (r *Reader) parse(k Kind, data []byte) (rec Record, err error) {
	rec.Kind = k
	if r.begun == (k == KindHeader) || (k == KindEnd) != r.atEnd {
		return rec, fmt.Errorf("a record of kind %d in the wrong place: %w", k, ErrFormat)
	}
	switch k {
	case KindHeader:
		r.begun = true
		rec.Header, err = parseHeader(data)
	case KindChunk:
		rec.Data, rec.N = data, r.next
		r.next++
		r.so.Chunks++
		r.so.Bytes += int64(len(data))
	case KindNode:
		rec.N = r.next
		rec.List, err = parseList(data, r.next)
		r.next++
		r.so.Nodes++
		if len(rec.List.Refs) == 0 {
			err = fmt.Errorf("a node of nothing: %w", ErrFormat)
		}
	case KindVersion:
		rec.Data, rec.List, err = r.version(data)
	case KindEnd:
		r.done = true
		if rec.End, err = parseEnd(data); err == nil {
			err = r.check(rec.End)
		}
	}
	return rec, err
}

func (r *Reader) version(data []byte) (raw []byte, l List, err error) {
	err = fields(data, func(num protowire.Number, _ uint64, data []byte) bool {
		switch {
		case num == 1 && data != nil:
			raw = data
		case num == 2 && data != nil:
			l, err = parseList(data, r.next)
			return err == nil
		default:
			return false
		}
		return true
	})
	if err == nil && raw == nil {
		err = fmt.Errorf("a version without what it is: %w", ErrFormat)
	}
	r.so.Versions++
	for _, ref := range l.Refs {
		if r.so.Logical += ref.Size; r.so.Logical < 0 {
			err = fmt.Errorf("versions of too many bytes: %w", ErrFormat)
		}
	}
	return raw, l, err
}

// check compares what was read with what the end says.
func (r *Reader) check(e End) error {
	if len(r.rest) > 0 {
		return fmt.Errorf("more than the end in the last frame: %w", ErrFormat)
	}
	if !r.whole {
		return nil
	}
	so := r.so
	r.heads.Sum(so.Hash[:0])
	if e != so {
		return fmt.Errorf("the stream is not what its end says: %w", ErrDamaged)
	}
	return nil
}

// ended is io.EOF, unless something lies behind the end.
func (r *Reader) ended() error {
	switch _, err := r.in.Peek(1); {
	case err == io.EOF:
		return io.EOF
	case err != nil:
		return err
	}
	return r.tell(Damage{Offset: r.offset, Why: fmt.Errorf("more behind the end: %w", ErrDamaged)}, io.EOF)
}

// tell tells of damage, and returns then, or why reading cannot go on.
func (r *Reader) tell(d Damage, then error) error {
	r.whole = false
	if r.Damaged == nil || !r.begun { // nothing can be made of what follows without the header
		return fmt.Errorf("at byte %d: %w", d.Offset, d.Why)
	}
	if err := r.Damaged(d); err != nil {
		return err
	}
	return then
}

// frame finds the next whole frame, here or, where damage is told of, behind it.
func (r *Reader) frame() error {
	d := Damage{Offset: r.offset}
	for {
		h, raw, err := r.look()
		switch {
		case errors.Is(err, io.EOF):
			return r.short(d)
		case err == nil && d.Why == nil && h.number == r.number && h.first == r.next:
			return r.take(h, raw)
		case err == nil && h.number >= r.number && h.first >= r.next:
			if d.Why == nil {
				d.Why = fmt.Errorf("frame %d where frame %d should be: %w", h.number, r.number, ErrDamaged)
			}
			d.Bytes, d.Frames, d.Lost = r.offset-d.Offset, h.number-r.number, h.first-r.next
			if err := r.tell(d, nil); err != nil {
				return err
			}
			return r.take(h, raw)
		case err == nil: // what was read before
			err = fmt.Errorf("frame %d where frame %d should be: %w", h.number, r.number, ErrDamaged)
			r.skip(len(raw))
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrShort):
			if r.Damaged != nil {
				r.seek()
			}
		default:
			return err
		}
		if d.Why == nil {
			d.Why = err
		}
		if r.Damaged == nil {
			return r.tell(d, nil)
		}
	}
}

// take gives out the frame that begins here.
func (r *Reader) take(h head, raw []byte) error {
	r.number, r.next, r.rest, r.atEnd = h.number+1, h.first, raw[headSize:], endsStream(raw[headSize:])
	if !r.atEnd {
		_, _ = r.heads.Write(raw[:headSize])
	}
	r.skip(len(raw)) // what was looked at stays until the next look
	return nil
}

// endsStream says whether a frame is the last one, which has the end alone.
func endsStream(body []byte) bool {
	return len(body) > 0 && body[0] == byte(protowire.EncodeTag(fieldOf(KindEnd), protowire.BytesType))
}

// short is the end of what there is, without an end of the stream.
func (r *Reader) short(d Damage) error {
	if d.Why == nil {
		d.Why = ErrShort
	}
	d.Bytes = r.offset - d.Offset
	return r.tell(d, io.EOF)
}

// look checks the frame that begins here, and takes nothing. What it returns is valid until the next look.
func (r *Reader) look() (h head, raw []byte, err error) {
	raw, err = r.in.Peek(headSize)
	switch {
	case len(raw) >= len(magic) && !r.begun && r.offset == 0 && string(raw[:len(magic)]) != magic, err == io.EOF && !r.begun && r.offset == 0:
		return h, nil, fmt.Errorf("%w: it does not begin as one", ErrFormat)
	case err == io.EOF && len(raw) > 0:
		return h, nil, ErrShort
	case err != nil:
		return h, nil, err
	}
	if h, err = parseHead(raw); err != nil {
		return h, nil, err
	}
	raw, err = r.in.Peek(headSize + int(h.length))
	switch {
	case err == io.EOF:
		return h, nil, ErrShort
	case err != nil:
		return h, nil, err
	case sumOf(raw[headSize:]) != h.sum:
		return h, nil, fmt.Errorf("checksum of frame %d: %w", h.number, ErrDamaged)
	}
	return h, raw, nil
}

// seek passes over what does not begin as a frame, at least one byte.
func (r *Reader) seek() {
	r.skip(1)
	for {
		window, err := r.in.Peek(r.in.Size())
		if i := bytes.Index(window, []byte(magic)); i >= 0 {
			r.skip(i)
			return
		}
		if err != nil { // what is read from says it again
			r.skip(len(window))
			return
		}
		r.skip(len(window) - len(magic) + 1)
	}
}

// skip passes over bytes that were looked at.
func (r *Reader) skip(n int) {
	n, _ = r.in.Discard(n)
	r.offset += int64(n)
}
