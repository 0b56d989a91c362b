package segment

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// rename makes a record take several dots, consecutive from its own on: one for each version that it puts, in the order of its effects.
//
// That of a directory carries no effects. They are a function of what its writer had seen: see [expander].
type rename struct {
	count    uint64 // of dots
	src, dst string // directories, which end in a slash; empty where the record carries its effects
	mode     Versioning
	digest   effectsDigest
}

// effectsDigest is the BLAKE3 of a record's effects, as [record.appendDigested] writes them.
type effectsDigest [32]byte

const (
	renameFieldCount  = 1
	renameFieldSource = 2
	renameFieldTarget = 3
	renameFieldMode   = 4
	renameFieldDigest = 5
)

func (m *rename) appendTo(b []byte) []byte {
	b = putUint(b, renameFieldCount, m.count)
	if m.src == "" {
		return b
	}
	b = putBytes(b, renameFieldSource, m.src)
	b = putBytes(b, renameFieldTarget, m.dst)
	b = putUint(b, renameFieldMode, uint64(m.mode))
	return putMessage(b, renameFieldDigest, m.digest[:])
}

func parseRename(b []byte) (*rename, error) {
	m := new(rename)
	err := eachField("rename", b, func(f field) error {
		switch {
		case f.num == renameFieldCount && f.typ == protowire.VarintType:
			m.count = f.n
		case f.num == renameFieldSource && f.typ == protowire.BytesType:
			m.src = string(f.b)
		case f.num == renameFieldTarget && f.typ == protowire.BytesType:
			m.dst = string(f.b)
		case f.num == renameFieldMode && f.typ == protowire.VarintType && f.n <= uint64(Suspended):
			m.mode = Versioning(f.n)
		case f.num == renameFieldDigest && f.typ == protowire.BytesType && len(f.b) == len(m.digest):
			m.digest = effectsDigest(f.b)
		default: // what a later build asks for cannot be done in part
			return badFormat("rename")
		}
		return nil
	})
	if err == nil && (m.count == 0 || (m.src == "") != (m.dst == "") || m.src == "" && (m.mode != 0 || m.digest != effectsDigest{})) {
		err = badFormat("rename")
	}
	return m, err
}

// check refuses a rename that no segment writes.
func (m *rename) check() error {
	if m.src == "" {
		return nil
	}
	if len(m.src) > maxFederatedKey || len(m.dst) > maxFederatedKey || checkDirectories(m.src, m.dst) != nil {
		return fmt.Errorf("a rename of %q to %q: %w", m.src, m.dst, ErrRefused)
	}
	return nil
}

// checkDirectories says why one directory cannot become the other, whatever they hold.
func checkDirectories(src, dst string) error {
	switch {
	case len(src) < 2 || len(dst) < 2 || !strings.HasSuffix(src, "/") || !strings.HasSuffix(dst, "/"):
		return fmt.Errorf("%q, %q: a directory is a name and a slash: %w", src, dst, ErrInvalidArgument)
	case strings.HasPrefix(src, dst), strings.HasPrefix(dst, src):
		return fmt.Errorf("one of %q and %q holds the other: %w", src, dst, ErrInvalidArgument)
	}
	return nil
}

// expands says whether the record's effects are not in it but are worked out.
func (r *record) expands() bool { return r.rename != nil && r.rename.src != "" }

// dots is how many the record takes.
func (r *record) dots() uint64 {
	if r.rename == nil {
		return 1
	}
	return r.rename.count
}

// last is the last dot that the record takes. Whoever has seen one of them has seen all.
func (r *record) last() Dot { return Dot{r.Dot.Origin, r.Dot.N + r.dots() - 1} }

// sees says whether the record was written in knowledge of d.
func (r *record) sees(d Dot) bool {
	return d.Origin == r.Dot.Origin && d.N < r.Dot.N || r.deps.Has(d)
}

// number gives the versions that a parsed record puts their dots.
func (r *record) number() error {
	if r.rename == nil {
		return nil
	}
	if r.rename.count > math.MaxInt64 || r.Dot.N > math.MaxInt64 || r.settings != nil || r.expands() && len(r.effects) > 0 {
		return badFormat("rename")
	}
	if r.expands() {
		return nil
	}
	next := r.VersionID
	for i := range r.effects {
		v := r.effects[i].hold
		switch {
		case v == nil:
		case v.Dot == r.Dot:
			v.VersionID, v.Holds = next, []Dot{next.Dot}
			next.Dot.N++
		case r.own(&r.effects[i]):
			return badFormat("rename")
		}
	}
	if next.Dot.N-r.Dot.N != r.rename.count {
		return badFormat("rename")
	}
	return nil
}
