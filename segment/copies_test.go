package segment

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

// Each kind of write asks for a second segment once it is applied, with nothing locked, and is refused when none has it.
func TestEveryWriteWaitsForACopy(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	var asked []Ref
	var refuse error
	var box *Bucket
	a.Segment.cfg.Copied = func(_ context.Context, r Ref) error {
		if !box.gate.TryLock() {
			t.Error("the gate is held while a write waits")
		} else {
			box.gate.Unlock()
		}
		for i := range a.latches.shards {
			if !a.latches.shards[i].TryLock() {
				t.Fatal("a latch is held while a write waits")
			}
			a.latches.shards[i].Unlock()
		}
		if !box.Seen().Has(r.Version.Dot) {
			t.Errorf("%v is not applied", r)
		}
		asked = append(asked, r)
		return refuse
	}
	set := DefaultSettings()
	set.Ack = Copies
	box, err := a.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, body string) (Version, error) {
		return box.Put(w.ctx, key, Attrs{ETag: body}, Cond{}, strings.NewReader(body))
	}
	for _, write := range []struct {
		name, key string
		do        func() error
	}{
		{"put", "k", func() error { _, err := put("k", "v"); return err }},
		{"copy", "l", func() error {
			o, err := box.Open(w.ctx, "k", VersionRef{})
			if err == nil {
				_, err = box.Copy(w.ctx, o, "l", Attrs{}, Cond{})
			}
			return err
		}},
		{"rename", "m", func() error { _, err := box.Rename(w.ctx, "l", "m", RenameOptions{Replace: true}); return err }},
		{"delete", "m", func() error { _, err := box.Delete(w.ctx, "m", Cond{}); return err }},
		{"tags", "k", func() error {
			_, err := box.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"a": "b"}, Cond{})
			return err
		}},
		{"remove", "k", func() error { _, err := box.Remove(w.ctx, "k", VersionRef{Null: true}, Cond{}); return err }},
		{"upload", "u", func() error {
			u, err := box.CreateUpload(w.ctx, "u", Attrs{})
			if err != nil {
				return err
			}
			pw, err := box.PartWriter(w.ctx, "u", u.ID, 1, -1)
			if err != nil {
				return err
			}
			_, _ = pw.ReadFrom(strings.NewReader("part"))
			if _, err := pw.CommitPart(w.ctx, Attrs{ETag: "1"}); err != nil {
				return err
			}
			_, err = box.CompleteUpload(w.ctx, "u", u.ID, []PartRef{{1, "1"}}, Completion{ETag: "e"}, Cond{})
			return err
		}},
	} {
		asked, refuse = nil, nil
		if err := write.do(); err != nil || len(asked) != 1 || asked[0].Bucket != box.id || asked[0].Key != write.key {
			t.Errorf("%s: asked for %v, %v", write.name, asked, err)
		}
	}
	refuse = errors.New("nobody")
	if _, err := put("n", "v"); !errors.Is(err, ErrNotCopied) || !errors.Is(err, ErrUnavailable) || !errors.Is(err, refuse) {
		t.Errorf("refused: %v", err)
	}
	if v, err := box.Stat(w.ctx, "n", VersionRef{}); err != nil || v.Attrs.ETag != "v" {
		t.Errorf("it does not show: %v, %v", v, err)
	}
	asked = nil
	if _, err := box.Put(w.ctx, "n", Attrs{}, Cond{Absent: true}, strings.NewReader("v")); !errors.Is(err, ErrPrecondition) || len(asked) > 0 {
		t.Errorf("what is not written asks for %v, %v", asked, err)
	}
	a.Segment.cfg.Copied = nil
	if _, err := put("n", "v"); !errors.Is(err, ErrNotCopied) {
		t.Errorf("without links: %v", err)
	}
}

// What is locked as it is written waits for its lock too; settings under which writes wait, wait; so does each key of a merge, also one that an earlier
// merge wrote, which ended before a second segment had it.
func TestLocksSettingsAndMergesWaitForACopy(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	var mu sync.Mutex // a merge asks for several keys at a time
	var asked []Ref
	var refuse error
	a.Segment.cfg.Copied = func(_ context.Context, r Ref) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r)
		return refuse
	}
	set := DefaultSettings()
	set.Versioning, set.Locks.Enabled = Versioned, true
	box, err := a.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	ack := func(to Ack) error {
		asked = nil
		return box.Configure(w.ctx, func(s *Settings) error { s.Ack = to; return nil })
	}
	if err := ack(Copies); err != nil || len(asked) != 1 || asked[0] != (Ref{Bucket: box.id, Version: box.settingsNow().by}) {
		t.Errorf("settings asked for %v, %v", asked, err)
	}
	asked = nil
	v, err := box.Put(w.ctx, "k", Attrs{Lock: Lock{LegalHold: true}}, Cond{}, strings.NewReader("v"))
	if err != nil || len(asked) != 2 || asked[0] != (Ref{box.id, "k", v.VersionID}) || asked[1].Version.Dot != (Dot{a.Origin(), v.Dot.N + 1}) {
		t.Errorf("a locked version asked for %v, %v", asked, err)
	}
	refuse = errors.New("nobody")
	if err := box.Configure(w.ctx, func(s *Settings) error { s.Full = true; return nil }); !errors.Is(err, ErrNotCopied) || !box.Settings().Full {
		t.Errorf("settings that nobody has: %v, %v", err, box.Settings())
	}
	if err := ack(Local); err != nil || len(asked) > 0 {
		t.Errorf("an end of the waiting asked for %v, %v", asked, err)
	}

	branch, err := a.CreateBranch(w.ctx, "box", "branch")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"l", "m"} {
		a.put("branch", key, "new "+key)
	}
	refuse = nil
	if err := ack(Copies); err != nil {
		t.Fatal(err)
	}
	asked, refuse = nil, errors.New("nobody")
	if _, err := Merge(w.ctx, branch, box, MergeOptions{oneByOne: true}); !errors.Is(err, ErrNotCopied) || len(asked) == 0 {
		t.Errorf("a merge that nobody has asked for %v, %v", asked, err)
	}
	asked, refuse = nil, nil
	done, err := Merge(w.ctx, branch, box, MergeOptions{oneByOne: true})
	if err != nil || len(asked) != 2 || asked[0].Key != "l" || asked[1].Key != "m" {
		t.Errorf("a merge asked for %v: %+v, %v", asked, done, err)
	}
}

// A write that would be one too many to wait is refused before it is made.
func TestWaitingWritesAreBounded(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.copying = make(chan struct{}, 1)
	waits, goOn := make(chan struct{}), make(chan struct{})
	a.Segment.cfg.Copied = func(context.Context, Ref) error {
		waits <- struct{}{}
		<-goOn
		return nil
	}
	set := DefaultSettings()
	set.Ack = Copies
	box, err := a.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() {
		_, err := box.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("v"))
		first <- err
	}()
	<-waits
	if _, err := box.Put(w.ctx, "l", Attrs{}, Cond{}, strings.NewReader("v")); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotCopied) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := box.Stat(w.ctx, "l", VersionRef{}); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("it left something behind: %v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	go func() { <-waits }()
	if _, err := box.Put(w.ctx, "l", Attrs{}, Cond{}, strings.NewReader("v")); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// What a peer must hold: the payload of the version that was written or, where that is gone, of what took its place.
func TestWhatACopyNeeds(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	if _, err := a.CreateBucket(w.ctx, "box", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	box, err := a.Bucket("box")
	if err != nil {
		t.Fatal(err)
	}
	needs := func(key string, id VersionID, want string) {
		t.Helper()
		v, err := b.Needed(w.ctx, Ref{box.id, key, id})
		got := ""
		if v != nil {
			got, err = b.read(must1(b.BucketByID(box.id)), v.Key, VersionRef{ID: v.VersionID})
			if err != nil { // its payload is at a
				got, err = a.read(box, v.Key, VersionRef{ID: v.VersionID})
			}
		}
		if got != want || err != nil {
			t.Errorf("%s %v needs %q, %v; want %q", key, id.Dot, got, err, want)
		}
	}
	v1 := a.put("box", "k", "one")
	if _, err := b.Needed(w.ctx, Ref{box.id, "k", v1.VersionID}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("before it was seen: %v", err)
	}
	w.settle()
	needs("k", v1.VersionID, "one")
	v2 := a.put("box", "k", "two")
	w.settle()
	needs("k", v1.VersionID, "two")
	needs("k", v2.VersionID, "two")
	if _, err := box.Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	needs("k", v1.VersionID, "")
	needs("k", v2.VersionID, "")
	if _, err := b.Needed(w.ctx, Ref{localBucket, "k", v1.VersionID}); !errors.Is(err, ErrRefused) {
		t.Errorf("of what is not linked: %v", err)
	}
	if _, err := b.Needed(w.ctx, Ref{BucketID{9}, "k", v1.VersionID}); !errors.Is(err, ErrRefused) {
		t.Errorf("of no bucket: %v", err)
	}
}
