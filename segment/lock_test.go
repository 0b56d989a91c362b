package segment

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// lockWorld is one site, or more, with a bucket "box" whose versions can be locked.
func lockWorld(t *testing.T, names ...string) (*world, *Bucket) {
	t.Helper()
	w := newWorld(t, names...)
	set := DefaultSettings()
	set.Versioning, set.Locks.Enabled = Versioned, true
	b, err := w.sites[0].CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, b
}

func legalHold(on bool) LockChange { return LockChange{LegalHold: &on} }

func retain(mode RetentionMode, until time.Time) LockChange {
	return LockChange{Retention: &Retention{mode, until}}
}

func TestWhatMayBecomeOfALock(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	at := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	hold := Lock{LegalHold: true}
	governed, complied := Lock{Retention: Retention{Governance, at(2)}}, Lock{Retention: Retention{Compliance, at(2)}}
	both := governed.lock().join(Lock{Retention: Retention{Compliance, at(1)}}.lock())
	for name, c := range map[string]struct {
		was    lock
		change LockChange
		bypass bool
		want   error
	}{
		"first":                              {lock{}, retain(Compliance, at(1)), false, nil},
		"in the past":                        {lock{}, retain(Governance, at(-1)), false, ErrInvalidArgument},
		"beyond all clocks":                  {lock{}, retain(Governance, time.UnixMilli(maxUntil)), false, ErrInvalidArgument},
		"no such mode":                       {lock{}, retain(Compliance+1, at(1)), false, ErrInvalidArgument},
		"governance longer":                  {governed.lock(), retain(Governance, at(3)), false, nil},
		"governance shorter":                 {governed.lock(), retain(Governance, at(1)), false, ErrLocked},
		"governance shorter, bypassed":       {governed.lock(), retain(Governance, at(1)), true, nil},
		"governance given up":                {governed.lock(), retain(NoRetention, time.Time{}), false, ErrLocked},
		"governance given up, bypassed":      {governed.lock(), retain(NoRetention, time.Time{}), true, nil},
		"governance to compliance":           {governed.lock(), retain(Compliance, at(2)), false, nil},
		"governance to a shorter compliance": {governed.lock(), retain(Compliance, at(1)), false, ErrLocked},
		"governance that is over":            {Lock{Retention: Retention{Governance, at(-1)}}.lock(), retain(NoRetention, time.Time{}), false, nil},
		"compliance longer":                  {complied.lock(), retain(Compliance, at(3)), false, nil},
		"compliance shorter":                 {complied.lock(), retain(Compliance, at(1)), true, ErrLocked},
		"compliance to governance":           {complied.lock(), retain(Governance, at(9)), true, ErrLocked},
		"compliance given up":                {complied.lock(), retain(NoRetention, time.Time{}), true, ErrLocked},
		"compliance that is over":            {Lock{Retention: Retention{Compliance, at(-1)}}.lock(), retain(Governance, at(1)), false, nil},
		"of two, the longer":                 {both, retain(Compliance, at(1)), false, ErrLocked},
		"of two, the stricter":               {both, retain(Governance, at(2)), true, ErrLocked},
		"legal hold beside compliance":       {complied.lock(), legalHold(true), false, nil},
		"legal hold ends":                    {hold.lock(), legalHold(false), false, nil},
	} {
		got, err := c.was.changed(c.change, now, c.bypass)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && got != c.was {
			t.Errorf("%s: refused, and changed to %+v", name, got)
		}
		if c.change.Retention == nil && (got.governance != c.was.governance || got.compliance != c.was.compliance) {
			t.Errorf("%s: a legal hold changes the retention to %+v", name, got)
		}
		if c.change.LegalHold == nil && got.legal != c.was.legal {
			t.Errorf("%s: a retention changes the legal hold", name)
		}
	}
}

func TestALockedVersionStaysUntilItsLockIsOver(t *testing.T) {
	w, b := lockWorld(t, "a")
	a := w.site("a")
	v := a.put("box", "k", "v1")
	ref := VersionRef{ID: v.VersionID}
	remove := func(c Cond) error {
		_, err := b.Remove(w.ctx, "k", ref, c)
		return err
	}
	lock := func(c LockChange) {
		t.Helper()
		got, err := b.Lock(w.ctx, "k", ref, c, Cond{})
		if err != nil {
			t.Fatal(err)
		}
		if c.LegalHold != nil && got.Lock().LegalHold != *c.LegalHold || c.Retention != nil && !got.Lock().Until.Equal(c.Retention.Until) {
			t.Errorf("after %+v the lock is %+v", c, got.Lock())
		}
		if got.VersionID != v.VersionID {
			t.Errorf("the version is another: %v", got.VersionID)
		}
	}
	lock(legalHold(true))
	if err := remove(Cond{BypassGovernance: true}); !errors.Is(err, ErrLocked) {
		t.Fatalf("removed under a legal hold: %v", err)
	}
	lock(legalHold(false))
	lock(retain(Governance, w.now.Add(time.Hour)))
	if err := remove(Cond{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("removed under governance: %v", err)
	}
	lock(retain(Compliance, w.now.Add(2*time.Hour)))
	for range 2 { // in the overlay, in the trees, after a restart
		if err := remove(Cond{BypassGovernance: true}); !errors.Is(err, ErrLocked) {
			t.Fatalf("removed under compliance: %v", err)
		}
		if _, err := b.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteBucket(w.ctx, "box"); !errors.Is(err, ErrBucketNotEmpty) {
			t.Fatalf("the bucket goes, and what it keeps: %v", err)
		}
		a.restart()
		b, _ = a.Bucket("box")
	}
	if _, err := b.Delete(w.ctx, "k", Cond{}); err != nil { // hides it, no more
		t.Fatal(err)
	}
	w.tick(2*time.Hour + time.Millisecond)
	if err := remove(Cond{}); err != nil {
		t.Fatalf("the retention is over: %v", err)
	}
	if _, err := b.Stat(w.ctx, "k", ref); !errors.Is(err, ErrNoSuchVersion) {
		t.Errorf("it is there still: %v", err)
	}
	w.verify()
}

func TestLocksNeedSettingsThatAllowThem(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "box", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.put("box", "k", "v1")
	if _, err := b.Lock(w.ctx, "k", VersionRef{}, legalHold(true), Cond{}); !errors.Is(err, ErrNoLocks) {
		t.Errorf("locked: %v", err)
	}
	if _, err := b.Put(w.ctx, "l", Attrs{Lock: Lock{LegalHold: true}}, Cond{}, strings.NewReader("x")); !errors.Is(err, ErrNoLocks) {
		t.Errorf("put and locked: %v", err)
	}
	if _, err := b.Stat(w.ctx, "l", VersionRef{}); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("what was refused is there: %v", err)
	}
	configure := func(v Versioning, l LockSettings) error {
		return b.Configure(w.ctx, func(s *Settings) error {
			s.Versioning, s.Locks = v, l
			return nil
		})
	}
	for name, s := range map[string]struct {
		v Versioning
		l LockSettings
	}{
		"without versioning":  {Unversioned, LockSettings{Enabled: true}},
		"without being on":    {Versioned, LockSettings{Mode: Governance, Days: 1}},
		"a mode without days": {Versioned, LockSettings{Enabled: true, Mode: Governance}},
		"days without a mode": {Versioned, LockSettings{Enabled: true, Days: 1}},
		"days and years":      {Versioned, LockSettings{Enabled: true, Mode: Governance, Days: 1, Years: 1}},
		"for ever":            {Versioned, LockSettings{Enabled: true, Mode: Governance, Years: 101}},
	} {
		if err := configure(s.v, s.l); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := configure(Versioned, LockSettings{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	for _, v := range []Versioning{Suspended, Versioned} {
		if err := configure(v, LockSettings{}); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("locks end, versioning %v: %v", v, err)
		}
	}
	if err := configure(Suspended, LockSettings{Enabled: true}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("versioning ends: %v", err)
	}
	if v, err := b.Lock(w.ctx, "k", VersionRef{Null: true}, legalHold(true), Cond{}); err != nil || !v.Lock().LegalHold {
		t.Errorf("what was written before: %v", err)
	}
	a.put("box", "k", "v2")
	if _, err := b.Stat(w.ctx, "k", VersionRef{Null: true}); err != nil {
		t.Errorf("it is overwritten: %v", err)
	}
}

func TestANewVersionIsLockedAsItIsWritten(t *testing.T) {
	w, b := lockWorld(t, "a")
	a := w.site("a")
	if err := b.Configure(w.ctx, func(s *Settings) error {
		s.Locks.Mode, s.Locks.Days = Governance, 1
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	day, year := w.now.AddDate(0, 0, 1), w.now.AddDate(1, 0, 0)
	u, err := b.CreateUpload(w.ctx, "parts", Attrs{Lock: Lock{Retention: Retention{Compliance, year}}})
	if err != nil {
		t.Fatal(err)
	}
	pw, err := b.PartWriter(w.ctx, "parts", u.ID, 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pw.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	if _, err := pw.CommitPart(w.ctx, Attrs{ETag: "1"}); err != nil {
		t.Fatal(err)
	}
	a.restart()
	b, _ = a.Bucket("box")
	if _, err := b.CompleteUpload(w.ctx, "parts", u.ID, []PartRef{{1, "1"}}, Completion{ETag: "e"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	a.put("box", "default", "x")
	if _, err := b.Put(w.ctx, "hold", Attrs{Lock: Lock{LegalHold: true}}, Cond{}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	a.restart()
	b, _ = a.Bucket("box")
	for key, want := range map[string]Lock{
		"parts":   {Retention: Retention{Compliance, year}},
		"default": {Retention: Retention{Governance, day}},
		"hold":    {Retention: Retention{Governance, day}, LegalHold: true},
	} {
		v, err := b.Stat(w.ctx, key, VersionRef{})
		if got := v.Lock(); err != nil || got.Mode != want.Mode || !got.Until.Equal(want.Until) || got.LegalHold != want.LegalHold {
			t.Errorf("%s is locked by %+v, %v, want %+v", key, got, err, want)
		}
		if _, err := b.Remove(w.ctx, key, VersionRef{ID: v.VersionID}, Cond{}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s is removed: %v", key, err)
		}
	}
	if _, err := b.Put(w.ctx, "late", Attrs{Lock: Lock{Retention: Retention{Compliance, w.now}}}, Cond{}, strings.NewReader("x")); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("put with a retention that is over: %v", err)
	}
	w.verify()
}

// A version and the lock that it is written with are one step: none is without the other after a power cut.
func TestAPowerCutLeavesNoNewVersionUnlocked(t *testing.T) {
	w, b := lockWorld(t, "a")
	a := w.site("a")
	for ops := range 12 {
		a.fs.CutAfter(ops)
		_, _ = b.Put(w.ctx, "k", Attrs{Lock: Lock{LegalHold: true}}, Cond{}, strings.NewReader("x"))
		old := a.Segment
		a.fs = a.fs.Crash(rand.New(rand.NewPCG(uint64(ops), 2)))
		a.cfg.FS = a.fs
		_ = old.Close(w.ctx)
		a.open()
		b, _ = a.Bucket("box")
		for v, err := range b.eachVersion(w.ctx, "k", nil) {
			if err != nil {
				t.Fatal(err)
			}
			if !v.Lock().LegalHold {
				t.Fatalf("cut after %d operations: %v is not locked", ops, v.Dot)
			}
		}
	}
}

// What keeps a version is said as people say it: only what binds, each with its end.
func TestALockSaysWhatItKeepsAVersionBy(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(hours int) uint64 { return uint64(now.Add(time.Duration(hours) * time.Hour).UnixMilli()) }
	for _, c := range []struct {
		l      lock
		bypass bool
		want   string
	}{
		{lock{legal: true}, false, "a legal hold"},
		{lock{governance: at(1)}, false, "governance until 2026-05-01T13:00:00.000Z"},
		{lock{governance: at(-1), compliance: at(2)}, false, "compliance until 2026-05-01T14:00:00.000Z"},
		{lock{governance: at(3), compliance: at(2), legal: true}, false, "compliance until 2026-05-01T14:00:00.000Z, governance until 2026-05-01T15:00:00.000Z, a legal hold"},
		{lock{governance: at(3), legal: true}, true, "a legal hold"},
	} {
		if got := c.l.reasons(now, c.bypass); got != c.want {
			t.Errorf("%+v: %q, want %q", c.l, got, c.want)
		}
	}
}
