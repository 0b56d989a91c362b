package segment

import (
	"bytes"
	"fmt"
	"slices"
)

// kept is a snapshot that was acknowledged.
type kept struct {
	bucket BucketID
	seen   Vector // of the bucket when it was made
	by     *site
	gone   bool // it was deleted, or its site came back from a backup: it may be there or not
	root   SnapshotInfo
}

// snapshot makes, deletes, folds or brings snapshots.
func (m *sim) snapshot(s *site) error {
	all := s.Buckets()
	if len(all) == 0 {
		return nil
	}
	b := s.bucket(all[m.keeps.IntN(len(all))].ID)
	if b.Err() != nil {
		m.step += "no snapshot"
		return nil
	}
	switch n := m.keeps.IntN(10); {
	case n < 6:
		name := fmt.Sprint("s", m.keeps.IntN(6))
		m.step += "snapshot " + name + " of " + b.Info().Name + " at " + s.Name()
		i, err := b.CreateSnapshot(m.ctx, name)
		if err == nil {
			m.kept[i.ID] = &kept{bucket: b.id, seen: b.Seen(), by: s}
		}
		return allow(err, ErrSnapshotExists)
	case n < 7:
		all, err := b.Snapshots(m.ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		i := all[m.keeps.IntN(len(all))]
		m.step += "delete snapshot " + i.Name
		if k := m.kept[i.ID]; k != nil {
			k.gone = true
		}
		return b.DeleteSnapshot(m.ctx, i.Name)
	case n < 8:
		m.step += "make the roots of snapshots"
		return s.foldAllSeals(m.ctx)
	default:
		r := m.sites[m.keeps.IntN(len(m.sites))]
		m.step += "bring snapshots from " + r.Name()
		if r == s || !s.peers[r.Name()] {
			return nil
		}
		return m.bringSnapshots(s, r)
	}
}

// bringSnapshots brings s those that it knows of and r has.
func (m *sim) bringSnapshots(s, r *site) error {
	missing, err := s.MissingSnapshots(m.ctx)
	slices.SortFunc(missing, func(a, b SnapshotRef) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, ref := range missing {
		if slices.Contains(s.Beginnings(ref.Bucket), ref) || s.bucket(ref.Bucket).Err() != nil {
			continue
		}
		if err := allow(m.bring(s, r, ref), ErrNoSuchSnapshot); err != nil {
			return err
		}
	}
	return err
}

// checkSnapshots compares all snapshots that can be read at a site with what their bucket was.
func (m *sim) checkSnapshots(s *site) error {
	for _, b := range s.allBuckets() {
		all, err := b.Snapshots(m.ctx)
		if err != nil {
			return err
		}
		for _, i := range all {
			k := m.kept[i.ID]
			if !i.Complete || k == nil {
				continue
			}
			if err := m.checkSnapshot(s, b, i, k); err != nil {
				return fmt.Errorf("snapshot %s of %v: %w", i.Name, b.id, err)
			}
		}
	}
	for id, k := range m.kept {
		if k.by == s && !k.gone && !slices.ContainsFunc(s.bucket(k.bucket).snapshotDocs(), func(d *snapshotDoc) bool { return d.id == id }) {
			return fmt.Errorf("snapshot %v of bucket %v is lost", id, k.bucket)
		}
	}
	return nil
}

func (m *sim) checkSnapshot(s *site, b *Bucket, i SnapshotInfo, k *kept) error {
	f, err := b.At(m.ctx, i.Name)
	if err != nil {
		return err
	}
	if c := f.Seen(); !c.Equal(k.seen) {
		return fmt.Errorf("it has seen %v, its bucket had seen %v", c, k.seen)
	}
	switch {
	case i.Root.IsZero():
	case k.root.Root.IsZero():
		k.root = i
	case k.root.Root != i.Root || k.root.Objects != i.Objects || k.root.Versions != i.Versions || k.root.Bytes != i.Bytes:
		return fmt.Errorf("it is %+v, and was %+v", i, k.root)
	}
	return m.oracle.checkBucket(m.world, s, f)
}

// finishSnapshots: in the end each one that was not deleted is everywhere, with one root.
func (m *sim) finishSnapshots() error {
	for _, s := range m.sites {
		if err := s.foldAllSeals(m.ctx); err != nil {
			return err
		}
	}
	m.settle()
	for _, s := range m.sites {
		for _, r := range m.sites {
			if err := m.bringSnapshots(s, r); err != nil {
				return err
			}
		}
	}
	for _, s := range m.sites {
		if err := s.sweepMarks(m.ctx); err != nil {
			return err
		}
		for _, b := range s.allBuckets() {
			if err := m.checkOnlyInSnapshots(s, b); err != nil {
				return fmt.Errorf("at %s: %w", s.Name(), err)
			}
		}
		for id, k := range m.kept {
			if _, _, err := s.snapshotDoc(SnapshotRef{k.bucket, id}); !k.gone && (err != nil || !s.hasSnapshot(id)) {
				return fmt.Errorf("snapshot %v of bucket %v is not at %s: %w", id, k.bucket, s.Name(), err)
			}
		}
	}
	return nil
}

// checkOnlyInSnapshots compares what only snapshots hold with what each of them holds.
func (m *sim) checkOnlyInSnapshots(s *site, b *Bucket) error {
	if b.Err() != nil {
		return nil
	}
	all, err := b.Snapshots(m.ctx)
	if err != nil {
		return err
	}
	type place struct { // the names of one file have versions of one write
		key string
		id  VersionID
	}
	want := map[place]bool{}
	for _, i := range all {
		if !i.Complete {
			continue
		}
		f, err := b.At(m.ctx, i.Name)
		if err != nil {
			return err
		}
		for v, err := range f.Payload(m.ctx) {
			if err != nil {
				return err
			}
			want[place{v.Key, v.VersionID}] = true
			if w, err := b.heldVersion(m.ctx, v.Key, v.VersionID); err != nil || w == nil {
				return fmt.Errorf("%q, version %v, of snapshot %s cannot be had: %w", v.Key, v.VersionID, i.Name, err)
			}
		}
	}
	for v, err := range b.Payload(m.ctx) {
		if err != nil {
			return err
		}
		delete(want, place{v.Key, v.VersionID})
	}
	for k, err := range b.OnlyInSnapshots(m.ctx) {
		if err != nil {
			return err
		}
		at := place{k.Version.Key, k.Version.VersionID}
		if !want[at] {
			return fmt.Errorf("%q, version %v, of snapshot %s is not in snapshots alone, or is told twice", k.Version.Key, k.Version.VersionID, k.Snapshot)
		}
		delete(want, at)
	}
	if len(want) > 0 {
		return fmt.Errorf("%d versions of snapshots of %v are not told", len(want), b.id)
	}
	return nil
}
