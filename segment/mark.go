package segment

import (
	"context"
	"fmt"
	"strings"

	"github.com/edgefs/edgefs/chunk"
)

// snapshotMark + a snapshot's id is a key of the local bucket: all nodes of the snapshot are here. A branch has one for what it begins with.
const snapshotMark = "snapshot/"

// mark is what a snapshot's mark says. Marks of builds that wrote nothing there say nothing, and stand for the same.
type mark struct {
	bucket BucketID
	root   chunk.ID // zero for a bucket that was never written to
}

const markFormat = 1

func (m *mark) appendTo(b []byte) []byte {
	b = putUint(b, 1, markFormat)
	b = putMessage(b, 2, m.bucket[:])
	if !m.root.IsZero() {
		b = putMessage(b, 3, m.root[:])
	}
	return b
}

func parseMark(b []byte) (m mark, err error) {
	format := uint64(0)
	err = eachField("mark", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			m.bucket, err = bucketIDOf(f.b)
		case 3:
			m.root, err = chunkIDOf(f.b)
		default:
			return fmt.Errorf("mark field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && format != markFormat {
		err = fmt.Errorf("mark format %d: %w", format, ErrForeign)
	}
	return m, err
}

// markOf is the mark of a snapshot.
func markOf(domain chunk.Domain, d *snapshotDoc) []byte {
	m := mark{bucket: d.bucket}
	if len(d.root) > 0 {
		m.root = domain.Name(d.root)
	}
	return m.appendTo(nil)
}

// markSnapshot says that all of a snapshot's nodes are here, or of what a branch begins with.
func (s *Segment) markSnapshot(ctx context.Context, domain chunk.Domain, d *snapshotDoc) error {
	_, err := s.local.put(ctx, Cond{}, Version{Key: snapshotMark + d.id.String(), Data: markOf(domain, d)}, nil)
	if err == nil && !s.names.knows(d) { // deleted meanwhile
		s.names.forgot()
	}
	return err
}

// hasSnapshot says whether all of a snapshot's nodes are here, from memory.
func (s *Segment) hasSnapshot(id SnapshotID) bool {
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	return s.names.marks[id]
}

// knows says whether there is such a document.
func (n *names) knows(d *snapshotDoc) bool {
	for _, o := range n.snapshotsOf(d.bucket) {
		if o.id == d.id {
			return true
		}
	}
	return false
}

// forgot says that a mark may stand for nothing any more.
func (n *names) forgot() {
	select {
	case n.forgotten <- struct{}{}:
	default:
	}
}

// marked takes in what a record did to the marks.
func (n *names) marked(s *Segment, r *record) error {
	for i := range r.effects {
		key := r.effects[i].key
		id, ok := markedSnapshot(key)
		if !ok {
			continue
		}
		s.local.mu.RLock()
		o, ok := s.local.overlay.Get(key)
		s.local.mu.RUnlock()
		if !ok {
			continue
		}
		h, err := o.head(key)
		if err != nil {
			return err
		}
		n.setMark(id, h.content() != nil)
	}
	return nil
}

func markedSnapshot(key string) (id SnapshotID, ok bool) {
	rest, ok := strings.CutPrefix(key, snapshotMark)
	if !ok {
		return id, false
	}
	id, err := ParseSnapshotID(rest)
	return id, err == nil
}

func (n *names) setMark(id SnapshotID, here bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if here {
		n.marks[id] = true
	} else {
		delete(n.marks, id)
	}
}

// loadMarks reads all marks at a start.
func (n *names) loadMarks(ctx context.Context, s *Segment) error {
	for v, err := range s.local.eachCurrent(ctx, snapshotMark) {
		if err != nil {
			return fmt.Errorf("read marks of snapshots: %w", err)
		}
		if !strings.HasPrefix(v.Key, snapshotMark) {
			return nil
		}
		if id, ok := markedSnapshot(v.Key); ok {
			n.setMark(id, true)
		}
	}
	return nil
}

// sweepMarks takes the marks away that stand for nothing any more: their snapshots were deleted at another segment. That of a branch stays with its
// document, which outlives its deletion: a write that comes late brings the branch back.
func (s *Segment) sweepMarks(ctx context.Context) error {
	for _, id := range s.idleMarks() {
		idle, err := s.isIdle(ctx, id)
		if err == nil && idle {
			_, err = s.local.Delete(ctx, snapshotMark+id.String(), Cond{})
		}
		if err != nil {
			return fmt.Errorf("mark of snapshot %v: %w", id, err)
		}
	}
	return nil
}

// idleMarks are those of nothing that is known.
func (s *Segment) idleMarks() (out []SnapshotID) {
	s.applying.Lock() // an entry has both
	defer s.applying.Unlock()
	known := map[SnapshotID]bool{}
	for _, b := range s.allBuckets() {
		if o := b.doc.Load().origin; o != nil {
			known[o.id] = true
		}
	}
	n := &s.names
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, of := range n.merges {
		for _, d := range of {
			known[d.id] = true
		}
	}
	for _, of := range n.snapshots {
		for _, d := range of {
			known[d.id] = true
		}
	}
	for id := range n.marks {
		if !known[id] {
			out = append(out, id)
		}
	}
	return out
}

// isIdle says whether a mark of nothing that is known stands for nothing: not for a document that this build cannot read, nor for a branch that is
// being made.
func (s *Segment) isIdle(ctx context.Context, id SnapshotID) (bool, error) {
	v, err := s.local.Stat(ctx, snapshotMark+id.String(), VersionRef{})
	if err != nil || len(v.Data) == 0 {
		return err == nil, ignoreMissing(err)
	}
	m, err := parseMark(v.Data)
	if err != nil || s.bucket(m.bucket) == nil {
		return false, nil
	}
	d := snapshotDoc{bucket: m.bucket, id: id}
	_, err = s.federation.Stat(ctx, d.key(), VersionRef{})
	return isMissing(err), ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}
