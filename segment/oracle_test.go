package segment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/edgefs/edgefs/internal/journal"
)

// oracle is the executable meaning of a bucket: its state is a function of the set of writes seen, whatever the order and the way they came.
// It is the declarative twin of apply, fold and merge: it knows nothing of trees, overlays, feeds or syncs.
type oracle struct {
	written map[BucketID]map[Dot]*record
	origins map[BucketID]*origin          // of branches
	merged  map[BucketID]bool             // others were merged into them
	renames map[BucketID]map[Dot][]effect // what those of directories do, once it was asked
}

func newOracle() *oracle {
	return &oracle{map[BucketID]map[Dot]*record{}, map[BucketID]*origin{}, map[BucketID]bool{}, map[BucketID]map[Dot][]effect{}}
}

// learn takes in the records of a site's own that its log holds from pos on, and returns the position to go on from. A dot with another
// content than before is an error.
func (o *oracle) learn(w *world, s *site, pos uint64) (uint64, error) {
	if err := o.learnPending(s); err != nil {
		return pos, err
	}
	for end := s.LogEnd(); pos < end; {
		var items []FeedItem
		next, err := s.log.Read(w.ctx, pos, 1<<20, func(r journal.Record) (err error) {
			if r.Pos >= end {
				return errStop
			}
			items, err = appendFeed(items, r) // a feed passes over branches without a root
			return err
		})
		if errors.Is(err, errStop) {
			next, err = end, nil
		}
		if err != nil {
			return pos, err
		}
		for _, item := range items {
			if len(item.Record) == 0 || item.Dot.Segment != s.ID() {
				continue
			}
			r, err := parseRecord(item.Record)
			if err != nil {
				return pos, err
			}
			if o.written[item.Bucket] == nil {
				o.written[item.Bucket] = map[Dot]*record{}
			}
			if old, ok := o.written[item.Bucket][r.Dot]; ok && string(old.appendTo(nil)) != string(item.Record) {
				return pos, fmt.Errorf("dot %v names two writes", r.Dot)
			}
			o.written[item.Bucket][r.Dot] = r
			if err := o.learnBranch(item.Bucket, r); err != nil {
				return pos, err
			}
		}
		pos = next
	}
	return pos, nil
}

// learnBranch notes what a branch that a record of the federation makes begins as.
func (o *oracle) learnBranch(id BucketID, r *record) error {
	if id != FederationBucket {
		return nil
	}
	for _, e := range r.effects {
		if e.hold == nil || !strings.HasPrefix(e.key, docBucket) {
			continue
		}
		if doc, err := parseBucketDoc(e.hold.Data); err == nil && doc.origin != nil {
			if err := o.began(doc); err != nil {
				return err
			}
		}
	}
	return nil
}

// learnPending notes the site's branches without a root, of which there is no document.
func (o *oracle) learnPending(s *site) error {
	for _, b := range s.allBuckets() {
		if b.pending() && b.broken == nil {
			if err := o.began(b.doc.Load()); err != nil {
				return err
			}
		}
	}
	return nil
}

// began notes what a branch begins as: the same for ever.
func (o *oracle) began(d *bucketDoc) error {
	if was := o.origins[d.id]; was != nil && (!was.seen.Equal(d.origin.seen) || was.stats != d.origin.stats) {
		return fmt.Errorf("branch %q began having seen %v, and then %v", d.name, was.seen, d.origin.seen)
	}
	o.origins[d.id] = d.origin
	return nil
}

// all are the writes of a bucket: of a branch, those of its parent that it began with are its own.
func (o *oracle) all(id BucketID) map[Dot]*record {
	from := o.origins[id]
	if from == nil {
		return o.written[id]
	}
	out := maps.Clone(o.written[id])
	if out == nil {
		out = map[Dot]*record{}
	}
	for d, r := range o.all(from.parent) {
		if from.seen.Has(d) {
			out[d] = r
		}
	}
	return out
}

// keyVersion is a version of a key: one write of several keys gives them one id.
type keyVersion struct {
	key string
	id  VersionID
}

func (v *Version) named() keyVersion { return keyVersion{v.Key, v.VersionID} }

// meaning is what a segment that has seen c of the bucket must hold: by key, newest first.
func (o *oracle) meaning(id BucketID, c Vector) map[string][]*Version {
	versions, holds := map[keyVersion]*Version{}, map[keyVersion][]Dot{}
	gone, over := map[keyVersion][]Dot{}, map[keyVersion]bool{}
	locks, given := map[heldAt]lock{}, map[keyVersion][]givenAttribute{}
	for _, r := range o.all(id) {
		if !c.Has(r.last()) {
			continue
		}
		for _, e := range o.effects(id, r) {
			for _, g := range e.gone {
				at := keyVersion{e.key, g.version}
				gone[at] = append(gone[at], g.hold)
			}
			for _, v := range e.over {
				over[keyVersion{e.key, v}] = true
			}
			if e.hold != nil {
				by := r.Dot
				if r.own(&e) {
					by = e.hold.Dot
				}
				at := keyVersion{e.key, e.hold.VersionID}
				versions[at], holds[at] = e.hold, append(holds[at], by)
				if !r.own(&e) {
					locks[heldAt{at, r.Dot}] = e.lock
				}
				for _, g := range e.hold.registers {
					given[at] = append(given[at], givenAttribute{g.name, g.value, g.by, func(d Dot) bool { return d == by }})
				}
			}
			for _, s := range e.set {
				at := keyVersion{e.key, s.version}
				given[at] = append(given[at], givenAttribute{s.name, s.value, r.VersionID, r.sees})
			}
		}
	}
	out := map[string][]*Version{}
	for at, v := range versions {
		w := *v
		w.Holds = slices.DeleteFunc(slices.Clone(holds[at]), func(d Dot) bool { return slices.Contains(gone[at], d) })
		slices.SortFunc(w.Holds, Dot.Compare)
		w.Superseded = over[at]
		w.locks, w.registers = nil, nil
		for _, d := range w.Holds {
			if l := locks[heldAt{at, d}]; l != (lock{}) {
				w.locks = append(w.locks, heldLock{d, l})
			}
			for _, name := range []string{"acl", "tags"} {
				if g := newestFor(d, name, given[at]); g != nil {
					w.registers = append(w.registers, register{name, g.value, g.by, []Dot{d}})
				}
			}
		}
		if settled(&w) != nil {
			out[w.Key] = append(out[w.Key], &w)
		}
	}
	for _, vs := range out {
		slices.SortFunc(vs, func(a, b *Version) int { return b.Compare(a.VersionID) })
	}
	return out
}

// heldAt is a hold of a version of a key.
type heldAt struct {
	keyVersion
	hold Dot
}

// givenAttribute is what a record said of an attribute: to the holds of the version that its writer had seen, or, where the record is a lock
// that carries what its writer had seen, to that.
type givenAttribute struct {
	name, value string
	by          VersionID
	to          func(Dot) bool
}

func newestFor(hold Dot, name string, given []givenAttribute) (newest *givenAttribute) {
	for i, g := range given {
		if g.name == name && g.to(hold) && (newest == nil || g.by.Compare(newest.by) > 0) {
			newest = &given[i]
		}
	}
	return newest
}

// check compares a bucket at a site with what it must be.
func (o *oracle) check(w *world, s *site, id BucketID) error {
	return o.checkBucket(w, s, s.bucket(id))
}

// checkBucket is check of a bucket as it is, or as a snapshot keeps it.
func (o *oracle) checkBucket(w *world, s *site, b *Bucket) error {
	c := b.Seen()
	want := o.meaning(b.id, c)
	got := map[string][]*Version{}
	for v, err := range b.eachVersion(w.ctx, "", nil) {
		if err != nil {
			return err
		}
		got[v.Key] = append(got[v.Key], v)
	}
	if g, w := render(got), render(want); g != w {
		return fmt.Errorf("%s, having seen %v, holds\n%swant\n%s", s.Name(), c, g, w)
	}
	if want := o.settings(b, c); b.settingsNow() != want {
		return fmt.Errorf("%s, having seen %v, has settings %+v, want %+v", s.Name(), c, b.settingsNow(), want)
	}
	if got, want := b.doneNow(), o.done(b.id, c); !slices.Equal(got, want) {
		return fmt.Errorf("%s, having seen %v, remembers %+v, want %+v", s.Name(), c, got, want)
	}
	return o.checkViews(w, s, b, want)
}

// done are the requests that no write seen forgets.
func (o *oracle) done(id BucketID, c Vector) (out doneList) {
	forgotten := map[Dot]bool{}
	for d, r := range o.all(id) {
		if c.Has(d) && r.request != nil {
			out = append(out, done{r.VersionID, r.request.name, r.request.result(r.VersionID)})
			for _, f := range r.request.forgets {
				forgotten[f] = true
			}
		}
	}
	out = slices.DeleteFunc(out, func(d done) bool { return forgotten[d.by.Dot] })
	slices.SortFunc(out, compareDone)
	return out
}

// checkRequests wants each request done once, unless a segment made itself the home in between.
func (o *oracle) checkRequests(id BucketID) error {
	type act struct {
		name  RequestName
		epoch Epoch
	}
	did := map[act]Dot{}
	for d, r := range o.written[id] {
		if r.request == nil {
			continue
		}
		a := act{r.request.name, r.Epoch}
		if other, ok := did[a]; ok {
			return fmt.Errorf("%v and %v do one request", d, other)
		}
		did[a] = d
		for _, f := range r.request.forgets {
			if !r.known().Has(f) {
				return fmt.Errorf("%v forgets %v, which it had not seen", d, f)
			}
		}
	}
	return nil
}

// settings are the newest of those that were seen.
func (o *oracle) settings(b *Bucket, c Vector) settingsRecord {
	out := settingsRecord{Settings: b.doc.Load().settings}
	for d, r := range o.all(b.id) {
		if c.Has(d) && r.settings != nil && out.by.Compare(r.VersionID) < 0 {
			out = settingsRecord{r.settings.Settings, r.VersionID}
		}
	}
	d, from := b.doc.Load(), o.origins[b.id]
	if from == nil || !d.ownSettings || !from.seen.Has(out.by.Dot) {
		return out
	}
	out.Settings = o.settings(b.s.bucket(from.parent), from.seen).Settings // it inherits them, but for the home and the schedule
	out.Snapshots, out.Home = "", Origin{}
	if out.Policy == Home {
		out.Home = Origin{d.home, d.settings.Home.Inc}
	}
	return out
}

// known is what the writer of r had seen.
func (r *record) known() Vector { return r.deps.With(Dot{r.Dot.Origin, r.Dot.N - 1}) }

// checkEpochs looks at each write with its writer's eyes: it bears the epoch of the settings that it had seen, or begins the next one. Under
// the policy home that is the home's alone, and no two of its writes of one key, each on condition of what is there, replace the same.
func (o *oracle) checkEpochs(b *Bucket) error {
	for _, r := range o.written[b.id] {
		was := o.settings(b, r.known())
		switch {
		case r.settings != nil && r.Epoch == (Epoch{was.by.Epoch.N + 1, r.Dot.Origin}):
		case r.Epoch != was.by.Epoch:
			return fmt.Errorf("%v bears epoch %v, having seen %v", r.Dot, r.Epoch, was.by.Epoch)
		case r.settings != nil && (r.settings.Home != was.Home || (r.settings.Policy == Home) != (was.Policy == Home)):
			return fmt.Errorf("%v changes the home and begins no epoch", r.Dot)
		case was.Policy == Home && !b.homeOf(was.Settings).is(r.Dot.Origin):
			return fmt.Errorf("%v is not the write of its home, %v", r.Dot, was.Home)
		}
	}
	return nil
}

// checkViews compares what is derived: heads, listing, conflicts, counters.
func (o *oracle) checkViews(w *world, s *site, b *Bucket, want map[string][]*Version) error {
	var sums counters
	var conflicts []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		h := headOf(want[key])
		sums.add(h, 1)
		if h.conflicted() && !reserved(key) {
			conflicts = append(conflicts, key)
		}
		got, err := b.view(key).head(w.ctx, key)
		if err != nil {
			return err
		}
		if g, w := render(map[string][]*Version{"": got.versions}), render(map[string][]*Version{"": h.versions}); g != w || got.count != h.count {
			return fmt.Errorf("%s: head of %q is %d of %s want %d of %s", s.Name(), key, got.count, g, h.count, w)
		}
	}
	if b.stats != sums {
		return fmt.Errorf("%s: counters %+v, want %+v", s.Name(), b.stats, sums)
	}
	page, err := b.List(w.ctx, ListOptions{Limit: 1 << 20})
	if err != nil {
		return err
	}
	var got []string
	for _, e := range page.Entries {
		got = append(got, e.Version.Key)
	}
	listed := shownOf(want, b.Settings().Policy)
	if !slices.Equal(got, listed) {
		return fmt.Errorf("%s lists %q, want %q", s.Name(), got, listed)
	}
	found, err := b.Conflicts(w.ctx, "", 1<<20)
	if err != nil {
		return err
	}
	got = nil
	for _, c := range found {
		got = append(got, c.Key)
	}
	if !slices.Equal(got, conflicts) {
		return fmt.Errorf("%s shows conflicts %q, want %q", s.Name(), got, conflicts)
	}
	return nil
}

// shownOf are the names that a listing shows: of keys with content, and to keep both of open losers that no such key hides.
func shownOf(versions map[string][]*Version, p Policy) []string {
	shown := map[string]bool{}
	for key, vs := range versions {
		h := headOf(vs)
		if reserved(key) {
			continue
		}
		if h.content() != nil {
			shown[key] = true
		}
		for _, l := range h.losers() {
			if p == KeepBoth {
				shown[LoserName(key, l.Dot)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(shown))
}

// checkFates follows each write that was put: it is gone only by a write that had seen it, and by no plain write once it had an id; it is an
// open loser only if some write of the key neither saw it nor was seen by it, and no less than that if no write of the key saw it.
func (o *oracle) checkFates(id BucketID, c Vector) error {
	held := map[keyVersion]*Version{}
	open, current := map[keyVersion]bool{}, map[keyVersion]bool{}
	for _, vs := range o.meaning(id, c) {
		h := headOf(vs)
		for _, v := range vs {
			held[v.named()] = v
		}
		current[h.current().named()] = true
		for _, v := range h.open() {
			open[v.named()] = true
		}
	}
	all := o.all(id)
	for _, put := range all {
		for i, e := range o.effects(id, put) {
			v := e.hold
			if v == nil || !put.own(&e) || !c.Has(put.Dot) {
				continue
			}
			removed, seen, beside := false, false, false
			concurrent := put.movedAnother(o.effects(id, put), i) // a conflict moves whole
			for d, r := range all {
				if !c.Has(d) || d == put.Dot {
					continue
				}
				for _, e := range o.effects(id, r) {
					if e.key != v.Key || e.amends(r) {
						continue
					}
					explicit := e.hold == nil
					if slices.Contains(e.gone, goneHold{v.VersionID, v.Dot}) && r.sees(v.Dot) && (v.Null || explicit) {
						removed = true
					}
					concurrent = concurrent || !r.sees(v.Dot) && !put.sees(d)
					beside = beside || o.merged[id] && r.sees(v.Dot) && !explicit && !slices.Contains(e.over, v.VersionID) && o.elsewhere(id, e.hold)
					seen = seen || r.sees(v.Dot)
				}
			}
			switch {
			case held[v.named()] == nil && !removed:
				return fmt.Errorf("%v of %q is lost", v.Dot, v.Key)
			case open[v.named()] && !concurrent && !beside:
				return fmt.Errorf("false conflict: %v of %q", v.Dot, v.Key)
			case held[v.named()] != nil && !open[v.named()] && !current[v.named()] && !seen && !v.Marker:
				return fmt.Errorf("hidden conflict: nobody had seen %v of %q, which is neither current nor open", v.Dot, v.Key)
			}
		}
	}
	return nil
}

// movedAnother says whether a rename made other versions of the key that it made effect i's of.
func (r *record) movedAnother(effects []effect, i int) bool {
	same := func(e effect) bool { return e.key == effects[i].key && e.hold != nil && e.hold != effects[i].hold }
	return r.rename != nil && slices.ContainsFunc(effects, same)
}

// amends says whether e changes a version's locks or attributes, and is no write of the key.
func (e *effect) amends(r *record) bool {
	return e.hold != nil && !r.own(e) || len(e.set) > 0 ||
		e.hold == nil && len(e.gone) > 0 && !slices.ContainsFunc(e.gone, func(g goneHold) bool { return g.hold == g.version.Dot })
}

// checkLocks looks at each write that takes a lock away, by its writer's clock: one that is not over is only replaced, by one that keeps as long.
// Nobody bypasses governance here.
func (o *oracle) checkLocks(id BucketID) error {
	said := map[heldAt]lock{}
	for d, r := range o.written[id] {
		for _, e := range r.effects {
			if e.hold != nil && !r.own(&e) {
				said[heldAt{e.hold.named(), d}] = e.lock
			}
		}
	}
	for _, r := range o.written[id] {
		now := uint64(r.HLC >> 16) // not before what its writer's clock showed
		for _, e := range r.effects {
			for _, g := range e.gone {
				l := said[heldAt{keyVersion{e.key, g.version}, g.hold}]
				over := max(l.governance, l.compliance) <= now
				kept := e.hold != nil && e.hold.VersionID == g.version && e.lock.compliance >= l.compliance && max(e.lock.governance, e.lock.compliance) >= l.governance
				if !kept && !over || l.legal && !e.amends(r) {
					return fmt.Errorf("%v takes the lock %v away, which says %+v, at %d", r.Dot, g.hold, l, now)
				}
			}
		}
	}
	return nil
}

// resolving is how the ETag begins that a random write says it resolves with.
const resolving = "resolving "

// checkAddressed looks at each write with its writer's eyes: it names only what that had seen; of the losers that it had seen a plain
// write of content names none, a resolving one all, and any other write all or none; of the twins a write of one key's content names all.
func (o *oracle) checkAddressed(id BucketID) error {
	for _, r := range o.written[id] {
		seen := r.known()
		var known map[string][]*Version
		for _, e := range o.effects(id, r) {
			named := map[VersionID]bool{}
			for _, v := range e.over {
				named[v] = true
			}
			for _, g := range e.gone {
				named[g.version] = true
				if !seen.Has(g.hold) {
					return fmt.Errorf("%v takes away %v, which it had not seen", r.Dot, g.hold)
				}
			}
			for v := range named {
				if !seen.Has(v.Dot) {
					return fmt.Errorf("%v names %v, which it had not seen", r.Dot, v.Dot)
				}
			}
			if e.hold == nil && len(named) == 1 || e.amends(r) { // one version removed, perhaps
				continue
			}
			if known == nil {
				known = o.meaning(id, seen)
			}
			h := headOf(known[e.key])
			losers, addressed, twins := h.losers(), 0, 0
			for _, v := range losers {
				if named[v.VersionID] {
					addressed++
				}
			}
			for _, v := range h.open() {
				if h.twin(v) && !named[v.VersionID] {
					twins++
				}
			}
			plain, resolves := false, false
			if (r.rename != nil || len(r.effects) > 1) && e.hold != nil && !e.hold.Marker {
				plain = true
			} else if e.hold != nil && e.hold.Attrs.ETag != "" && !slices.ContainsFunc(known[e.key], func(v *Version) bool { return v.Attrs.ETag == e.hold.Attrs.ETag }) {
				if o.merged[id] && o.elsewhere(id, e.hold) {
					continue
				}
				resolves = strings.HasPrefix(e.hold.Attrs.ETag, resolving) // else it was put, and is no copy of what a resolution kept
				plain = !resolves
			}
			if (plain && r.rename == nil || resolves) && twins > 0 {
				return fmt.Errorf("%v of %q leaves %d twins of what it replaces", r.Dot, e.key, twins)
			}
			if e.hold == nil && oldest(losers, named, addressed) { // taken away as beyond the bounds
				continue
			}
			if plain && addressed > 0 || resolves && addressed < len(losers) || addressed > 0 && addressed < len(losers) {
				return fmt.Errorf("%v of %q names %d of %d open losers", r.Dot, e.key, addressed, len(losers))
			}
		}
	}
	return nil
}

// oldest says whether what is named of the losers, newest first, are the n oldest.
func oldest(losers []*Version, named map[VersionID]bool, n int) bool {
	for i, l := range losers {
		if named[l.VersionID] != (i >= len(losers)-n) {
			return false
		}
	}
	return true
}

// elsewhere says whether another bucket has a version of a put's content, or one that was tagged there since it came with a branch: it was merged,
// perhaps.
func (o *oracle) elsewhere(id BucketID, v *Version) bool {
	for other, all := range o.written {
		for _, r := range all {
			for _, e := range r.effects {
				if other != id && (e.hold != nil && alike(e.hold, v) || e.key == v.Key && e.amends(r)) {
					return true
				}
			}
		}
	}
	return false
}

func render(m map[string][]*Version) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		for _, v := range m[key] {
			fmt.Fprintf(&b, "  %q %v %v null=%t marker=%t over=%t holds=%v size=%d locks=%v", v.Key, v.Dot, v.HLC, v.Null, v.Marker, v.Superseded, v.Holds, v.Size(), v.locks)
			for _, d := range v.Holds { // not as it is kept, but what is meant
				for _, g := range v.spread() {
					if g.hold == d {
						fmt.Fprintf(&b, " %v:%s=%q by %v", d, g.name, g.value, g.by)
					}
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
