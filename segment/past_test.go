package segment

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// aging is a segment whose clock is set by hand, with a bucket that has lost an object which a remembered state still has.
func aging(t *testing.T) (l *lone, b *Bucket, now *time.Time, deleted time.Time) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	now = &at
	l = newLone(t, func(c *Config) {
		c.RememberFor = 7 * 24 * time.Hour
		c.Clock = func() time.Time { at = at.Add(time.Millisecond); return at }
	})
	b = l.bucket("photos")
	l.put(b, "kept", blob(6))
	l.put(b, "gone", blob(7))
	if err := b.remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour)
	l.delete(b, "gone")
	deleted = at
	at = at.Add(10 * time.Minute)
	if err := b.remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, b, now, deleted
}

func TestWhatRememberedStatesKeepIsTold(t *testing.T) {
	l, b, now, deleted := aging(t)
	r := l.collect()
	if len(r.History) != 1 || r.History[0].Name != "photos" || r.History[0].States != 2 || r.History[0].Bytes != int64(len(blob(7))) || r.History[0].Chunks == 0 {
		t.Fatalf("%+v", r.History)
	}
	if until := r.History[0].Until.Sub(deleted.Add(10 * time.Minute)); until < 7*24*time.Hour || until > 7*24*time.Hour+time.Second {
		t.Errorf("kept until %v, deleted at %v", r.History[0].Until, deleted)
	}
	st, err := l.CollectStatus(t.Context())
	if err != nil || len(st.Last.History) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	*now = r.History[0].Until.Add(-time.Minute)
	if r := l.collect(); r.History[0].Bytes == 0 {
		t.Errorf("a minute before: %+v", r)
	}
	past, err := b.asOf(t.Context(), deleted.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(past, "gone"); err != nil || !bytes.Equal(got, blob(7)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	past = nil
	*now = r.History[0].Until.Add(time.Minute) // and nobody has written
	last := l.collect()
	if last.Gone.Bytes < int64(len(blob(7))) || len(last.History) > 0 && last.History[0].Bytes > 0 || l.garbage() > 0 {
		t.Errorf("a minute after: %+v", last)
	}
	if _, err := b.asOf(t.Context(), now.Add(-24*time.Hour)); err != nil {
		t.Errorf("what it was a day ago, long after the last change: %v", err)
	}
	l.wantContent(b, "kept", blob(6))
}

func TestHistoryIsForgottenAtOnce(t *testing.T) {
	l, b, now, deleted := aging(t)
	other := l.bucket("other")
	if _, err := l.Collect(t.Context(), CollectOptions{Forget: []BucketID{{1}}}); !errors.Is(err, ErrNoSuchBucket) {
		t.Errorf("a bucket that there is not: %v", err)
	}
	if r, err := l.Collect(t.Context(), CollectOptions{Forget: []BucketID{other.ID()}}); err != nil || r.History[0].Bytes == 0 {
		t.Errorf("that of another: %+v, %v", r, err)
	}
	r, err := l.Collect(t.Context(), CollectOptions{Forget: []BucketID{b.ID()}})
	if err != nil || r.Gone.Bytes < int64(len(blob(7))) || len(r.History) != 0 || l.garbage() > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := b.asOf(t.Context(), deleted.Add(-time.Minute)); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("it is still remembered: %v", err)
	}
	_ = now
	l.wantContent(b, "kept", blob(6))
}

func TestASegmentThatRemembersNothingForgetsWhatItDid(t *testing.T) {
	l, _, _, _ := aging(t)
	l.cfg.RememberFor = -1
	l.restart()
	if r := l.collect(); r.Gone.Bytes < int64(len(blob(7))) || len(r.History) != 0 || l.garbage() > 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhenACollectionIsDue(t *testing.T) {
	const gib = 1 << 30
	began := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := pressure{ended: began, stored: 10 * gib, listed: 8 * gib}
	for _, c := range []struct {
		after          time.Duration
		stored, listed int64
		scarce         bool
		want           string
	}{
		{time.Hour, 10 * gib, 8 * gib, false, ""},
		{6 * time.Hour, 10 * gib, 8 * gib, false, "it is time"},
		{time.Hour, 10 * gib, 8 * gib, true, "room is short"},
		{time.Minute, 10 * gib, 8 * gib, true, ""},
		{time.Hour, 10 * gib, 2 * gib, false, "much may be of no use"}, // deleted
		{time.Hour, 16 * gib, 8 * gib, false, "much may be of no use"}, // overwritten
		{time.Hour, 16 * gib, 14 * gib, false, ""},                     // written
		{time.Hour, 10 * gib, 7*gib + gib/2, false, ""},                // a little deleted
		{time.Minute, 10 * gib, 0, false, ""},                          // just now
	} {
		if got := p.due(began.Add(c.after), 6*time.Hour, c.stored, c.listed, c.scarce); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	small := pressure{ended: began, stored: gib / 2, listed: gib / 2}
	if got := small.due(began.Add(time.Hour), 6*time.Hour, gib/2, 0, false); got != "" {
		t.Errorf("of little: %q", got)
	}
}
