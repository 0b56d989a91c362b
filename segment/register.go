package segment

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// register is the value of an attribute that changes while its version stays, and the write that gave it: of two the newest counts,
// everywhere alike.
//
// It goes with holds of the version, not with the version: with those that its writer had seen, and with each lock whose writer had seen it. So
// what becomes of it when a removal, a lock and a change of tags cross depends on who had seen whom, and not on what came first to where.
type register struct {
	name  string
	value string
	by    VersionID // the record that gave it; zero: the version's own
	on    []Dot     // the holds that it goes with, sorted; nil: all of the version's
}

func (g register) compare(h register) int {
	return cmp.Or(g.by.Compare(h.by), strings.Compare(g.value, h.value))
}

// heldRegister is a register on one of its holds.
type heldRegister struct {
	hold Dot
	register
}

// spread are the version's registers, hold by hold.
func (v *Version) spread() []heldRegister {
	if v == nil {
		return nil
	}
	var out []heldRegister
	for _, g := range v.registers {
		on := g.on
		if on == nil {
			on = v.Holds
		}
		for _, d := range on {
			out = append(out, heldRegister{d, g})
		}
	}
	return out
}

// gathered keeps, of all for each of the holds and each name, the newest.
func gathered(holds []Dot, all []heldRegister) []register {
	if len(all) == 0 {
		return nil
	}
	type place struct {
		hold Dot
		name string
	}
	newest := map[place]register{}
	for _, g := range all {
		at := place{g.hold, g.name}
		if old, ok := newest[at]; slices.Contains(holds, g.hold) && (!ok || g.compare(old) > 0) {
			newest[at] = g.register
		}
	}
	var out []register
	for at, g := range newest {
		i, found := slices.BinarySearchFunc(out, g, register.order)
		if !found {
			g.on = nil
			out = slices.Insert(out, i, g)
		}
		out[i].on = withDot(out[i].on, at.hold)
	}
	for i := range out {
		if len(out[i].on) == len(holds) {
			out[i].on = nil
		}
	}
	return out
}

// order is how registers are written: by name, the older first.
func (g register) order(h register) int {
	return cmp.Or(strings.Compare(g.name, h.name), g.compare(h))
}

// newest is the register that counts for a name.
func (v *Version) newest(name string) (found register, ok bool) {
	for _, g := range v.registers {
		if g.name == name && (!ok || g.compare(found) > 0) {
			found, ok = g, true
		}
	}
	return found, ok
}

// current are the registers that count, one for each name, going with all of the version.
func (v *Version) current() (out []register) {
	for _, g := range v.registers {
		if newest, _ := v.newest(g.name); newest.compare(g) == 0 {
			g.on = nil
			out = append(out, g)
		}
	}
	return out
}

// set gives an attribute the value that record r brings, where r's writer had seen what holds the version.
func (v *Version) set(r *record, name, value string) {
	all := v.spread()
	for _, d := range v.Holds {
		if r.sees(d) {
			all = append(all, heldRegister{d, register{name: name, value: value, by: r.VersionID}})
		}
	}
	v.registers = gathered(v.Holds, all)
}

const (
	registerFieldName  = 1
	registerFieldBy    = 2 // left out: the version's own
	registerFieldValue = 3
	registerFieldOn    = 4 // left out: all
)

func (g register) appendTo(b []byte) []byte {
	b = putBytes(b, registerFieldName, g.name)
	if !g.by.IsZero() {
		b = putPart(b, registerFieldBy, g.by.appendTo)
	}
	b = putBytes(b, registerFieldValue, g.value)
	for _, d := range g.on {
		b = putPart(b, registerFieldOn, d.appendTo)
	}
	return b
}

func parseRegister(b []byte) (g register, err error) {
	err = eachField("register", b, func(f field) (err error) {
		if f.typ != protowire.BytesType {
			return badFormat("register")
		}
		switch f.num {
		case registerFieldName:
			g.name = string(f.b)
		case registerFieldBy:
			g.by, err = parseVersionID(f.b)
		case registerFieldValue:
			g.value = string(f.b)
		case registerFieldOn:
			var d Dot
			d, err = parseDot(f.b)
			g.on = append(g.on, d)
		default: // what a later build says of a register decides how it is merged
			return badFormat("register")
		}
		return err
	})
	if err == nil && !sorted(g.on) {
		err = badFormat("register")
	}
	return g, err
}

// sorted says whether s is a set: in order, nothing twice.
func sorted(s []Dot) bool {
	for i := 1; i < len(s); i++ {
		if s[i-1].Compare(s[i]) >= 0 {
			return false
		}
	}
	return true
}
