package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
)

// expansion is what the rename of a directory does to a state: a function of what its writer had seen of the two directories. Its effects
// have no ids before the record has.
type expansion struct {
	effects []effect
	heads   []head // what each effect's key held; of no meaning where the effect before is of the same key
	keys    int64  // that move
	count   uint64 // versions that are made
	moved   int64  // those of them that are no markers left behind
	bytes   int64  // of memory that the effects take, and what applying them makes, about
	digest  effectsDigest
	mode    Versioning
	seq     uint64 // of the bucket's records when it was looked at
	large   bool   // the effects would have taken more memory than they may: they were not kept
}

// move is what a rename does to one key, which holds h, and to the one that it becomes, which holds target. What is current or open of it
// moves, the oldest first, so a conflict moves whole; what is there of the target is addressed as by a put, but for twins, for what a record of a rename
// does must stay what it was; and the key is left as by a delete of all that moved. The effects are appended to out.
func (h head) move(out []effect, key, to string, target head, mode Versioning) []effect {
	e := target.addressing(to, mode, func(v *Version) bool { return v.Marker })
	for i, v := range slices.Backward(h.versions) {
		if i > 0 && v.Superseded {
			continue
		}
		e.hold = v.movedTo(to, mode)
		out = append(out, e)
		e = effect{key: to}
	}
	left := h.address(key, mode, true)
	if mode != Unversioned || h.remains(left) {
		left.hold = &Version{Key: key, Null: mode != Versioned, Marker: true}
	}
	return append(out, left)
}

// movedTo is what v is at another key, before it has an id: all that its writer said of it and its attributes as they are, but no lock.
func (v *Version) movedTo(key string, mode Versioning) *Version {
	w := *v
	v.carry(&w)
	w.VersionID, w.Holds, w.locks, w.Key = VersionID{}, nil, nil, key
	w.Null, w.Superseded, w.Shadowed = mode != Versioned, false, false
	return &w
}

// expander works an expansion out.
type expander struct {
	at    snapshot // whose base is read with what peers have, or not
	m     *rename
	sees  func(Dot) bool // what the rename's writer had seen; nil: all that is here
	limit int64          // of expansion.bytes, beyond which effects are not kept
	most  uint64         // of expansion.count
	whole bool           // it is the writer's own: source and target must be as the options say
	o     RenameOptions
	sink  func(context.Context, *expansion) error // gets the effects of each key, which are then not kept; or nil

	out    expansion
	hash   *blake3.Hasher
	buf    []byte
	blank  record // stands for the record that has no name yet
	source keyWalk
	target keyWalk
}

// errOther says that a rename does not do here what it did where it was written.
var errOther = errors.New("the rename has other effects here")

// expand works out what the rename m of a writer who had seen what sees says does to a state.
func (x *expander) expand(ctx context.Context) (*expansion, error) {
	x.hash, x.out.mode = blake3.New(), x.m.mode
	x.blank.rename = &rename{count: math.MaxInt64}
	x.source, x.target = x.at.keys(), x.at.keys()
	if x.sees == nil {
		x.source.shownOnly() // of others nothing moves
	}
	visible, err := x.walk(ctx)
	if err != nil {
		return nil, err
	}
	if x.whole && !visible {
		return nil, fmt.Errorf("%q: %w", x.m.src, ErrNoSuchKey)
	}
	if x.whole && !x.o.Replace {
		if err := x.checkTarget(ctx); err != nil {
			return nil, err
		}
	}
	x.hash.Sum(x.out.digest[:0])
	return &x.out, nil
}

// checkTarget refuses a target that holds anything but its own name.
func (x *expander) checkTarget(ctx context.Context) error {
	w := x.at.heads()
	for from := x.m.dst; ; {
		h, key, err := w.from(ctx, from)
		if err != nil || !strings.HasPrefix(key, x.m.dst) {
			return err
		}
		if h.content() != nil && key != x.m.dst {
			return fmt.Errorf("%q holds %q: %w", x.m.dst, key, ErrTargetExists)
		}
		from = key + "\x00"
	}
}

// walk goes through the source in key order. It says whether any of it is listed.
func (x *expander) walk(ctx context.Context) (visible bool, err error) {
	for from := x.m.src; ; {
		was, key, err := x.source.from(ctx, from)
		if err != nil || !strings.HasPrefix(key, x.m.src) {
			return visible, err
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		from = key + "\x00"
		h, err := x.within(ctx, key, was)
		if err != nil {
			return false, err
		}
		if h.content() == nil && !h.conflicted() {
			continue
		}
		visible = visible || h.content() != nil
		if err := x.moveKey(ctx, key, h, was); err != nil {
			return false, err
		}
	}
}

func (x *expander) moveKey(ctx context.Context, key string, h, was head) error {
	to := x.m.dst + key[len(x.m.src):]
	if len(to) > MaxKey {
		return fmt.Errorf("%q would become a key of %d bytes, more than %d: %w", key, len(to), MaxKey, ErrInvalidArgument)
	}
	there, found, err := x.target.from(ctx, to)
	if err != nil {
		return err
	}
	if found != to {
		there = head{}
	}
	t, err := x.within(ctx, to, there)
	if err != nil {
		return err
	}
	effects := x.out.move(h, key, to, t, x.m.mode)
	for i := range effects {
		x.take(&effects[i])
	}
	x.out.held(len(effects), there, was)
	x.out.keys++
	x.out.moved += int64(len(effects) - 1)
	switch {
	case x.out.count > x.most:
		return errOther
	case x.sink != nil:
		err = x.sink(ctx, &x.out)
		x.out.drop()
	case x.out.bytes > x.limit:
		x.out.large = true
		x.out.drop()
	}
	return err
}

// drop lets go of the effects, but for room for those of a key.
func (x *expansion) drop() {
	x.effects, x.heads = x.effects[:0], x.heads[:0]
	if cap(x.effects) > 64 {
		x.effects, x.heads = nil, nil
	}
}

// move adds what the move of a key does, see [head.move], and returns that.
func (x *expansion) move(h head, key, to string, target head, mode Versioning) []effect {
	n := len(x.effects)
	if most := len(h.versions) + 1; n+most > cap(x.effects) { // twice as many, for append makes room so often that each is copied several times
		x.effects = slices.Grow(x.effects, max(n, most))
	}
	x.effects = h.move(x.effects, key, to, target, mode)
	return x.effects[n:]
}

// held notes what the keys of the last n effects held: first the target, last the source.
func (x *expansion) held(n int, target, source head) {
	at := len(x.heads)
	if at+n > cap(x.heads) {
		x.heads = slices.Grow(x.heads, max(n, at))
	}
	x.heads = x.heads[:at+n]
	x.heads[at], x.heads[at+n-1] = target, source
}

// movedCost is what an effect of a rename takes in memory until it is folded, beyond its strings, about: see BenchmarkRename.
const movedCost = 350

func (x *expander) take(e *effect) {
	x.buf = x.blank.appendEffect(x.buf[:0], e)
	var size [binary.MaxVarintLen64]byte
	_, _ = x.hash.Write(binary.AppendUvarint(size[:0], uint64(len(x.buf))))
	_, _ = x.hash.Write(x.buf)
	x.out.bytes += movedCost + int64(len(x.buf))
	if e.hold != nil {
		x.out.count++
	}
}

// within is a key's head as the rename's writer knew it, where that can still be told: what was taken away since is not here.
func (x *expander) within(ctx context.Context, key string, h head) (head, error) {
	if x.sees == nil || h.count == 0 || x.knew(h) {
		return h, nil
	}
	over, _ := x.at.overlay.Get(key)
	d, err := over.delta(key)
	if err != nil {
		return head{}, err
	}
	known := head{}.changing()
	for v, err := range x.at.base.versionsOver(ctx, d, key, nil) {
		if err != nil {
			return head{}, err
		}
		if v = x.knownOf(v); v != nil {
			known.takeNext(change{now: v})
		}
	}
	return known.now, nil
}

// knew says whether the writer knew all that counts of a head. How many other versions there are does not, but to a delete in a bucket without
// versions, which leaves a marker where any remains.
func (x *expander) knew(h head) bool {
	if x.m.mode == Unversioned && h.count > len(h.versions) {
		return false
	}
	unknown := func(v *Version) bool {
		return !x.sees(v.Dot) || slices.ContainsFunc(v.Holds, func(d Dot) bool { return !x.sees(d) }) ||
			slices.ContainsFunc(v.registers, x.given)
	}
	return !slices.ContainsFunc(h.versions, unknown)
}

// given says whether an attribute was changed by somebody whom the writer did not know of.
func (x *expander) given(g register) bool { return !g.by.IsZero() && !x.sees(g.by.Dot) }

// knownOf is a version with the holds, locks and attributes that the writer knew of; nil when it knew of none. What an attribute was before it was
// changed is not here: then the effects are others.
func (x *expander) knownOf(v *Version) *Version {
	w := *v
	for _, d := range v.Holds {
		if !x.sees(d) {
			w.release(d)
		}
	}
	w.registers = slices.DeleteFunc(slices.Clone(w.registers), x.given)
	if !x.sees(v.Dot) {
		return nil
	}
	return settled(&w)
}

// keyWalk goes through the keys of which anything is held, listed or not, in order.
type keyWalk struct {
	regions []*headWalk
	heads   [2]head
	keys    [2]string // of the heads; empty at the end of a region
	started bool
}

func (s snapshot) keys() keyWalk {
	return keyWalk{regions: []*headWalk{s.headsIn(regionShown), s.headsIn(regionHidden)}}
}

func (w *keyWalk) shownOnly() { w.regions = w.regions[:1] }

// from is the first key at or behind key, empty at the end. Keys must ascend from call to call.
func (w *keyWalk) from(ctx context.Context, key string) (head, string, error) {
	first := -1
	for i, region := range w.regions {
		if !w.started || w.keys[i] != "" && w.keys[i] < key {
			var err error
			if w.heads[i], w.keys[i], err = region.from(ctx, key); err != nil {
				return head{}, "", err
			}
		}
		if w.keys[i] != "" && (first < 0 || w.keys[i] < w.keys[first]) {
			first = i
		}
	}
	w.started = true
	if first < 0 {
		return head{}, "", nil
	}
	return w.heads[first], w.keys[first], nil
}
