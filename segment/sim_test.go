package segment

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

var (
	simSeeds = flag.Int("sim.seeds", 500, "how many seeds TestSimulation runs; a tenth of them with -short")
	simSeed  = flag.Uint64("sim.seed", 0, "the one seed to replay, with its steps printed")
	simSteps = flag.Int("sim.steps", 70, "random steps of each seed")
)

// TestSimulation lets three segments live through random writes, cuts of links, skewed clocks, restarts, power cuts and restored backups,
// and compares each, after each step, with what it must hold having seen what it has seen. At the end all have equal roots.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed, true)
		return
	}
	seeds := uint64(*simSeeds)
	if testing.Short() {
		seeds /= 10
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprint(seed+1), func(t *testing.T) { simulate(t, seed+1, false) }) {
			t.Fatalf("replay with: go test -run TestSimulation ./segment -sim.seed %d", seed+1)
		}
	}
}

type sim struct {
	*world
	rng    *rand.Rand
	oracle *oracle
	learnt map[string]uint64 // log position up to which the oracle has learnt of each site
	backup map[string]*vfs.Crash
	keeps  *rand.Rand // says when snapshots are made, and which
	kept   map[SnapshotID]*kept
	step   string
	cuts   int // steps that a power cut has cut off
	n      int
}

func simulate(t *testing.T, seed uint64, verbose bool) {
	simulateInto(t, seed, verbose, new(strings.Builder))
}

// simulateInto also says how many steps were cut off by a power cut.
func simulateInto(t *testing.T, seed uint64, verbose bool, trace *strings.Builder) (cuts int) {
	m := &sim{world: newSeededWorld(t, seed, "a", "b", "c"), rng: rand.New(rand.NewPCG(seed, 1)), oracle: newOracle(),
		learnt: map[string]uint64{}, backup: map[string]*vfs.Crash{}, keeps: rand.New(rand.NewPCG(seed, 4)), kept: map[SnapshotID]*kept{}}
	for i, s := range m.sites {
		if (seed+uint64(i))%3 == 0 { // of which every rename is too large for memory, be it of a key
			s.cfg.RenameBytes = 1
		}
		s.cfg.alone = true
		s.restart()
		s.skew = time.Duration(m.rng.IntN(60)-30) * time.Second
		m.learnt[s.Name()] = 1
	}
	for range *simSteps {
		m.tick(time.Duration(m.rng.IntN(2000)) * time.Millisecond)
		s := m.sites[m.rng.IntN(len(m.sites))]
		err := m.act(s)
		if err == nil && m.keeps.IntN(8) == 0 {
			m.step += ", "
			err = m.snapshot(m.sites[m.keeps.IntN(len(m.sites))])
		}
		if verbose {
			t.Logf("%s: %s: %v", s.Name(), m.step, err)
		}
		fmt.Fprintf(trace, "%s: %s, %v, %v\n", s.Name(), m.step, err, s.LogEnd())
		if err == nil {
			err = m.check(s)
		}
		if err != nil {
			t.Errorf("seed %d, after %s at %s: %v", seed, m.step, s.Name(), err)
			return m.cuts
		}
	}
	m.finish(t, seed, trace)
	return m.cuts
}

// act is one random step. Refusals are part of life; an error is what must not be.
func (m *sim) act(s *site) error {
	n := m.rng.IntN(100)
	switch {
	case n < 4:
		m.step = "create bucket"
		_, err := s.CreateBucket(m.ctx, fmt.Sprintf("bucket%d", m.rng.IntN(2)), m.options())
		return allow(err, ErrBucketExists)
	case n < 6:
		m.step = "delete bucket"
		return allow(s.DeleteBucket(m.ctx, fmt.Sprintf("bucket%d", m.rng.IntN(2))), ErrNoSuchBucket, ErrBucketNotEmpty)
	case n < 10:
		return m.branch(s)
	case n < 48:
		return m.write(s)
	case n < 50:
		return m.rehome(s)
	case n < 54:
		m.step = "fold"
		if b := m.anyBucket(s); b != nil {
			_, err := b.Fold(m.ctx)
			return err
		}
	case n < 78:
		r := m.sites[m.rng.IntN(len(m.sites))]
		m.step = "pull from " + r.Name()
		if r != s && s.peers[r.Name()] {
			return errors.Join(m.pull(s, r), m.begin(s, r))
		}
	case n < 82:
		r := m.sites[m.rng.IntN(len(m.sites))]
		m.step = "sync from " + r.Name()
		if r != s && s.peers[r.Name()] {
			return errors.Join(m.syncAll(s, r), m.repay(s, r))
		}
	case n < 88:
		r := m.sites[m.rng.IntN(len(m.sites))]
		m.step = fmt.Sprintf("cut or heal link to %s", r.Name())
		if r != s {
			s.peers[r.Name()] = !s.peers[r.Name()]
		}
	case n < 89:
		m.step = "upgrade or downgrade"
		m.rebuild(s)
	case n < 91:
		m.step = "restart"
		s.restart()
	case n < 94:
		m.step = "checkpoint"
		return s.checkpoint(m.ctx)
	case n < 98:
		m.step = "power cut"
		return m.powerCut(s)
	case n < 99:
		m.step = "backup"
		if err := s.checkpoint(m.ctx); err != nil {
			return err
		}
		m.backup[s.Name()] = s.fs.Crash(rand.New(rand.NewPCG(m.rng.Uint64(), 2)))
	default:
		m.step = "restore"
		m.restore(s)
	}
	return nil
}

// branch makes one, or deletes one.
func (m *sim) branch(s *site) error {
	name := fmt.Sprintf("branch%d", m.rng.IntN(2))
	if m.rng.IntN(4) == 0 {
		m.step = "delete " + name
		return allow(s.DeleteBranch(m.ctx, name, m.rng.IntN(2) == 0), ErrNoSuchBucket, ErrUnmerged, ErrLocked, ErrUnavailable, ErrBucketNotEmpty)
	}
	if m.rng.IntN(2) == 0 {
		return m.merge(s, name)
	}
	m.step = "make " + name
	b := m.anyBucket(s)
	if b == nil {
		return nil
	}
	m.step += " of " + b.Info().Name
	_, err := s.CreateBranch(m.ctx, b.Info().Name, name)
	return allow(err, ErrBucketExists)
}

// merge merges a branch into its parent, or the other way.
func (m *sim) merge(s *site, name string) error {
	m.step = "merge " + name
	from, err := s.Bucket(name)
	if err != nil {
		return nil
	}
	o := from.doc.Load().origin
	into := s.bucket(o.parent)
	if m.rng.IntN(3) == 0 {
		from, into = into, from
	}
	m.oracle.merged[into.id] = true
	p := mergePolicies()[m.rng.IntN(4)]
	m.step += fmt.Sprintf(" by %v, %v into %v", p, from.id, into.id)
	_, err = Merge(m.ctx, from, into, MergeOptions{Policy: p, oneByOne: true})
	return allow(err, ErrNoSuchBucket, ErrUnavailable, ErrMergeConflict, ErrNotHome)
}

// rebuild gives a site a build that reads all that others write, or one that does not.
func (m *sim) rebuild(s *site) {
	if len(s.old) > 0 {
		clear(s.old)
	} else if b := m.anyBucket(s); b != nil {
		s.old[b.id] = true
	}
}

func allow(err error, allowed ...error) error {
	for _, a := range allowed {
		if errors.Is(err, a) {
			return nil
		}
	}
	return err
}

func (m *sim) anyBucket(s *site) *Bucket {
	all := slices.DeleteFunc(s.Buckets(), func(i BucketInfo) bool { return s.bucket(i.ID).waits() != nil })
	if len(all) == 0 {
		return nil
	}
	return s.bucket(all[m.rng.IntN(len(all))].ID)
}

// rehome changes a bucket's policy or its home.
func (m *sim) rehome(s *site) error {
	b := m.anyBucket(s)
	if b == nil {
		return nil
	}
	switch m.rng.IntN(4) {
	case 0:
		m.step = "take the home"
		return b.TakeHome(m.ctx)
	case 1:
		to := m.sites[m.rng.IntN(len(m.sites))]
		m.step = "move the home to " + to.Name()
		return allow(b.MoveHome(m.ctx, to.ID()), ErrNotHome, ErrUnavailable)
	default:
		policy := []Policy{Home, Newest}[m.rng.IntN(2)]
		m.step = "policy " + policy.String()
		return allow(b.Configure(m.ctx, func(set *Settings) error { set.Policy = policy; return nil }), ErrNotHome)
	}
}

// options are those of a new bucket: half of them keep versions, and allow to lock them.
func (m *sim) options() BucketOptions {
	set := DefaultSettings()
	if m.rng.IntN(2) == 0 {
		set.Versioning, set.Locks.Enabled = Versioned, true
	}
	return BucketOptions{Settings: &set}
}

// write is one random write of a few keys. Under the policy home that is the home's to make: it may be cut off, gone, or its answer is lost; and
// some kinds of write are not handed to it.
func (m *sim) write(s *site) error {
	m.lossy = m.rng.IntN(4) == 0
	return allow(m.writeAny(s), ErrUnavailable, ErrNotHome, ErrNoSuchBucket, ErrNoSuchVersion)
}

func (m *sim) writeAny(s *site) error {
	b := m.anyBucket(s)
	if b == nil {
		m.step = "create bucket"
		_, err := s.CreateBucket(m.ctx, "bucket0", m.options())
		return allow(err, ErrBucketExists)
	}
	m.n++
	key := []string{"k", "d/x", "d/y", "d\x00/z", "e"}[m.rng.IntN(5)]
	switch n := m.rng.IntN(47); {
	case n >= 44:
		return m.file(b)
	case n >= 41:
		return m.tag(b)
	case n >= 36:
		return m.lock(b)
	case n >= 34:
		return m.bound(s, b)
	case n >= 28:
		return m.rename(b)
	case n >= 26:
		return m.writeLoser(b, key)
	case n >= 24:
		return m.upload(b, key)
	case n >= 20:
		return m.resolve(b, key, n)
	case n < 10:
		m.step = "put " + key
		_, err := b.Put(m.ctx, key, Attrs{ETag: fmt.Sprint(m.n)}, Cond{}, strings.NewReader(fmt.Sprint("data", m.n)))
		return err
	case n < 13:
		m.step = "delete " + key
		_, err := b.Delete(m.ctx, key, Cond{})
		return err
	case n < 16:
		m.step = "remove a version of " + key
		v := m.anyVersion(b, key)
		if v == nil {
			return nil
		}
		_, err := b.Remove(m.ctx, key, VersionRef{ID: v.VersionID}, Cond{})
		return allow(err, ErrLocked)
	case n < 18:
		m.step = "settings"
		err := b.Configure(m.ctx, func(set *Settings) error {
			set.Versioning = Versioned + Versioning(m.rng.IntN(2))
			set.Policy = Policy(m.rng.IntN(2))
			if m.rng.IntN(3) > 0 {
				set.Locks = LockSettings{Enabled: true}
			}
			return nil
		})
		return allow(err, ErrNotHome, ErrInvalidArgument)
	default:
		m.step = "copy to " + key
		page, err := b.List(m.ctx, ListOptions{Limit: 1})
		if err != nil || len(page.Entries) == 0 {
			return err
		}
		src := b.object(page.Entries[0].Version)
		_, err = b.Copy(m.ctx, src, key, Attrs{}, Cond{})
		return err
	}
}

// lock changes what keeps a version, if there is one and the bucket's settings allow it.
func (m *sim) lock(b *Bucket) error {
	v := m.anyVersion(b, "")
	if v == nil {
		m.step = "nothing to lock"
		return nil
	}
	key := v.Key
	var c LockChange
	if n := m.rng.IntN(3); n > 0 {
		on := m.rng.IntN(2) > 0
		c.LegalHold = &on
		m.step = fmt.Sprintf("lock %s %v: legal hold %t", key, v.Dot, on)
	} else {
		c.Retention = &Retention{RetentionMode(m.rng.IntN(3)), m.now.Add(time.Duration(m.rng.IntN(60)) * time.Second)}
		m.step = fmt.Sprintf("lock %s %v: %v", key, v.Dot, *c.Retention)
	}
	_, err := b.Lock(m.ctx, key, VersionRef{ID: v.VersionID}, c, Cond{})
	return allow(err, ErrNoLocks, ErrLocked, ErrInvalidArgument, ErrNoSuchKey)
}

// tag changes an attribute of a version, if there is one.
func (m *sim) tag(b *Bucket) error {
	v := m.anyVersion(b, "")
	if v == nil {
		m.step = "nothing to tag"
		return nil
	}
	key, ref := v.Key, VersionRef{ID: v.VersionID}
	if reserved(key) {
		m.step = "nothing of clients to tag"
		return nil
	}
	m.step = fmt.Sprintf("tag %s %v", key, v.Dot)
	if m.rng.IntN(3) == 0 {
		_, err := b.SetAttribute(m.ctx, key, ref, ACL, []byte(fmt.Sprint(m.n)), Cond{})
		return allow(err, ErrLocked, ErrNoSuchKey)
	}
	_, err := b.SetTags(m.ctx, key, ref, map[string]string{"n": fmt.Sprint(m.n)}, Cond{})
	return allow(err, ErrLocked, ErrNoSuchKey)
}

// upload is an upload in parts that is completed, given up or left.
func (m *sim) upload(b *Bucket, key string) error {
	if key = strings.ReplaceAll(key, "\x00", ""); m.rng.IntN(2) == 0 {
		return m.endUpload(b)
	}
	u, err := b.CreateUpload(m.ctx, key, Attrs{})
	m.step = fmt.Sprintf("begin upload %s of %s", u.ID, key)
	for n := 1; n <= 2 && err == nil; n++ {
		var w *Writer
		if w, err = b.PartWriter(m.ctx, key, u.ID, n, -1); err == nil {
			_, _ = w.ReadFrom(strings.NewReader(fmt.Sprint("part", m.n, n)))
			_, err = w.CommitPart(m.ctx, Attrs{ETag: fmt.Sprint(n)})
		}
	}
	return err
}

func (m *sim) endUpload(b *Bucket) error {
	page, err := b.Uploads(m.ctx, UploadsOptions{Limit: 100})
	if err != nil || len(page.Entries) == 0 {
		return err
	}
	u := page.Entries[m.rng.IntN(len(page.Entries))].Upload
	m.step = "abort upload of " + u.Key
	if m.rng.IntN(3) == 0 {
		return b.AbortUpload(m.ctx, u.Key, u.ID)
	}
	m.step = "complete upload of " + u.Key
	_, err = b.CompleteUpload(m.ctx, u.Key, u.ID, []PartRef{{1, "1"}, {2, "2"}}, Completion{ETag: fmt.Sprint(m.n)}, Cond{})
	return allow(err, ErrInvalidPart) // a power cut came before the part
}

// resolve is a write that ends a conflict, where there is one: after it the key has none here.
func (m *sim) resolve(b *Bucket, key string, n int) error {
	h, err := b.view(key).head(m.ctx, key)
	if err != nil {
		return err
	}
	switch n {
	case 20:
		m.step = "resolving put " + key
		_, err = b.Put(m.ctx, key, Attrs{ETag: fmt.Sprint(resolving, m.n)}, Cond{Resolve: true}, strings.NewReader(fmt.Sprint("data", m.n)))
	case 21:
		m.step = "resolving delete " + key
		_, err = b.Delete(m.ctx, key, Cond{Resolve: true})
	default:
		open := h.losers()
		if h.count > 0 {
			open = append(open, h.current())
		}
		if len(open) == 0 {
			m.step = "nothing to resolve"
			return nil
		}
		keep := open[m.rng.IntN(len(open))]
		m.step = fmt.Sprintf("resolve %s keeping %v", key, keep.Dot)
		_, err = b.Resolve(m.ctx, key, VersionRef{ID: keep.VersionID}, Cond{})
	}
	if err != nil {
		return err
	}
	h, err = b.view(key).head(m.ctx, key)
	if err == nil && h.conflicted() {
		err = fmt.Errorf("%q is in conflict still", key)
	}
	return err
}

// bound keeps the losers of all keys within narrow bounds, at the home.
func (m *sim) bound(s *site, b *Bucket) error {
	m.step = "bound losers"
	before := b.Dropped().Count
	conflicts, err := b.Conflicts(m.ctx, "", 100)
	if err != nil {
		return err
	}
	var want int64
	for _, c := range conflicts {
		n, err := b.boundKey(m.ctx, c.Key, LoserBounds{Keep: 1})
		if err != nil {
			return err
		}
		if !b.isHome(b.Settings()) {
			continue
		}
		want += n
		if int(n) != len(c.Losers)-1 {
			return fmt.Errorf("%d of %d losers of %q were dropped", n, len(c.Losers), c.Key)
		}
	}
	if got := b.Dropped().Count - before; got != want {
		return fmt.Errorf("%d losers were counted, not %d", got, want)
	}
	return nil
}

// writeLoser writes to a name that keep-both may show a loser under: what it shows is replaced or goes, and what it does not show is a key
// as any other.
func (m *sim) writeLoser(b *Bucket, key string) error {
	h, err := b.view(key).head(m.ctx, key)
	if err != nil || len(h.losers()) == 0 {
		m.step = "no loser"
		return err
	}
	l := h.losers()[m.rng.IntN(len(h.losers()))]
	name := LoserName(key, l.Dot)
	_, err = b.Stat(m.ctx, name, VersionRef{})
	if b.Settings().Policy == KeepBoth && err != nil {
		return fmt.Errorf("%q is not shown: %w", name, err)
	}
	switch n := m.rng.IntN(6); n {
	case 4:
		m.step = "tag " + name
		_, err = b.SetTags(m.ctx, name, VersionRef{}, map[string]string{"of": fmt.Sprint(m.n)}, Cond{})
		return allow(err, ErrNoSuchKey, ErrLocked)
	case 5:
		m.step = "rename " + name
		_, err = b.Rename(m.ctx, name, "renamed", RenameOptions{Replace: true})
		return allow(err, ErrNoSuchKey)
	case 0:
		m.step = "delete " + name
		_, err = b.Delete(m.ctx, name, Cond{})
		return err
	case 1:
		m.step = "remove the version of " + name
		_, err = b.Remove(m.ctx, name, VersionRef{ID: l.VersionID}, Cond{})
		return err
	default:
		m.step = "put " + name
		_, err = b.Put(m.ctx, name, Attrs{ETag: fmt.Sprint(m.n)}, Cond{}, strings.NewReader(fmt.Sprint("data", m.n)))
		return err
	}
}

// anyVersion is one of the key's, or of all keys'.
func (m *sim) anyVersion(b *Bucket, key string) *Version {
	var all []*Version
	for v, err := range b.eachVersion(m.ctx, key, nil) {
		if err != nil || key != "" && v.Key != key {
			break
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil
	}
	return all[m.rng.IntN(len(all))]
}

// powerCut cuts the power after a few operations of the file system, in the midst of a step as a rule. They are those of the step and no others, since
// its segment is alone: what is cut off, and what is left of it, are the seed's.
func (m *sim) powerCut(s *site) error {
	s.fs.CutAfter(m.rng.IntN(8))
	for range 4 {
		if s.fs.IsCut() {
			break
		}
		switch m.rng.IntN(8) {
		case 0, 1:
			_ = m.branch(s)
		case 2:
			m.step = "checkpoint"
			_ = errors.Join(s.foldAll(m.ctx), s.checkpoint(m.ctx))
		default:
			_ = m.write(s)
		}
	}
	m.step = "power cut in " + m.step
	if s.fs.IsCut() {
		m.cuts++
	}
	committed := s.log.Last()
	m.reopen(s, s.fs)
	if last := s.log.Last(); last < committed {
		return fmt.Errorf("the log ends at %d, before %d, which was committed", last, committed)
	}
	return nil
}

// reopen starts a segment on what a power cut leaves of fs.
func (m *sim) reopen(s *site, fs *vfs.Crash) {
	old := s.Segment
	s.fs = fs.Crash(rand.New(rand.NewPCG(m.rng.Uint64(), 3)))
	s.cfg.FS = s.fs
	_ = old.Close(m.ctx)
	s.open()
}

// restore brings a segment back from a backup.
func (m *sim) restore(s *site) {
	fs, ok := m.backup[s.Name()]
	if !ok {
		return
	}
	delete(m.backup, s.Name())
	for _, k := range m.kept {
		k.gone = k.gone || k.by == s
	}
	s.cfg.Restored = true
	m.reopen(s, fs)
	s.cfg.Restored = false
	m.learnt[s.Name()] = s.log.First()
}

// check makes the oracle learn what was written and compares the site with it.
func (m *sim) check(s *site) error {
	for _, r := range m.sites {
		var err error
		if m.learnt[r.Name()], err = m.oracle.learn(m.world, r, m.learnt[r.Name()]); err != nil {
			return err
		}
	}
	all := slices.Collect(maps.Keys(s.LinkedBuckets()))
	for _, b := range s.allBuckets() {
		if b.pending() && b.Err() == nil { // peers hear nothing of it, but it is as any here
			all = append(all, b.id)
		}
	}
	for _, id := range all {
		if err := m.oracle.check(m.world, s, id); err != nil {
			return fmt.Errorf("bucket %v: %w", id, err)
		}
	}
	return m.checkSnapshots(s)
}

// TestASeedReplays: what a seed found is found again.
func TestASeedReplays(t *testing.T) {
	cuts := 0
	for seed := range uint64(10) {
		var first, again strings.Builder
		cuts += simulateInto(t, seed+1, false, &first)
		simulateInto(t, seed+1, false, &again)
		if first.String() != again.String() {
			t.Fatalf("seed %d is\n%s\nthen\n%s", seed+1, first.String(), again.String())
		}
	}
	if cuts < 20 {
		t.Errorf("the power was cut inside of %d steps only", cuts)
	}
}

func (m *sim) finish(t *testing.T, seed uint64, trace *strings.Builder) {
	for _, s := range m.sites {
		for _, r := range m.sites {
			s.peers[r.Name()] = r != s
		}
		clear(s.old)
	}
	m.settle()
	if err := m.finishSnapshots(); err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	all := slices.DeleteFunc(slices.Collect(maps.Keys(m.sites[0].LinkedBuckets())), func(id BucketID) bool { // a deleted branch need not begin anywhere
		b := m.sites[0].bucket(id)
		return b.gone() && b.doc.Load().origin != nil
	})
	for _, id := range slices.SortedFunc(slices.Values(all), func(a, b BucketID) int { return strings.Compare(a.String(), b.String()) }) {
		fmt.Fprintf(trace, "%v: %v\n", id, m.roots(id))
	}
	for _, s := range m.sites {
		if err := m.check(s); err != nil {
			t.Errorf("seed %d, settled: %v", seed, err)
			return
		}
		if found := checked(t, s.Segment); len(found) > 0 {
			t.Errorf("seed %d, settled: a check of %s finds %v", seed, s.Name(), found)
			return
		}
	}
	for _, id := range all {
		roots := m.roots(id)
		if roots[0] != roots[1] || roots[1] != roots[2] {
			t.Errorf("seed %d: bucket %v has roots %v", seed, id, roots)
		}
		if err := m.oracle.checkFates(id, m.sites[0].bucket(id).Seen()); err != nil {
			t.Errorf("seed %d: bucket %v: %v", seed, id, err)
		}
		if err := m.oracle.checkEpochs(m.sites[0].bucket(id)); err != nil {
			t.Errorf("seed %d: bucket %v: %v", seed, id, err)
		}
		if err := m.oracle.checkRequests(id); err != nil {
			t.Errorf("seed %d: bucket %v: %v", seed, id, err)
		}
		if err := m.oracle.checkAddressed(id); err != nil {
			t.Errorf("seed %d: bucket %v: %v", seed, id, err)
		}
		if err := m.oracle.checkLocks(id); err != nil {
			t.Errorf("seed %d: bucket %v: %v", seed, id, err)
		}
	}
}
