package segment

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/chunk"
)

// flushTask is [FileHandle.Flush]: the request's key is one of the file's names, and what it puts is the content, where that was written.
type flushTask struct {
	id    FileID
	seen  *VersionID
	wrote time.Time // zero for none
	set   SetFile
}

func (*flushTask) verb() verb { return verbFlush }

func (t *flushTask) appendTo(b []byte) []byte {
	b = putMessage(b, 1, t.id[:])
	if t.seen != nil {
		b = putPart(b, 2, t.seen.appendTo)
	}
	if !t.wrote.IsZero() {
		b = putPart(b, 3, func(b []byte) []byte { return putFixed(b, 1, uint64(t.wrote.UnixNano())) })
	}
	return putSome(b, 4, t.set.appendTo)
}

func (t *flushTask) take(f field) (err error) {
	switch {
	case f.num == 1 && len(f.b) == len(t.id):
		t.id = FileID(f.b)
	case f.num == 2 && f.typ == protowire.BytesType:
		t.seen = new(VersionID)
		*t.seen, err = parseVersionID(f.b)
	case f.num == 3 && f.typ == protowire.BytesType:
		var at *time.Time
		at, err = parseFileTime(f.b)
		t.wrote = *at
	case f.num == 4 && f.typ == protowire.BytesType:
		t.set, err = parseSetFile(f.b)
	default:
		err = badFormat("flush of a file")
	}
	return err
}

func (t *flushTask) check(r *Request) error {
	if t.id == (FileID{}) {
		return fmt.Errorf("a flush of no file: %w", ErrRefused)
	}
	return r.ofKey()
}

func (t *flushTask) do(ctx context.Context, b *Bucket, r *Request, c Cond) (outcome, error) {
	w := flushed{id: t.id, key: r.key, seen: t.seen, wrote: t.wrote, set: t.set}
	if r.put != nil {
		w.content, w.payload = &r.put.Content, r.chunks(b.domain)
	}
	at, err := Files{b, c.request}.flush(ctx, w)
	if err != nil {
		return outcome{}, err
	}
	return outcome{version: at.version.VersionID}, nil
}

// commitElsewhere has the home make the handle's draft a version of the file. The caller holds mu.
func (h *FileHandle) commitElsewhere(ctx context.Context, w flushed) (at found, err error) {
	b := h.f.b
	r := &Request{verb: verbFlush, key: w.key, task: &flushTask{w.id, w.seen, w.wrote, w.set}}
	if w.content != nil {
		r.put = &Version{Key: w.key, Content: *w.content, Attrs: Attrs{ETag: b.rootETag(*w.content)}}
		if err := r.carry(ctx, w.payload, h.list.Store(b.chunks.Data)); err != nil {
			return at, err
		}
	}
	old := Reading{Ref: Ref{b.id, w.key, h.version}}
	out, err := b.forward(ctx, r, func(path []chunk.ID) chunk.Store { // what the draft shares with the old version may be elsewhere
		old.Path = path
		return b.readStore(old)
	})
	if err != nil {
		return at, err
	}
	at.links, err = h.names(ctx)
	if err != nil {
		return at, err
	}
	if at.version = at.links.newest; at.version.VersionID != out.version && w.content != nil { // somebody wrote it again: the handle is behind, as any is then
		v := *r.put
		v.VersionID, v.Holds = out.version, []Dot{out.version.Dot}
		at.version = &v
	}
	return at, nil
}

// carry gives a request the chunks that it has room for; more of them are made durable here, where the home asks for them.
func (r *Request) carry(ctx context.Context, all []chunk.Chunk, here chunk.Store) error {
	if len(all) > maxPayload {
		return here.Put(ctx, all)
	}
	for _, c := range all {
		r.payload = append(r.payload, c.Data())
	}
	return nil
}
