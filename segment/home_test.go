package segment

import (
	"errors"
	"strings"
	"testing"
)

// policy sets the bucket's policy, at its home.
func (s *site) policy(b *Bucket, p Policy) {
	s.w.t.Helper()
	if err := s.bucket(b.ID()).Configure(s.w.ctx, func(set *Settings) error { set.Policy = p; return nil }); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestRecordsOfAnEpochThatNobodyBeganAreRefused(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.put("photos", "k", "v")
	w.settle()
	at := b.bucket(bucket.ID())
	cur, _ := b.Cursor(a.ID())
	next := Dot{a.Origin(), bucket.Seen()[a.Origin()] + 1}
	federated := Dot{a.Origin(), a.federation.Seen()[a.Origin()] + 1}
	for _, c := range []struct {
		name   string
		bucket BucketID
		r      *record
	}{
		{"a write of the next epoch", bucket.ID(), &record{VersionID: VersionID{Stamp{Epoch{1, a.Origin()}, 1}, next}}},
		{"settings of the epoch after it", bucket.ID(), &record{VersionID: VersionID{Stamp{Epoch{2, a.Origin()}, 1}, next}, settings: &settingsRecord{}}},
		{"settings of the federation's bucket", FederationBucket, &record{VersionID: VersionID{Stamp{HLC: 1}, federated}, settings: &settingsRecord{}}},
	} {
		item := FeedItem{Pos: cur.Pos, Bucket: c.bucket, Record: c.r.appendTo(nil), Dot: c.r.Dot}
		before := at.Seen()
		_, err := b.Receive(w.ctx, a.ID(), []FeedItem{item}, Cursor{cur.Inc, cur.Pos + 1})
		var stop *StopError
		if !errors.As(err, &stop) || !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !at.Seen().Equal(before) {
			t.Errorf("%s: it was applied", c.name)
		}
	}
	w.verify()
}

// What a build that knows nothing of homes would get wrong says so by its format.
func TestOlderBuildsRefuseWhatTheyCannotHonour(t *testing.T) {
	plain, homed := Settings{Versioning: Versioned}, homed()
	moved := Settings{Home: sampleOrigin}
	for _, c := range []struct {
		set    Settings
		format uint64
	}{{plain, 1}, {homed, 2}, {moved, 2}} {
		r := &record{VersionID: sampleID, settings: &settingsRecord{c.set, sampleID}}
		d := sampleDoc()
		d.settings = c.set
		if r.format() != c.format || d.format() != c.format {
			t.Errorf("%+v: a record of format %d, a document of %d", c.set, r.format(), d.format())
		}
		for what, raw := range map[string][]byte{"record": r.appendTo(nil), "document": d.appendTo(nil)} {
			raw[1] = 1 // the format
			parse := func(b []byte) (err error) {
				if what == "record" {
					_, err = parseRecord(b)
				} else {
					_, err = parseBucketDoc(b)
				}
				return err
			}
			if err := parse(raw); (err == nil) != (c.format == 1) {
				t.Errorf("%+v as a %s of format 1: %v", c.set, what, err)
			}
		}
	}
}

// A bucket made under the policy is its maker's from the first write on, and no other life's.
func TestABucketCanBeginAtItsHome(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	set := Settings{Policy: Home, Home: Origin{9, 9}}
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := bucket.Info(); got.Settings.Home != a.Origin() || !got.Here || got.Epoch != (Epoch{}) {
		t.Errorf("%+v", got)
	}
	put := func(s *site) error {
		_, err := s.bucket(bucket.ID()).Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("v"))
		return err
	}
	b.cfg.Forward = nil
	b.restart()
	if err := put(b); !errors.Is(err, ErrNotHome) {
		t.Errorf("a write at a segment that hands none over: %v", err)
	}
	if err := put(a); err != nil {
		t.Errorf("a write at home: %v", err)
	}
	if err := a.newLife(a.Origin().Inc + 1); err != nil {
		t.Fatal(err)
	}
	if err := put(a); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrNotAsked) {
		t.Errorf("a write of another life: %v", err)
	}
	if err := bucket.Configure(w.ctx, func(s *Settings) error { s.Full = true; return nil }); !errors.Is(err, ErrNotHome) {
		t.Errorf("settings of another life: %v", err)
	}
	if err := bucket.TakeHome(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := put(a); err != nil {
		t.Errorf("a write of a life that was made the home: %v", err)
	}
	w.verify()
}

// Settings are changed by who has seen the last ones: a plan that was made before others came says nothing of them.
func TestSettingsThatCameMeanwhileAreNotUndone(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	err = bucket.configure(w.ctx, func(set *Settings) error {
		if err := b.bucket(bucket.ID()).TakeHome(w.ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.pull(a, b); err != nil {
			t.Fatal(err)
		}
		set.Full = true
		return nil
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("settings over others: %v", err)
	}
	p, err := bucket.planPut(w.ctx, Cond{}, &Version{Key: "k"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.policy(bucket, Newest) // nothing changes
	if err := b.bucket(bucket.ID()).Configure(w.ctx, func(set *Settings) error { set.Policy = Home; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.bucket(bucket.ID()).MoveHome(w.ctx, b.ID()); !errors.Is(err, ErrNotHome) {
		t.Errorf("a moves what is b's: %v", err)
	}
	if err := w.pull(a, b); err != nil {
		t.Fatal(err)
	}
	if err := a.submit(p); !errors.Is(err, ErrNotHome) {
		t.Errorf("a write planned before the policy: %v", err)
	}
	w.verify()
}
