package segment

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/internal/finding"
)

// CheckOptions say what a check tells, and to whom. Neither is nil.
type CheckOptions struct {
	Tell     finding.Tell
	Progress func(CheckReport)
}

// CheckReport is what a check has looked at so far.
type CheckReport struct {
	Bucket   string `json:"bucket,omitempty"` // that is looked at
	Buckets  int    `json:"buckets"`
	Roots    int    `json:"roots"`    // states of buckets: current ones, snapshots, remembered ones
	Nodes    int64  `json:"nodes"`    // of trees, and values that are chunks
	Versions int64  `json:"versions"` // whose content was looked for
	Chunks   int64  `json:"chunks"`   // of content that were looked for, with repetition
	Absent   int64  `json:"absent"`   // versions of which a part is not here, and may be at other segments
}

// Check looks at everything that the segment's roots reach, as of one position of its log: trees in every respect that docs/format/tree.md names, versions, heads and
// figures of what is current, nodes of content, and whether each chunk of content is here. It does not read content. Reading and writing go on meanwhile, collection does not:
// ErrCollecting where one runs. What is damaged in a linked bucket's trees, and peers have, is mended on the way, as always when it is read.
//
// It remembers what it has walked, 11 to 16 bytes for each node. An error is the context's.
func (s *Segment) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	if !s.collects.running.TryLock() {
		return CheckReport{}, ErrCollecting
	}
	defer s.collects.running.Unlock()
	c := &checking{s: s, o: o, lone: len(s.Segments()) <= 1}
	set := &rootSet{}
	if err := s.rootsNow(set); err != nil {
		c.damage("segment.roots", nil, "", err.Error())
	}
	if err := s.rootsOfStates(set); err != nil {
		c.damage("segment.roots", nil, "", err.Error())
	}
	for _, b := range s.allBuckets() {
		c.report.Buckets++
		c.bucket(b)
	}
	for _, over := range set.overs {
		if err := c.overlay(ctx, over); err != nil {
			return c.report, err
		}
	}
	for len(set.roots) > 0 {
		roots := set.roots
		set.roots, c.later = nil, nil
		for _, h := range roots {
			if err := c.root(ctx, h); err != nil {
				return c.report, err
			}
		}
		set.roots = c.later
	}
	c.report.Bucket = ""
	return c.report, ctx.Err()
}

// checking is one check.
type checking struct {
	s      *Segment
	o      CheckOptions
	report CheckReport
	lone   bool // there never was another segment
	later  []heldRoot
	walked idset.Set // nodes of trees, by kind of tree
	faults int
	told   int64
}

// bucket tells of one that cannot be used. A branch that waits for what it begins with is not damaged; where it was deleted, that need not come any more.
func (c *checking) bucket(b *Bucket) {
	if err := b.waits(); err != nil {
		if !b.gone() {
			c.o.Tell(finding.Finding{Grade: finding.Note, Kind: "bucket.waits", Bucket: b.calledName(), What: err.Error()})
		}
		return
	}
	if err := b.Err(); err != nil {
		c.damage("bucket.broken", b, "", err.Error())
	}
}

func (c *checking) damage(kind string, b *Bucket, key, what string) {
	f := finding.Finding{Grade: finding.Damage, Kind: kind, Key: key, What: what}
	if b != nil {
		f.Bucket = b.calledName()
	}
	c.faults++
	c.o.Tell(f)
}

// step tells how far the check is, now and then.
func (c *checking) step() {
	if n := c.report.Nodes + c.report.Versions; n >= c.told {
		c.told = n + 1<<10
		c.o.Progress(c.report)
	}
}

// kinds of nodes: what was walked as the last one of its level, where it may end anywhere, was not walked as another.
func walkedAs(id chunk.ID, kind uint64, last bool) uint64 {
	if last {
		kind = ^kind
	}
	return idset.Of(id) ^ kind
}

// root checks a state of a bucket. Only of what is current the figures are counted again: of others that would mean to read what they share with it once more.
func (c *checking) root(ctx context.Context, h heldRoot) error {
	n, b := h.n, h.b
	c.report.Roots++
	c.report.Bucket = b.calledName()
	if !n.id.IsZero() && c.walked.Add(idset.Of(n.id)) {
		if err := c.held(ctx, h); err != nil {
			return err
		}
	}
	faults := c.faults
	if err := c.tree(ctx, h, HeadsTree, func(k, raw []byte) error {
		if _, err := parseHeadEntry(k, raw); err != nil {
			c.damage("tree.head", b, "", fmt.Sprintf("%s: the head of %q: %v", h.why, k, err))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := c.tree(ctx, h, HistoryTree, func(k, raw []byte) error { return c.entry(ctx, h, k, raw) }); err != nil {
		return err
	}
	if faults == c.faults && h.n == b.current() {
		return c.figures(ctx, h)
	}
	return nil
}

// current is the bucket's base now.
func (b *Bucket) current() *base {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.base
}

// held looks for the chunk that a root is. Its bytes are in the log and the state, too: a start puts it back.
func (c *checking) held(ctx context.Context, h heldRoot) error {
	err := h.b.chunks.Meta.Get(ctx, []chunk.ID{h.n.id}, func(chunk.Chunk) error { return nil })
	if err != nil && ctx.Err() == nil {
		f := finding.Finding{Grade: finding.Note, Kind: "bucket.root", Bucket: h.b.calledName(), What: fmt.Sprintf("%s: the root chunk: %v; it is written again when the bucket is folded or checked by the segment", h.why, err)}
		c.o.Tell(f)
	}
	return ctx.Err()
}

// entry checks a version of the history.
func (c *checking) entry(ctx context.Context, h heldRoot, k, raw []byte) error {
	key, id, err := parseHistoryKey(k)
	if err != nil {
		c.damage("tree.version", h.b, "", fmt.Sprintf("%s: the key %q of the history: %v", h.why, k, err))
		return nil
	}
	v, err := h.n.decodeVersion(key, id, raw)
	if err == nil && !canonical(raw, v.appendStored) {
		err = errors.New("its encoding is not the one that it should have")
	}
	if err != nil {
		c.damage("tree.version", h.b, key, fmt.Sprintf("%s: version %v: %v", h.why, id, err))
		return nil
	}
	return c.version(ctx, h.b, h.why, v)
}

// overlay checks the content of what was written since a fold.
func (c *checking) overlay(ctx context.Context, o heldOverlay) error {
	c.report.Bucket = o.b.calledName()
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
				if failed = c.version(ctx, o.b, o.why, w.v.now); failed != nil {
					return false
				}
			}
		}
		if err != nil {
			c.damage("log.version", o.b, key, err.Error())
		}
		return true
	})
	return failed
}
