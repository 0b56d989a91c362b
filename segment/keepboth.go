package segment

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// LoserName is the name that the policy keep-both shows an open loser of a key under: the key, a tilde, the write's name, and the key's
// extension once more, so that programs know what is in it. "a/report.txt" lost as "a/report.txt~00000000000000c0-27.txt". The write's name
// is its segment, its life where that is not the first, and its number.
//
// The key comes first and whole, so that names of losers lie close behind their keys: a listing finds them by the keys that a place in it
// begins with.
func LoserName(key string, d Dot) string {
	life := ""
	if d.Inc != 1 {
		life = fmt.Sprintf(".%d", d.Inc)
	}
	return fmt.Sprintf("%s~%v%s-%d%s", key, d.Segment, life, d.N, extension(key))
}

// MaxLoserName is the length of the longest name of a loser, in bytes. It may have more than a key: then it is read, copied and deleted as any, and no key can
// be made of it.
const MaxLoserName = MaxKey + len("~0123456789abcdef.4294967295-18446744073709551615.0123456789abcdef")

// CheckName refuses what is neither a key nor a name that a loser can have.
func CheckName(name string) error {
	if len(name) > MaxKey && len(name) <= MaxLoserName && utf8.ValidString(name) {
		if key, _, ok := ParseLoserName(name); ok {
			return checkKey(key)
		}
	}
	return checkKey(name)
}

// ParseLoserName takes the name of a loser apart; false when it is none.
func ParseLoserName(name string) (key string, d Dot, ok bool) {
	i := strings.LastIndexByte(name, '~')
	if i < 1 {
		return "", d, false
	}
	key = name[:i]
	text, ok := strings.CutSuffix(name[i+1:], extension(key))
	write, number, dash := strings.Cut(text, "-")
	segment, life, lived := strings.Cut(write, ".")
	if !ok || !dash {
		return "", d, false
	}
	d.Inc = 1
	if lived {
		inc, err := strconv.ParseUint(life, 10, 32)
		if err != nil {
			return "", d, false
		}
		d.Inc = uint32(inc)
	}
	id, err := ParseID(segment)
	n, bad := strconv.ParseUint(number, 10, 64)
	d.Segment, d.N = id, n
	if err != nil || bad != nil || LoserName(key, d) != name { // as "007", which nobody writes
		return "", d, false
	}
	return key, d, true
}

// extension is what programs know a file's kind by, with its dot; empty when the key's last part has none.
func extension(key string) string {
	file := key[strings.LastIndexByte(key, '/')+1:]
	i := strings.LastIndexByte(file, '.')
	if i < 1 || len(file)-i < 2 || len(file)-i > 17 {
		return ""
	}
	other := func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }
	if strings.ContainsFunc(file[i+1:], other) {
		return ""
	}
	return file[i:]
}

// asLoser is an open loser under its name.
func (v *Version) asLoser() Version {
	out := *v
	out.Key, out.LoserOf, out.Shadowed = LoserName(v.Key, v.Dot), v.Key, false
	return out
}

// stored is the key that the version is of.
func (v *Version) stored() string {
	if v.LoserOf != "" {
		return v.LoserOf
	}
	return v.Key
}

// answers says whether ref means this version, the only one of its name.
func (v *Version) answers(ref VersionRef) bool {
	return ref.Current() || ref.Null && v.Null || !ref.Null && ref.ID == v.VersionID
}

// loserNamed finds the open loser that is shown under a name, and the head of its key; nil when there is none. A key of that very name goes before, while it has
// content. Whoever looks for both looks for the loser first: the write that makes the key ends the loser with it, so one of them is found.
func (b *Bucket) loserNamed(ctx context.Context, name string) (*Version, head, error) {
	key, dot, ok := ParseLoserName(name)
	if !ok {
		return nil, head{}, nil
	}
	v := b.view(key)
	if v.settings.Policy != KeepBoth {
		return nil, head{}, nil
	}
	h, err := v.head(ctx, key)
	if err != nil {
		return nil, head{}, err
	}
	for _, l := range h.losers() {
		if l.Dot == dot {
			shown := l.asLoser()
			return &shown, h, nil
		}
	}
	return nil, head{}, nil
}

// loserShown is the loser that a name and a version of it mean, while no key of that name goes before.
func (b *Bucket) loserShown(ctx context.Context, name string, ref VersionRef) (*Version, error) {
	loser, _, err := b.loserNamed(ctx, name)
	if err != nil || loser == nil || !loser.answers(ref) {
		return nil, err
	}
	v, err := b.view(name).resolve(ctx, name, ref)
	if isMissing(err) || err == nil && v.Marker && ref.Current() {
		return loser, nil
	}
	return nil, err
}

// aimed is the key that a name and a version of it mean: of a loser that is shown there the key that it is of, and then ref is changed to name it there.
func (b *Bucket) aimed(ctx context.Context, name string, ref *VersionRef) (string, error) {
	loser, err := b.loserShown(ctx, name, *ref)
	if loser == nil {
		return name, err
	}
	*ref = VersionRef{ID: loser.VersionID}
	return loser.LoserOf, nil
}

// dismissal is what a write does that ends losers of the key, without another version in their place: they are history where they have an
// id, and gone where not. An unversioned key of which only the delete marker is left then goes with them: there is nothing for it to hide.
func (h head) dismissal(key string, mode Versioning, losers ...*Version) effect {
	e := effect{key: key}
	for _, v := range losers {
		if mode == Versioned || !v.Null || v.locked() {
			e.over = append(e.over, v.VersionID)
			continue
		}
		for _, d := range v.Holds {
			e.gone = append(e.gone, goneHold{v.VersionID, d})
		}
	}
	if m := h.current(); m != nil && m.Marker && mode == Unversioned && m.Null && !m.locked() {
		with := e
		with.gone = append(slices.Clone(e.gone), goneHold{m.VersionID, m.Dot})
		if !h.remains(with) {
			return with
		}
	}
	return e
}

// planDismissal plans the end of a loser: a DELETE of the name that it is shown under.
func (b *Bucket) planDismissal(ctx context.Context, loser *Version, c Cond) (plan, error) {
	key := loser.LoserOf
	return b.planned(ctx, key, func(h head, v keyView) (effect, error) {
		i := slices.IndexFunc(h.losers(), func(l *Version) bool { return l.VersionID == loser.VersionID })
		if i < 0 { // somebody ended it meanwhile
			if err := c.check(head{}); err != nil {
				return effect{}, err
			}
			return effect{}, errStop
		}
		if err := c.check(headOf([]*Version{loser})); err != nil {
			return effect{}, err
		}
		return h.dismissal(key, v.settings.Versioning, h.losers()[i]), nil
	})
}

// shownWalk goes through what a listing shows, in order: the keys with content and, where the policy is to keep both, open losers.
type shownWalk struct {
	heads *headWalk
	both  bool
	last  string    // the last key whose losers were taken
	later []Version // losers whose names are still to come, in order
}

// shown begins a walk at from.
func (b *Bucket) shown(ctx context.Context, from string) (*shownWalk, error) {
	b.mu.Lock() // Copy marks the map's nodes as shared
	s := snapshot{b.base, b.overlay.Copy()}
	both := b.settings.Load().Policy == KeepBoth && b.stats.open > 0
	b.mu.Unlock()
	return s.shown(ctx, from, both)
}

// shown is [Bucket.shown] at one moment.
func (s snapshot) shown(ctx context.Context, from string, both bool) (*shownWalk, error) {
	w := &shownWalk{heads: s.heads(), both: both}
	if !both {
		return w, nil
	}
	// A loser's name follows from although its key does not: then from begins with the key, or the two would compare as the keys do.
	for n := 1; n < len(from); n++ {
		if from[n] > '~' {
			continue
		}
		h, err := s.shownHead(ctx, from[:n])
		if err != nil {
			return nil, err
		}
		w.takeLosers(h)
	}
	return w, nil
}

// shownHead is the head of a key that a listing shows or that is in conflict; else it is empty.
func (s snapshot) shownHead(ctx context.Context, key string) (head, error) {
	if o, ok := s.overlay.Get(key); ok {
		return o.head(key)
	}
	raw, ok, err := s.base.headTree.Get(ctx, headKey(regionShown, key))
	if err != nil || !ok {
		return head{}, err
	}
	return parseHead(key, raw)
}

func (w *shownWalk) takeLosers(h head) {
	for _, l := range h.losers() {
		v := l.asLoser()
		i, _ := slices.BinarySearchFunc(w.later, v.Key, func(v Version, name string) int { return strings.Compare(v.Key, name) })
		w.later = slices.Insert(w.later, i, v)
	}
}

// from is the first version shown at or behind a name, nil at the end. Names must ascend from call to call.
func (w *shownWalk) from(ctx context.Context, name string) (*Version, error) {
	for {
		for len(w.later) > 0 && w.later[0].Key < name {
			w.later = w.later[1:]
		}
		h, key, err := w.heads.from(ctx, name)
		if err != nil {
			return nil, err
		}
		if len(w.later) > 0 && (key == "" || w.later[0].Key < key || w.later[0].Key == key && h.content() == nil) {
			return &w.later[0], nil
		}
		if key == "" {
			return nil, nil
		}
		if w.both && key > w.last {
			w.takeLosers(h)
			w.last = key
		}
		if v := h.content(); v != nil {
			return v, nil
		}
		name = key + "\x00"
	}
}
