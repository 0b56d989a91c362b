package segment

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// RequestName names a write that another segment is asked for, for ever: it is random, and the same however often that is asked.
type RequestName [16]byte

// A bucket's state remembers which requests are done, so that a repeated one gets the first answer, at whatever segment is the home by then. An
// entry is held by the dot of the record that did it, as a version is, and goes when a later record forgets it: a merge keeps what both
// remember, or what one remembers and the other has not seen.
//
// The home forgets what the one who asked has acknowledged, and what is older than anybody would ask again.
const (
	maxDone    = 1024      // requests that a home remembers before it does another
	maxDoneAll = 16 * 1024 // that are believed of a peer: those of homes made by force add up
	doneAge    = time.Hour
)

// done is a request that a record did.
type done struct {
	by   VersionID // of the record
	name RequestName
	outcome
}

// outcome is what a write did, in so far as who asked for it does not know.
type outcome struct {
	version VersionID // put, removed or kept; zero for none
	null    bool      // it shows as null
	marker  bool      // it is a delete marker
	told    string    // what else its verb tells, as that encodes it; empty for most
}

const maxTold = 64 // bytes

// answered is a record's note of the request that it does.
type answered struct {
	name    RequestName
	outcome       // its version is zero where it is the record's own
	own     bool  // it is the record's own
	forgets []Dot // of records whose requests are remembered no more
}

// result is the outcome of the record that has the name id.
func (a *answered) result(id VersionID) outcome {
	out := a.outcome
	if a.own {
		out.version = id
	}
	return out
}

const (
	outcomeNull   = 1 << 0
	outcomeMarker = 1 << 1
	outcomeOwn    = 1 << 2
)

func (o outcome) appendTo(b []byte, num fieldNum, own bool) []byte {
	if !own && !o.version.IsZero() {
		b = putPart(b, num, o.version.appendTo)
	}
	flags := uint64(0)
	for i, on := range []bool{o.null, o.marker, own} {
		if on {
			flags |= 1 << i
		}
	}
	return putUint(b, num+1, flags)
}

// takeTold reads what else was told, which messages keep where they have room.
func (o *outcome) takeTold(f field) error {
	if f.typ != protowire.BytesType || len(f.b) > maxTold {
		return badFormat("outcome")
	}
	o.told = string(f.b)
	return nil
}

// take reads what appendTo writes, field by field.
func (o *outcome) take(f field, num fieldNum, own *bool) (err error) {
	switch {
	case f.num == num && f.typ == protowire.BytesType:
		o.version, err = parseVersionID(f.b)
	case f.num == num+1 && f.typ == protowire.VarintType && f.n < 1<<3:
		o.null, o.marker, *own = f.n&outcomeNull != 0, f.n&outcomeMarker != 0, f.n&outcomeOwn != 0
	default: // what a later build remembers cannot be left out
		err = badFormat("outcome")
	}
	if *own {
		o.version = VersionID{}
	}
	return err
}

func (a *answered) appendTo(b []byte) []byte {
	b = putMessage(b, 1, a.name[:])
	b = a.outcome.appendTo(b, 2, a.own)
	for _, d := range a.forgets {
		b = putPart(b, 4, d.appendTo)
	}
	return putBytes(b, 5, a.outcome.told)
}

func parseAnswered(b []byte) (*answered, error) {
	a := new(answered)
	err := eachField("answered request", b, func(f field) (err error) {
		switch f.num {
		case 1:
			return a.name.take(f)
		case 4:
			var d Dot
			d, err = parseDot(f.b)
			a.forgets = append(a.forgets, d)
			return err
		case 5:
			return a.takeTold(f)
		}
		return a.outcome.take(f, 2, &a.own)
	})
	return a, err
}

func (n *RequestName) take(f field) error {
	if len(f.b) != len(n) {
		return badFormat("request name")
	}
	*n = RequestName(f.b)
	return nil
}

func (d done) appendTo(b []byte) []byte {
	b = putPart(b, 1, d.by.appendTo)
	b = putMessage(b, 2, d.name[:])
	b = d.outcome.appendTo(b, 3, d.version == d.by)
	return putBytes(b, 5, d.outcome.told)
}

func parseDone(b []byte) (d done, err error) {
	own := false
	err = eachField("done request", b, func(f field) (err error) {
		switch f.num {
		case 1:
			d.by, err = parseVersionID(f.b)
			return err
		case 2:
			return d.name.take(f)
		case 5:
			return d.takeTold(f)
		}
		return d.outcome.take(f, 3, &own)
	})
	if own {
		d.version = d.by
	}
	return d, err
}

// doneList is what a bucket remembers, by the records' dots. It is a value: never changed, only replaced.
type doneList []done

func (l doneList) appendTo(b []byte) []byte {
	for _, d := range l {
		b = putPart(b, 1, d.appendTo)
	}
	return b
}

func parseDoneList(b []byte) (l doneList, err error) {
	err = eachField("done requests", b, func(f field) error {
		d, err := parseDone(f.b)
		if err == nil && (f.num != 1 || len(l) > 0 && compareDone(l[len(l)-1], d) >= 0) {
			err = badFormat("done requests")
		}
		l = append(l, d)
		return err
	})
	return l, err
}

func compareDone(a, b done) int { return a.by.Dot.Compare(b.by.Dot) }

// after is l when a record was applied.
func (l doneList) after(r *record) doneList {
	if r.request == nil {
		return l
	}
	out := make(doneList, 0, len(l)+1)
	for _, d := range l {
		if !slices.Contains(r.request.forgets, d.by.Dot) {
			out = append(out, d)
		}
	}
	d := done{r.VersionID, r.request.name, r.request.result(r.VersionID)}
	at, found := slices.BinarySearchFunc(out, d, compareDone)
	if found {
		return out
	}
	return slices.Insert(out, at, d)
}

// find is the newest record that did a request: two homes may both have done it, where one was made by force.
func (l doneList) find(name RequestName) (found done, ok bool) {
	for _, d := range l {
		if d.name == name && (!ok || found.by.Compare(d.by) < 0) {
			found, ok = d, true
		}
	}
	return found, ok
}

// merged is what two remember together, who have seen so much.
func (l doneList) merged(o doneList, mySeen, otherSeen Vector) doneList {
	var out doneList
	keep := func(mine, other doneList, otherSeen Vector) {
		for _, d := range mine {
			if _, both := slices.BinarySearchFunc(other, d, compareDone); both || !otherSeen.Has(d.by.Dot) {
				out = append(out, d)
			}
		}
	}
	keep(l, o, otherSeen)
	keep(o, l, mySeen)
	slices.SortFunc(out, compareDone)
	return slices.CompactFunc(out, func(a, b done) bool { return a.by.Dot == b.by.Dot })
}

// forgettable are the records whose requests a home need not remember: they are acknowledged, or older than anybody would ask again.
func (l doneList) forgettable(acks []RequestName, now HLC) (dots []Dot) {
	old := hlcAt(now.Time().Add(-doneAge))
	for _, d := range l {
		if d.by.HLC < old || slices.Contains(acks, d.name) {
			dots = append(dots, d.by.Dot)
		}
	}
	return dots
}

// check refuses more than homes ever remember.
func (l doneList) check() error {
	if len(l) > maxDoneAll {
		return fmt.Errorf("%d requests are remembered: %w", len(l), ErrRefused)
	}
	return nil
}
