package segment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// effects are what a record does to keys. Those of a directory's rename are worked out from what its writer had seen, once.
func (o *oracle) effects(id BucketID, r *record) []effect {
	if !r.expands() {
		return r.effects
	}
	if o.renames[id] == nil {
		o.renames[id] = map[Dot][]effect{}
	}
	if o.renames[id][r.Dot] == nil {
		o.renames[id][r.Dot] = o.rename(r, o.meaning(id, r.deps.With(Dot{r.Dot.Origin, r.Dot.N - 1})))
	}
	return o.renames[id][r.Dot]
}

// rename is what a directory's rename means where all that its writer had seen is known.
func (o *oracle) rename(r *record, known map[string][]*Version) (out []effect) {
	m, next := r.rename, r.VersionID
	hold := func(e effect, v Version, key string) effect {
		v.Attrs.Tags, v.registers, v.locks = v.Tags(), v.ownRegisters(), nil
		v.VersionID, v.Holds, v.Key, v.Null, v.Superseded = next, []Dot{next.Dot}, key, m.mode != Versioned, false
		next.Dot.N++
		e.hold = &v
		return e
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		of := known[key]
		open := slices.ContainsFunc(of[1:], func(v *Version) bool { return !v.Superseded && !v.Marker })
		if !strings.HasPrefix(key, m.src) || of[0].Marker && !open {
			continue
		}
		to := m.dst + strings.TrimPrefix(key, m.src)
		at, left, remain := effect{key: to}, effect{key: key}, len(of)
		for i, v := range known[to] {
			at.address(v, m.mode, i == 0 || v.Marker && !v.Superseded)
		}
		for i, v := range slices.Backward(of) {
			moves := i == 0 || !v.Superseded
			if left.address(v, m.mode, moves) {
				remain--
			}
			if moves {
				out = append(out, hold(at, *v, to))
				at = effect{key: to}
			}
		}
		if m.mode != Unversioned || remain > 0 {
			left = hold(left, Version{Marker: true}, key)
		}
		out = append(out, left)
	}
	if n := next.Dot.N - r.Dot.N; n != m.count {
		panic(fmt.Sprintf("rename %v takes %d dots, not %d", r.Dot, n, m.count))
	}
	return out
}

// address is what a write that names v, or does not, does to it: whether it is gone for good then.
func (e *effect) address(v *Version, mode Versioning, named bool) bool {
	locked := slices.ContainsFunc(v.Holds, func(d Dot) bool { return d != v.Dot })
	switch {
	case mode != Versioned && v.Null && !locked && (named || v.Superseded):
		e.gone = append(e.gone, goneHold{v.VersionID, v.Dot})
		return true
	case named:
		e.over = append(e.over, v.VersionID)
	}
	return false
}
