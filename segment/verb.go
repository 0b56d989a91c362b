package segment

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// keyWrite is a write of one key: what there is to say of a verb when [Bucket.write] does what they all do.
type keyWrite struct {
	does string // to the key, as its errors say

	// ask says which key is written, and on what condition. It is what the bucket's home is asked to do where writes are made there.
	ask     Request
	payload []chunk.Chunk                     // chunks of the content that are durable nowhere yet
	open    func(path []chunk.ID) chunk.Store // what the home reads the content from; nil: what is here

	// aim says which key it is that is written, where that may be another than the one that was named; nil: that one.
	aim func(context.Context) (string, error)

	// plan decides, with the key's latch held. What the write comes to is the version that it puts, or else the outcome. With errStop it writes
	// nothing.
	plan func(ctx context.Context, key string) (plan, outcome, error)
}

// write makes a write of one key: durable, and there for every reader, when it returns; and at a second segment too, where the bucket's settings
// say so.
func (b *Bucket) write(ctx context.Context, w *keyWrite) (out outcome, err error) {
	if w.ask.cond.request == nil && b.elsewhere() {
		out, err = b.forward(ctx, w.request(), w.open)
	} else {
		out, err = b.writeHere(ctx, w)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("%s %q: %w", w.does, w.ask.key, err)
	}
	return out, nil
}

func (b *Bucket) writeHere(ctx context.Context, w *keyWrite) (out outcome, err error) {
	key := w.ask.key
	if w.aim != nil {
		if key, err = w.aim(ctx); err != nil {
			return out, err
		}
	}
	ack, err := b.acknowledging()
	if err != nil {
		return out, err
	}
	defer ack.await(ctx, &err)
	in, err := b.enter(ctx, key)
	if err != nil {
		return out, err
	}
	defer in.leave()
	p, out, err := w.plan(ctx, key)
	if err == errStop {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	put := p.r.puts()
	if put != nil {
		out = outcome{null: put.Null, marker: put.Marker}
	}
	w.ask.cond.note(p.r, out, put != nil)
	if err := ack.submit(p); err != nil {
		return out, err
	}
	if put != nil {
		out.version = put.VersionID
	}
	return out, nil
}

// puts is the version that a planned record makes of its first key, or nil.
func (r *record) puts() *Version {
	if v := r.effects[0].hold; v != nil && v.Dot == (Dot{}) {
		return v
	}
	return nil
}

// request is what the home is asked.
func (w *keyWrite) request() *Request {
	r := w.ask
	for _, c := range w.payload {
		r.payload = append(r.payload, c.Data())
	}
	return &r
}

// settle makes v, which was written elsewhere, the version that it has become.
func (v *Version) settle(out outcome) {
	v.VersionID, v.Null, v.Holds = out.version, out.null, []Dot{out.version.Dot}
}

// asItIs is a version that a write came to as it is now. Where a write from elsewhere took it away meanwhile it says no more than the outcome.
func (b *Bucket) asItIs(ctx context.Context, key string, out outcome) Version {
	v, err := b.view(key).resolve(ctx, key, VersionRef{ID: out.version})
	if err != nil {
		return Version{VersionID: out.version, Key: key, Null: out.null, Marker: out.marker}
	}
	return *v
}
