package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// RetentionMode says who may give a retention up.
type RetentionMode uint8

const (
	// NoRetention keeps nothing.
	NoRetention RetentionMode = iota
	// Governance is given up by whoever says that he means it: [Cond.BypassGovernance].
	Governance
	// Compliance is given up by nobody.
	Compliance
)

// String is "none", "governance" or "compliance".
func (m RetentionMode) String() string {
	switch m {
	case Governance:
		return "governance"
	case Compliance:
		return "compliance"
	}
	return "none"
}

// MarshalText writes what [RetentionMode.String] says.
func (m RetentionMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads "none", "governance" or "compliance".
func (m *RetentionMode) UnmarshalText(b []byte) error {
	for _, known := range []RetentionMode{NoRetention, Governance, Compliance} {
		if known.String() == string(b) {
			*m = known
			return nil
		}
	}
	return fmt.Errorf("retention mode %q: want none, governance or compliance: %w", b, ErrInvalidArgument)
}

// Retention keeps a version from being removed until a moment, of which milliseconds count.
type Retention struct {
	Mode  RetentionMode `json:"mode"`
	Until time.Time     `json:"until"`
}

// Lock is what keeps a version from being removed: a retention, and a legal hold, which has no end. The zero Lock keeps nothing.
type Lock struct {
	Retention
	LegalHold bool `json:"legalHold"`
}

// LockChange says what a lock is to be; nil leaves a part as it is.
type LockChange struct {
	Retention *Retention // its zero value ends it
	LegalHold *bool
}

// lock is what one write says that keeps a version. Several together keep it as long as the longest: they are joined by the greater of each.
type lock struct {
	governance uint64 // milliseconds since 1970; 0: none
	compliance uint64
	legal      bool
}

// heldLock is a lock and the hold that it is.
type heldLock struct {
	hold Dot
	lock
}

// maxUntil bounds a retention's end, in milliseconds since 1970: stamps have as many.
const maxUntil = 1 << 48

func (r Retention) lock() lock {
	until := uint64(max(r.Until.UnixMilli(), 0))
	switch r.Mode {
	case Governance:
		return lock{governance: until}
	case Compliance:
		return lock{compliance: until}
	}
	return lock{}
}

func (l Lock) lock() lock {
	out := l.Retention.lock()
	out.legal = l.LegalHold
	return out
}

func (l lock) shown() Lock {
	out := Lock{LegalHold: l.legal}
	switch {
	case l.compliance >= l.governance && l.compliance > 0:
		out.Mode, out.Until = Compliance, endOf(l.compliance)
	case l.governance > 0:
		out.Mode, out.Until = Governance, endOf(l.governance)
	}
	return out
}

func (l lock) join(m lock) lock {
	return lock{max(l.governance, m.governance), max(l.compliance, m.compliance), l.legal || m.legal}
}

// binds says whether the version may not be removed at a moment.
func (l lock) binds(now time.Time, bypass bool) bool {
	ms := uint64(now.UnixMilli())
	return l.legal || l.compliance > ms || l.governance > ms && !bypass
}

// reasons is what binds at a moment, for people.
func (l lock) reasons(now time.Time, bypass bool) string {
	var all []string
	ms := uint64(now.UnixMilli())
	if l.compliance > ms {
		all = append(all, "compliance until "+moment(endOf(l.compliance)))
	}
	if l.governance > ms && !bypass {
		all = append(all, "governance until "+moment(endOf(l.governance)))
	}
	if l.legal {
		all = append(all, "a legal hold")
	}
	return strings.Join(all, ", ")
}

// endOf is the end of a retention.
func endOf(ms uint64) time.Time { return time.UnixMilli(int64(ms)).UTC() }

// changed is the lock after a change, which may shorten a retention that is over, and one of governance by who bypasses it.
func (l lock) changed(c LockChange, now time.Time, bypass bool) (lock, error) {
	out, ms := l, uint64(now.UnixMilli())
	if c.LegalHold != nil {
		out.legal = *c.LegalHold
	}
	if c.Retention == nil {
		return out, nil
	}
	to := c.Retention.lock()
	out.governance, out.compliance = to.governance, to.compliance
	until := max(to.governance, to.compliance)
	switch {
	case c.Retention.Mode > Compliance || until >= maxUntil:
		return l, fmt.Errorf("retention %v until %v: %w", c.Retention.Mode, c.Retention.Until, ErrInvalidArgument)
	case c.Retention.Mode != NoRetention && until <= ms:
		return l, fmt.Errorf("a retention until %v is over: %w", c.Retention.Until, ErrInvalidArgument)
	case l.compliance > ms && to.compliance < l.compliance:
		return l, fmt.Errorf("compliance until %s is not shortened: %w", moment(endOf(l.compliance)), ErrLocked)
	case l.governance > ms && until < l.governance && !bypass:
		return l, fmt.Errorf("governance until %s is not shortened without saying so: %w", moment(endOf(l.governance)), ErrLocked)
	}
	return out, nil
}

// locked says whether a lock holds the version, be it over or not.
func (v *Version) locked() bool {
	return slices.ContainsFunc(v.Holds, func(d Dot) bool { return d != v.Dot })
}

// together is the maximum over the version's locks.
func (v *Version) together() (out lock) {
	for _, l := range v.locks {
		out = out.join(l.lock)
	}
	return out
}

// Lock is what keeps the version, the maximum over its locks, those that are over too.
func (v *Version) Lock() Lock { return v.together().shown() }

// mayGo refuses the removal of a locked version: by the clock of who writes it, for a merge has none.
func (v *Version) mayGo(now time.Time, bypass bool) error {
	if v.together().binds(now, bypass) {
		return fmt.Errorf("version %s of %q is kept by %s: %w", v.VersionID, v.Key, v.together().reasons(now, bypass), ErrLocked)
	}
	return nil
}

// hold adds a lock to the version, and to the attributes what the lock's writer had seen of them.
func (v *Version) hold(d Dot, l lock, seen []register) {
	all := v.spread()
	for _, g := range seen {
		all = append(all, heldRegister{d, g})
	}
	v.Holds = withDot(v.Holds, d)
	v.locks = locksOn(v.Holds, v.locks, []heldLock{{d, l}})
	v.registers = gathered(v.Holds, all)
}

// release takes a hold away, and with it what goes with it alone.
func (v *Version) release(d Dot) {
	all := v.spread()
	v.Holds = withoutDot(v.Holds, d)
	v.locks = locksOn(v.Holds, v.locks)
	v.registers = gathered(v.Holds, all)
}

// locksOn are those that hold; one that says nothing is left out.
func locksOn(holds []Dot, all ...[]heldLock) (out []heldLock) {
	for _, l := range slices.Concat(all...) {
		if l.lock == (lock{}) || !slices.Contains(holds, l.hold) {
			continue
		}
		i, found := slices.BinarySearchFunc(out, l, heldLock.order)
		if found {
			out[i].lock = out[i].join(l.lock)
		} else {
			out = slices.Insert(out, i, l)
		}
	}
	return out
}

func (l heldLock) order(m heldLock) int { return l.hold.Compare(m.hold) }

// relock is the write that makes l the version's lock in place of those that its writer has seen; false when there is nothing to write.
// A version that was removed elsewhere stays when the last lock goes, by a hold that says nothing: that a lock ends removes nothing.
func (v *Version) relock(l lock) (effect, bool) {
	e := effect{key: v.Key}
	attached := false
	for _, d := range v.Holds {
		if d == v.Dot {
			attached = true
		} else {
			e.gone = append(e.gone, goneHold{v.VersionID, d})
		}
	}
	switch {
	case len(e.gone) <= 1 && v.together() == l:
		return e, false
	case l == lock{} && attached:
		return e, true
	}
	e.hold, e.lock = v.bare(), l
	return e, true
}

// bare is the version as a lock's record carries it: whole, but for who holds it.
func (v *Version) bare() *Version {
	w := *v
	w.Holds, w.locks, w.registers = []Dot{v.Dot}, nil, v.current()
	w.Superseded, w.Shadowed = false, false
	return &w
}

// Lock changes what keeps a version from being removed: [Bucket.Remove] is then ErrLocked. A lock and a removal that had not seen it come to this:
// the version stays, as history. Of locks made at two segments at once both keep it. A retention is judged by this segment's clock; it cannot be
// shortened (ErrLocked) before it is over, one of governance by [Cond.BypassGovernance]. The bucket's settings must allow locks: ErrNoLocks.
//
// It returns the version as it is then. The condition is of that version.
func (b *Bucket) Lock(ctx context.Context, key string, ref VersionRef, change LockChange, c Cond) (Version, error) {
	ask := Request{key: key, ref: ref, cond: c, task: &lockTask{change}}
	return b.amend(ctx, ask, func(_ head, found *Version, v keyView) (effect, error) {
		if !v.settings.Locks.Enabled {
			return effect{}, fmt.Errorf("bucket %q: %w", b.Info().Name, ErrNoLocks)
		}
		l, err := found.together().changed(change, b.s.cfg.Clock(), c.BypassGovernance)
		if err != nil {
			return effect{}, err
		}
		e, ok := found.relock(l)
		if !ok {
			return e, errStop
		}
		return e, nil
	})
}

// withLocks adds to plans, for each, one that locks what it puts, where that is to be locked as it is written: as its writer says, or the settings.
func withLocks(plans []plan) ([]plan, error) {
	out := plans[:len(plans):len(plans)]
	for i := range plans {
		p := &plans[i]
		if p.moves || p.b.id == localBucket { // an upload keeps what is asked for until it is completed
			continue
		}
		set := p.b.settings.Load()
		if !set.Locks.Enabled {
			if p.asksLock() {
				return nil, ErrNoLocks
			}
			continue
		}
		says, err := p.toLock(set.Locks, p.b.s.cfg.Clock())
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(says, func(l lock) bool { return l != lock{} }) {
			out = append(out, plan{b: p.b, r: &record{deps: p.r.deps}, own: p.own, locks: p.r, says: says})
		}
	}
	return out, nil
}

// asksLock says whether the writer of what the plan puts wants it locked.
func (p *plan) asksLock() bool {
	for i := range p.r.effects {
		if v := p.r.effects[i].hold; v != nil && v.Dot == (Dot{}) && v.Attrs.Lock != (Lock{}) {
			return true
		}
	}
	return false
}

// toLock says what lock each version gets that the plan puts, in a bucket that has locks.
func (p *plan) toLock(set LockSettings, now time.Time) ([]lock, error) {
	var out []lock
	for i, e := range p.r.effects {
		if e.hold == nil || e.hold.Marker || e.hold.Dot != (Dot{}) {
			continue
		}
		asked := e.hold.Attrs.Lock
		e.hold.Attrs.Lock = Lock{}
		if asked.Mode == NoRetention {
			asked.Retention = set.retention(now)
		}
		l, err := lock{}.changed(LockChange{&asked.Retention, &asked.LegalHold}, now, false)
		if err != nil {
			return nil, err
		}
		if l != (lock{}) {
			out = append(out, make([]lock, i+1-len(out))...)
			out[i] = l
		}
	}
	return out, nil
}

// locking are the effects that lock what the record puts.
func (r *record) locking(says []lock) (out []effect) {
	for i, l := range says {
		if v := r.effects[i].hold; l != (lock{}) {
			out = append(out, effect{key: v.Key, hold: v.bare(), lock: l})
		}
	}
	return out
}

const (
	lockFieldHold       = 1 // in a version: whose lock it is
	lockFieldGovernance = 2
	lockFieldCompliance = 3
	lockFieldLegal      = 4
)

func (l lock) appendTo(b []byte) []byte {
	b = putUint(b, lockFieldGovernance, l.governance)
	b = putUint(b, lockFieldCompliance, l.compliance)
	return putBool(b, lockFieldLegal, l.legal)
}

func (l heldLock) appendTo(b []byte) []byte {
	return l.lock.appendTo(putPart(b, lockFieldHold, l.hold.appendTo))
}

func parseLock(b []byte) (l heldLock, err error) {
	err = eachField("lock", b, func(f field) (err error) {
		switch {
		case f.num == lockFieldHold && f.typ == protowire.BytesType:
			l.hold, err = parseDot(f.b)
		case f.num == lockFieldGovernance && f.typ == protowire.VarintType && f.n < maxUntil:
			l.governance = f.n
		case f.num == lockFieldCompliance && f.typ == protowire.VarintType && f.n < maxUntil:
			l.compliance = f.n
		case f.num == lockFieldLegal && f.typ == protowire.VarintType && f.n == 1:
			l.legal = true
		default: // what a later build says of a lock may keep a version that this one would give up
			return badFormat("lock")
		}
		return err
	})
	if err == nil && l.lock == (lock{}) {
		err = badFormat("lock")
	}
	return l, err
}

// LockSettings say whether versions of the bucket can be locked, and what lock each new one gets.
type LockSettings struct {
	// Enabled stays once it is, and versioning with it: what is kept must not go by being overwritten.
	Enabled bool          `json:"enabled"`
	Mode    RetentionMode `json:"mode"` // of each new version; NoRetention: none
	Days    int64         `json:"days"` // for so long, or
	Years   int64         `json:"years"`
}

// maxRetention bounds a default retention, in years.
const maxRetention = 100

func (l LockSettings) validate(v Versioning) error {
	switch {
	case !l.Enabled && l != (LockSettings{}), l.Enabled && v != Versioned:
		return fmt.Errorf("locks need versioning: %w", ErrInvalidArgument)
	case l.Mode > Compliance, l.Days < 0, l.Years < 0, l.Years > maxRetention, l.Days > 366*maxRetention, l.Days > 0 && l.Years > 0,
		(l.Mode == NoRetention) != (l.Days == 0 && l.Years == 0):
		return fmt.Errorf("a default retention has a mode, and days or years, up to %d years: %w", maxRetention, ErrInvalidArgument)
	}
	return nil
}

// retention is that of a version written now.
func (l LockSettings) retention(now time.Time) Retention {
	if l.Mode == NoRetention {
		return Retention{}
	}
	return Retention{l.Mode, now.AddDate(int(l.Years), 0, int(l.Days))}
}

// follow refuses settings that would give up what the ones before promised.
func (s Settings) follow(before Settings) error {
	if before.Locks.Enabled && !s.Locks.Enabled {
		return fmt.Errorf("locks stay enabled once they are: %w", ErrInvalidArgument)
	}
	return nil
}

func (l LockSettings) appendTo(b []byte) []byte {
	b = putBool(b, 1, l.Enabled)
	b = putUint(b, 2, uint64(l.Mode))
	b = putUint(b, 3, uint64(l.Days))
	return putUint(b, 4, uint64(l.Years))
}

func parseLockSettings(b []byte) (l LockSettings, err error) {
	err = eachField("lock settings", b, func(f field) error {
		switch {
		case f.num == 1 && f.typ == protowire.VarintType && f.n == 1:
			l.Enabled = true
		case f.num == 2 && f.typ == protowire.VarintType && f.n <= uint64(Compliance):
			l.Mode = RetentionMode(f.n)
		case f.num == 3 && f.typ == protowire.VarintType && f.n <= 366*maxRetention:
			l.Days = int64(f.n)
		case f.num == 4 && f.typ == protowire.VarintType && f.n <= maxRetention:
			l.Years = int64(f.n)
		default:
			return badFormat("lock settings")
		}
		return nil
	})
	return l, err
}
