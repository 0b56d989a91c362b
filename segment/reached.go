package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/dedup"
)

// reached is what a mark has found: the chunks that roots reach, writers list and pins hold. Of a store of very many chunks it is a part: those whose names fall into it.
type reached struct {
	s           *Segment
	part, parts uint64
	most        int // chunks that there may be

	ids    idset.Set // named, unless owners has them
	owners *owners   // which buckets reach them; nil where nobody asks
	budget int64     // beyond so many named, which cost is not worth it any more; 0: no bound
	given  bool      // it was not
	walked idset.Set // nodes of trees whose children were named
	lists  idset.Set // nodes of manifests, as above
	listed dedup.Listed
	later  []heldRoot // that documents of the local bucket name

	history []*KeptHistory // what only states that are remembered reach, for each bucket
	past    past           // the state that is walked, if it is one of these

	told  func(id chunk.ID, why string, b *Bucket, key string) // of each chunk that is named; nil for nobody
	named int64                                                // chunks, with repetition
	step  func(named int64)                                    // progress
}

// The kinds of nodes: one that looks like another is walked as both.
const (
	headsNode   = 0x9ae16a3b2f90404f
	historyNode = 0xc949c7defa2b1e93
)

// keep says whether collection must spare a chunk.
func (r *reached) keep(id chunk.ID) bool {
	x := idset.Of(id)
	return !r.mine(x) || r.has(x) || r.listed.Has(id)
}

func (r *reached) has(x uint64) bool {
	if r.owners != nil {
		return r.owners.of.Find(x) != nil
	}
	return r.ids.Has(x)
}

func (r *reached) len() int {
	if r.owners != nil {
		return r.owners.of.Len()
	}
	return r.ids.Len()
}

func (r *reached) add(x uint64, b *Bucket) {
	switch {
	case r.owners == nil:
		r.ids.Add(x)
	case b == nil:
		r.owners.add(x, nobody)
	case r.given:
		r.owners.add(x, tooMany)
	default:
		r.owners.add(x, r.owners.bucket(b.id))
	}
}

// salt has each bucket walk all that it reaches, where it matters who does.
func (r *reached) salt(b *Bucket) uint64 {
	if r.owners == nil || r.given || b == nil {
		return 0
	}
	return uint64(r.owners.bucket(b.id)) * 0x9e3779b97f4a7c15
}

func (r *reached) mine(x uint64) bool { return r.parts <= 1 || (x>>32)%r.parts == r.part }

// errMany says that a mark knows of more chunks than it may.
var errMany = errors.New("more chunks are reached than memory allows for")

func (r *reached) few() error {
	if r.len() > r.most {
		return errMany
	}
	return nil
}

func (r *reached) name(id chunk.ID, b *Bucket) {
	if x := idset.Of(id); r.mine(x) {
		r.add(x, b)
	}
	if r.budget > 0 && r.named > r.budget {
		r.given = true
	}
	if r.named++; r.named%(1<<16) == 0 && r.step != nil {
		r.step(r.named)
	}
}

// mark finds everything. What writers have listed comes first: whoever's commit is applied after that, and before the roots are looked at, was listed; whoever's
// is applied later still is.
func (r *reached) mark(ctx context.Context) error {
	r.listed = r.s.sparing.lists.Gather(func(x uint64) {
		if r.mine(x) {
			r.add(x, nil)
		}
	})
	set, err := r.s.roots()
	if err != nil {
		return err
	}
	for _, p := range r.listed.Pins {
		m := r.marker(p.Store, "in use", nil)
		if err := m.Mark(ctx, p.Manifest, ""); err != nil {
			return err
		}
		if err := m.Flush(ctx); err != nil {
			return err
		}
	}
	for _, o := range set.overs {
		if err := r.overlay(ctx, o); err != nil {
			return fmt.Errorf("bucket %v, %s: %w", o.b.id, o.why, err)
		}
	}
	for len(set.roots) > 0 {
		for _, h := range set.roots {
			if err := r.root(ctx, h); err != nil {
				return fmt.Errorf("bucket %v, %s: %w", h.b.id, h.why, err)
			}
		}
		set.roots, r.later = r.later, nil
	}
	return nil
}

// marker finds what manifests reach whose nodes are in a store.
func (r *reached) marker(nodes chunk.Store, why string, b *Bucket) *dedup.Marker {
	return &dedup.Marker{Nodes: nodes, Walked: &r.lists, Salt: r.salt(b), Sized: r.sized, Name: func(id chunk.ID, key string) {
		r.name(id, b)
		if r.told != nil {
			r.told(id, why, b, key)
		}
	}}
}

// markers are those of one root or overlay: in the local bucket, of the buckets that parts of uploads are for.
type markers struct {
	r   *reached
	why string
	b   *Bucket
	own *dedup.Marker
	of  map[BucketID]*dedup.Marker
}

func (r *reached) markers(why string, b *Bucket) *markers {
	return &markers{r: r, why: why, b: b, own: r.marker(b.chunks.Meta, why, b)}
}

// version names what a version reaches.
func (m *markers) version(ctx context.Context, v *Version) error {
	if err := m.r.few(); err != nil {
		return err
	}
	if m.b.id == localBucket && strings.HasPrefix(v.Key, docRoot) {
		return m.r.remembered(v)
	}
	return m.target(v.Key).Mark(ctx, v.Content, v.Key)
}

func (m *markers) target(key string) *dedup.Marker {
	if m.b.id != localBucket {
		return m.own
	}
	name, _, _ := strings.Cut(key, "/")
	id, err := ParseBucketID(name)
	b := m.r.s.bucket(id)
	if err != nil || b == nil {
		return m.own
	}
	if m.of[id] == nil {
		if m.of == nil {
			m.of = map[BucketID]*dedup.Marker{}
		}
		m.of[id] = m.r.marker(b.chunks.Meta, "upload", b)
	}
	return m.of[id]
}

func (m *markers) flush(ctx context.Context) error {
	for _, o := range m.of {
		if err := o.Flush(ctx); err != nil {
			return err
		}
	}
	if err := m.own.Flush(ctx); err != nil {
		return err
	}
	return m.r.few()
}

// remembered notes a root that a document of the local bucket names.
func (r *reached) remembered(v *Version) error {
	h, err := r.s.rememberedRoot(v)
	if err == nil {
		h.past.kept = r.pastOf(h.b)
		h.past.until = h.past.kept.state(h.past.at, r.s.cfg.Clock(), r.s.cfg.RememberFor)
		r.later = append(r.later, h)
	}
	return err
}

// rememberedRoot is the root that a document of the local bucket names.
func (s *Segment) rememberedRoot(v *Version) (h heldRoot, _ error) {
	e, err := parseRootEntry(v.Data)
	if err != nil {
		return h, err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(v.Key, docRoot), "/")
	id, err := ParseBucketID(name)
	if err != nil {
		return h, err
	}
	b := s.bucket(id)
	if b == nil {
		return h, fmt.Errorf("root of bucket %v: %w", id, ErrNoSuchBucket)
	}
	n, err := b.newBase(0, foldItem{root: e.root, stats: e.stats})
	return heldRoot{why: "remembered as of " + e.time.Time().UTC().Format(momentFormat), b: b, n: n, past: past{at: e.time}}, err
}

// root names what a state of a bucket reaches. It asks no peer.
func (r *reached) root(ctx context.Context, h heldRoot) error {
	n := h.n
	if n.here != nil {
		n = n.here
	}
	r.past = h.past
	ms := r.markers(h.why, h.b)
	node := func(id chunk.ID) {
		r.name(id, h.b)
		if r.told != nil {
			r.told(id, h.why, h.b, "")
		}
	}
	first := func(kind uint64) func(chunk.ID) bool {
		return func(id chunk.ID) bool {
			node(id)
			return r.walked.Add(idset.Of(id) ^ kind ^ r.salt(h.b))
		}
	}
	if !n.id.IsZero() { // of a state that is being made there is no root yet
		node(n.id)
	}
	if err := n.headTree.Reach(ctx, first(headsNode), node, func(_, _ []byte) error { return nil }); err != nil {
		return err
	}
	err := n.historyTree.Reach(ctx, first(historyNode), node, func(k, raw []byte) error {
		key, id, err := parseHistoryKey(k)
		if err != nil {
			return err
		}
		v, err := n.decodeVersion(key, id, bytes.Clone(raw))
		if err != nil {
			return err
		}
		return ms.version(ctx, v)
	})
	if err != nil {
		return err
	}
	return ms.flush(ctx)
}

// overlay names what records since a fold reach, those too that were undone since.
func (r *reached) overlay(ctx context.Context, o heldOverlay) error {
	ms := r.markers(o.why, o.b)
	var failed error
	o.overlay.Scan(func(key string, k *overlayKey) bool {
		d, err := k.delta(key)
		if err == nil {
			var w *deltaWalk
			w, err = d.from(key, nil)
			for ; err == nil && w.ok; err = w.next() {
				if w.v.now == nil {
					continue
				}
				if err = ms.version(ctx, w.v.now); err != nil {
					break
				}
			}
		}
		failed = err
		return err == nil
	})
	if failed != nil {
		return failed
	}
	for _, t := range o.records {
		rec, err := parseRecord(t.raw)
		if err != nil {
			return err
		}
		for i := range rec.effects {
			if v := rec.effects[i].hold; v != nil {
				if err := ms.version(ctx, v); err != nil {
					return err
				}
			}
		}
	}
	return ms.flush(ctx)
}
