package segment

import (
	"context"
	"io"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/segment/tree"
)

// Salvaged is a version that was found.
type Salvaged struct {
	Bucket  string // its name, or its id where that is not known
	Current bool   // it is what a reader of the key gets, as far as that can be told
	Version Version
	Object  *Object // reads what is here
}

// Salvage yields every version of content of every bucket that can be found, of snapshots and remembered states too, each once, whatever parts of trees cannot be read. Keys that
// are the segment's own are left out. It is for a segment that was opened by [Inspect]. An error is yield's or the context's.
func (s *Segment) Salvage(ctx context.Context, yield func(Salvaged) error) error {
	set := &rootSet{}
	_ = s.rootsNow(set) // what cannot be used of them was told by a check
	v := salvage{s: s, yield: yield, seen: map[BucketID]*idset.Set{}, gone: map[BucketID]map[VersionID]bool{}}
	for _, o := range set.overs {
		if err := v.overlay(ctx, o); err != nil {
			return err
		}
	}
	for len(set.roots) > 0 {
		roots := set.roots
		set.roots, v.later = nil, nil
		for _, h := range roots {
			if err := v.root(ctx, h); err != nil {
				return err
			}
		}
		if set.roots = v.later; v.faults > 0 && !v.older { // what the state before had may be read
			v.older = true
			_ = s.rootsOfStates(set)
		}
	}
	return ctx.Err()
}

type salvage struct {
	s     *Segment
	yield func(Salvaged) error
	seen  map[BucketID]*idset.Set
	gone  map[BucketID]map[VersionID]bool // that records since a fold took away: a base still has them
	later []heldRoot

	faults int
	older  bool // the states' roots were asked for
}

func (v *salvage) overlay(ctx context.Context, o heldOverlay) error {
	var failed error
	o.overlay.Scan(func(key string, k *overlayKey) bool {
		d, err := k.delta(key)
		if err != nil {
			return true
		}
		w, err := d.from(key, nil)
		for ; err == nil && w.ok; err = w.next() {
			if w.v.now == nil {
				if v.gone[o.b.id] == nil {
					v.gone[o.b.id] = map[VersionID]bool{}
				}
				v.gone[o.b.id][w.v.id] = true
				continue
			}
			if failed = v.version(ctx, o.b, w.v.now); failed != nil {
				return false
			}
		}
		return true
	})
	return failed
}

func (v *salvage) root(ctx context.Context, h heldRoot) error {
	gone := v.gone[h.b.id]
	if h.n != h.b.current() && h.why != stateRoot { // a snapshot keeps what the bucket does not
		gone = nil
	}
	_, err := h.n.here.historyTree.Check(ctx, tree.CheckOptions{
		First: func(chunk.ID, bool) bool { return true },
		Fault: func(chunk.ID, error) { v.faults++ },
		Entry: func(k, raw []byte) error {
			key, id, err := parseHistoryKey(k)
			if err != nil || gone[id] {
				return ctx.Err()
			}
			held, err := h.n.decodeVersion(key, id, raw)
			if err != nil {
				return ctx.Err()
			}
			return v.version(ctx, h.b, held)
		},
	})
	return err
}

func (v *salvage) version(ctx context.Context, b *Bucket, held *Version) error {
	if b.id == localBucket || b.id == FederationBucket {
		if b.id == localBucket && strings.HasPrefix(held.Key, docRoot) {
			if h, err := v.s.rememberedRoot(held); err == nil {
				v.later = append(v.later, h)
			}
		}
		return ctx.Err()
	}
	if held.Marker || reserved(held.Key) {
		return ctx.Err()
	}
	if v.seen[b.id] == nil {
		v.seen[b.id] = new(idset.Set)
	}
	if !v.seen[b.id].Add(idset.Of(b.domain.Name(historyKey(held.Key, held.VersionID)))) {
		return nil
	}
	o := b.objectIn(*held, func([]chunk.ID) chunk.Store { return v.s.cfg.Chunks.Open(b.domain, chunk.Cache) })
	return v.yield(Salvaged{b.calledName(), v.isCurrent(ctx, b, held), *held, o})
}

// isCurrent says whether the version is what is read of its key. Where the head cannot be read, none is known to be newer.
func (v *salvage) isCurrent(ctx context.Context, b *Bucket, held *Version) bool {
	h, err := b.view(held.Key).head(ctx, held.Key)
	if err != nil || len(h.versions) == 0 {
		return false
	}
	return h.versions[0].VersionID == held.VersionID
}

// Hole is a part of an object that cannot be read.
type Hole struct {
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	Why    string `json:"why"`
}

// SalvageTo writes what can be read of the object to w, each byte where it belongs, and returns the parts that cannot be. An error is that of w, or the context's.
func (o *Object) SalvageTo(ctx context.Context, w io.WriterAt) (holes []Hole, _ error) {
	for p, err := range o.Pieces(ctx) {
		if ctx.Err() != nil {
			return holes, ctx.Err()
		}
		if err == nil && p.Level > 0 {
			continue
		}
		if err == nil {
			var failed error
			_, err = o.ReadRange(ctx, &offsetWriter{w, p.Offset, &failed}, p.Offset, p.Size)
			if failed != nil {
				return holes, failed
			}
		}
		if err != nil {
			holes = addHole(holes, Hole{p.Offset, p.Size, err.Error()})
		}
	}
	return holes, ctx.Err()
}

// addHole makes one of holes that lie together.
func addHole(holes []Hole, h Hole) []Hole {
	if n := len(holes); n > 0 && holes[n-1].Offset+holes[n-1].Size == h.Offset {
		holes[n-1].Size += h.Size
		return holes
	}
	return append(holes, h)
}

// offsetWriter writes one piece, and remembers why that failed.
type offsetWriter struct {
	w      io.WriterAt
	at     int64
	failed *error
}

func (o *offsetWriter) Write(p []byte) (int, error) {
	n, err := o.w.WriteAt(p, o.at)
	o.at += int64(n)
	if err != nil {
		*o.failed = err
	}
	return n, err
}
