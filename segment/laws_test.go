package segment

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var lawsDeep = flag.Int("laws.deep", 0, "how many steps more TestLawsExhaustively takes: 1 is a minute, 2 an hour")

// lawWorld is what records and merges do to one key, without trees, logs or links: the code that decides is the real one.
type lawWorld struct {
	sites  []*lawSite
	oracle *oracle
	record []*record // all that were written, causes first
}

type lawState struct {
	held map[VersionID]*Version
	seen Vector
}

type lawSite struct {
	lawState
	id  ID
	hlc HLC
}

var (
	lawBucket = BucketID{1}
	lawNow    = time.UnixMilli(1 << 16)
)

func newLawWorld(sites int) *lawWorld {
	w := &lawWorld{oracle: newOracle()}
	w.oracle.written[lawBucket] = map[Dot]*record{}
	for i := range sites { // clocks are apart
		s := &lawSite{lawState{map[VersionID]*Version{}, Vector{}}, ID(i + 1), HLC(1000 + 7*(i%2))}
		w.sites = append(w.sites, s)
	}
	return w
}

// lawSteps are what a site can do: to the oldest version that it holds, or to the key.
const lawSteps = "lLuUrtap"

// do lets a site write; false when it is refused, or there is nothing to do.
func (w *lawWorld) do(s *lawSite, step byte) bool {
	h := headOf(s.versions())
	e, ok := effect{key: "k"}, true
	switch {
	case step == 'p': // replaces what is null
		e = h.address("k", Unversioned, false)
		e.hold = &Version{Key: "k", Null: true}
	case step == 'P':
		e = h.address("k", Versioned, false)
		e.hold = &Version{Key: "k"}
	case len(h.versions) == 0:
		return false
	default:
		all := s.versions()
		e, ok = w.amend(s, all[len(all)-1], step)
	}
	if ok {
		w.write(s, e)
	}
	return ok
}

func (w *lawWorld) amend(s *lawSite, v *Version, step byte) (e effect, ok bool) {
	on, off := true, false
	lock := func(c LockChange) (effect, bool) {
		l, err := v.together().changed(c, lawNow, true)
		if err != nil {
			return effect{}, false
		}
		return v.relock(l)
	}
	switch step {
	case 'l':
		return lock(LockChange{LegalHold: &on})
	case 'u':
		return lock(LockChange{LegalHold: &off})
	case 'L':
		return lock(LockChange{Retention: &Retention{Governance, lawNow.Add(time.Second * time.Duration(len(w.record)))}})
	case 'U':
		return lock(LockChange{Retention: &Retention{}})
	case 'r':
		if v.mayGo(lawNow, true) != nil {
			return e, false
		}
		for _, d := range v.Holds {
			e.gone = append(e.gone, goneHold{v.VersionID, d})
		}
		e.key = "k"
		return e, true
	case 't', 'a':
		name := map[byte]Attribute{'t': Tags, 'a': ACL}[step]
		return effect{key: "k", set: []setAttribute{{v.VersionID, string(name), tagsValue(map[string]string{"by": fmt.Sprint(s.id, len(w.record))})}}}, slices.Contains(v.Holds, v.Dot)
	}
	panic(step)
}

func (w *lawWorld) write(s *lawSite, e effect) {
	s.hlc++
	o := Origin{s.id, 1}
	r := &record{deps: s.seen.Clone(), effects: []effect{e}}
	r.name(VersionID{Stamp{HLC: s.hlc}, Dot{o, s.seen[o] + 1}})
	read, err := parseRecord(r.appendTo(nil)) // as a peer gets it
	if err == nil {
		err = read.check()
	}
	if err != nil {
		panic(err)
	}
	w.record = append(w.record, read)
	w.oracle.written[lawBucket][r.Dot] = read
	s.apply(read)
}

func (s *lawSite) apply(r *record) {
	for i := range r.effects {
		changes, err := r.effects[i].changes(r, func(id VersionID) (*Version, error) { return s.held[id], nil })
		if err != nil {
			panic(err)
		}
		for _, c := range changes {
			if c.now == nil {
				delete(s.held, c.id())
			} else {
				s.held[c.id()] = c.now
			}
		}
	}
	s.seen, s.hlc = s.seen.With(r.Dot), max(s.hlc, r.HLC)
}

// feed brings a site the records that another has seen; adopt brings it that one's state.
func (w *lawWorld) feed(to, from *lawSite) {
	for _, r := range w.record {
		if from.seen.Has(r.Dot) && !to.seen.Has(r.Dot) {
			to.apply(r)
		}
	}
}

func (w *lawWorld) adopt(to, from *lawSite) {
	to.lawState, to.hlc = to.merge(from.lawState), max(to.hlc, from.hlc)
}

func (a lawState) merge(b lawState) lawState {
	out := lawState{map[VersionID]*Version{}, a.seen.Join(b.seen)}
	for id := range a.held {
		if v := mergeVersion(a.held[id], b.held[id], a.seen, b.seen); v != nil {
			out.held[id] = v
		}
	}
	for id := range b.held {
		if a.held[id] == nil {
			if v := mergeVersion(nil, b.held[id], a.seen, b.seen); v != nil {
				out.held[id] = v
			}
		}
	}
	return out
}

// versions are what is held, newest first.
func (a lawState) versions() []*Version {
	return slices.SortedFunc(maps.Values(a.held), func(v, w *Version) int { return w.Compare(v.VersionID) })
}

// bytes are as a tree would hold them: what roots are made of.
func (a lawState) bytes() (out []byte) {
	for _, v := range a.versions() {
		out = v.appendStored(out)
	}
	return out
}

// check holds states against what they must be, and merging against its laws.
func (w *lawWorld) check() error {
	var states []lawState
	for _, s := range w.sites {
		states = append(states, s.lawState)
	}
	for i, a := range states {
		if err := w.means(a); err != nil {
			return fmt.Errorf("site %d: %w", i+1, err)
		}
		if again := a.merge(a); !bytes.Equal(again.bytes(), a.bytes()) {
			return fmt.Errorf("site %d merged with itself is\n%s", i+1, renderState(again))
		}
		for j, b := range states[i+1:] {
			ab, ba := a.merge(b), b.merge(a)
			if !bytes.Equal(ab.bytes(), ba.bytes()) {
				return fmt.Errorf("sites %d and %d come to\n%sthe other way round to\n%s", i+1, i+j+2, renderState(ab), renderState(ba))
			}
			if err := w.means(ab); err != nil {
				return fmt.Errorf("sites %d and %d merged: %w", i+1, i+j+2, err)
			}
			for _, c := range states[i+j+2:] {
				if x, y := ab.merge(c), a.merge(b.merge(c)); !bytes.Equal(x.bytes(), y.bytes()) {
					return fmt.Errorf("(1+2)+3 is\n%s1+(2+3) is\n%s", renderState(x), renderState(y))
				}
			}
		}
	}
	return nil
}

func (w *lawWorld) means(a lawState) error {
	want := lawState{map[VersionID]*Version{}, a.seen}
	for _, v := range w.oracle.meaning(lawBucket, a.seen)["k"] {
		want.held[v.VersionID] = v
	}
	if g, w := renderState(a), renderState(want); g != w {
		return fmt.Errorf("having seen %v, it holds\n%swant\n%s", a.seen, g, w)
	}
	for _, v := range a.versions() {
		read, err := parseStored("k", v.appendStored(nil))
		if err != nil || !bytes.Equal(read.appendStored(nil), v.appendStored(nil)) {
			return fmt.Errorf("%v is not read as it was written: %w", v.Dot, err)
		}
	}
	return nil
}

func renderState(a lawState) string { return render(map[string][]*Version{"k": a.versions()}) }

// lawChoices are the steps that a world of so many sites can take: a site's writes, and what one brings another.
func lawChoices(sites int, steps string) (out []func(*lawWorld) string) {
	for i := range sites {
		for _, step := range []byte(steps) {
			out = append(out, func(w *lawWorld) string {
				if !w.do(w.sites[i], step) {
					return ""
				}
				return fmt.Sprintf("%d:%c", i+1, step)
			})
		}
		for j := range sites {
			if i == j {
				continue
			}
			for k, bring := range []func(*lawWorld, *lawSite, *lawSite){(*lawWorld).feed, (*lawWorld).adopt} {
				out = append(out, func(w *lawWorld) string {
					if w.sites[i].seen.Covers(w.sites[j].seen) {
						return ""
					}
					bring(w, w.sites[i], w.sites[j])
					return fmt.Sprintf("%d %s %d", i+1, []string{"feed", "adopt"}[k], j+1)
				})
			}
		}
	}
	return out
}

// TestLawsExhaustively plays all short programs of locks, removals, changes of attributes and writes at two and at three sites, that begin with a
// version which all have seen: with an id, and without. Each site must hold what it must, and merging is commutative, associative and idempotent.
func TestLawsExhaustively(t *testing.T) {
	for _, c := range []struct {
		sites, steps int
		alphabet     string
		first        byte
	}{{2, 4, "lurtp", 'p'}, {2, 3, lawSteps, 'P'}, {3, 3, "lurt", 'P'}} {
		t.Run(fmt.Sprintf("%d sites, %d steps, %c", c.sites, c.steps, c.first), func(t *testing.T) {
			if testing.Short() && c.sites == 2 {
				c.steps--
			}
			choices := lawChoices(c.sites, c.alphabet)
			n := 0
			var play func(path []int) bool
			play = func(path []int) bool {
				w, said := newLawWorld(c.sites), []string{}
				w.do(w.sites[0], c.first)
				for _, s := range w.sites[1:] {
					w.feed(s, w.sites[0])
				}
				for _, i := range path {
					if said = append(said, choices[i](w)); said[len(said)-1] == "" {
						return true // as a shorter one
					}
				}
				n++
				if err := w.check(); err != nil {
					t.Errorf("%s: %v", strings.Join(said, ", "), err)
					return false
				}
				if len(path) == c.steps+*lawsDeep {
					return true
				}
				for i := range choices {
					if !play(append(path[:len(path):len(path)], i)) {
						return false
					}
				}
				return true
			}
			play(nil)
			t.Logf("%d programs", n)
		})
	}
}

// TestLawsAtRandom plays long programs.
func TestLawsAtRandom(t *testing.T) {
	seeds := 1500
	if testing.Short() {
		seeds /= 20
	}
	choices := lawChoices(3, lawSteps+"P")
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 4))
		w, said := newLawWorld(3), []string{}
		for range 40 {
			said = append(said, choices[rng.IntN(len(choices))](w))
		}
		if err := w.check(); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, strings.Join(said, ", "), err)
		}
	}
}
