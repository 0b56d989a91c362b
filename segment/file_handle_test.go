package segment

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/dedup"
)

func (s *site) opened(f Files, path string) *FileHandle {
	s.w.t.Helper()
	h, err := f.Open(s.w.ctx, path)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.w.t.Cleanup(h.Close)
	return h
}

func (s *site) wrote(h *FileHandle, data string, off int64) {
	s.w.t.Helper()
	if n, err := h.WriteAt(s.w.ctx, []byte(data), off); n != len(data) || err != nil {
		s.w.t.Fatalf("write: %d, %v", n, err)
	}
}

func (s *site) wantContent(b *Bucket, key, want string) {
	s.w.t.Helper()
	if got, err := s.read(b, key, VersionRef{}); err != nil || got != want {
		s.w.t.Errorf("%q holds %.60q, %v, want %.60q", key, got, err, want)
	}
}

func TestAFlushIsOneVersionThatS3Reads(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "d/a", "hello world")
	h := s.opened(f, "d/a")
	before, _ := f.GetAttr(ctx, "d/a")
	s.w.tick(time.Second)
	s.wrote(h, "HELLO", 0)
	s.wrote(h, "!", 11)
	s.wantContent(f.b, "d/a", "hello world")
	last := f.b.lastPosition()
	i, err := h.Flush(ctx, nil)
	if err != nil || i.Size != 12 || i.Mtime.Equal(before.Mtime) || i.ID != before.ID || f.b.lastPosition() != last+1 {
		t.Errorf("flush: %+v, %v, was %+v; %d entries", i, err, before, f.b.lastPosition()-last)
	}
	s.wantContent(f.b, "d/a", "HELLO world!")
	if want := f.b.rootETag(mustStat(t, f.b, "d/a").Content); i.ETag != want || !strings.HasSuffix(want, "-1") || len(want) != 34 {
		t.Errorf("ETag %s, want %s", i.ETag, want)
	}
	if _, err := h.Flush(ctx, nil); err != nil || f.b.lastPosition() != last+1 {
		t.Errorf("with nothing written: %v", err)
	}
	s.restart()
	b, _ := s.Bucket("photos")
	s.wantContent(b, "d/a", "HELLO world!")
}

func mustStat(t *testing.T, b *Bucket, key string) Version {
	t.Helper()
	v, err := b.Stat(t.Context(), key, VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheLaterOfTwoFlushesWinsHavingSeenTheFirst(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "a", "0000")
	one, two, careful := s.opened(f, "a"), s.opened(f, "a"), s.opened(f, "a")
	seen, _ := f.GetAttr(ctx, "a")
	s.wrote(one, "1", 0)
	s.wrote(two, "2", 3)
	s.wrote(careful, "3", 3)
	_, err := one.Flush(ctx, nil)
	s.wantErr("first", err, nil)
	_, err = careful.Flush(ctx, &seen.Version)
	s.wantErr("having seen another", err, ErrPrecondition)
	_, err = two.Flush(ctx, nil)
	s.wantErr("second", err, nil)
	s.wantContent(f.b, "a", "0002")
	if n := f.b.Stats().Conflicts; n != 0 {
		t.Errorf("%d conflicts", n)
	}
	s.wantErr("refresh", one.Refresh(ctx), nil)
	s.wrote(one, "1", 0)
	if _, err = one.Flush(ctx, nil); err != nil {
		t.Fatal(err)
	}
	s.wantContent(f.b, "a", "1002")
}

func TestAHandleFollowsItsFileAndNoOther(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	for _, key := range []string{"a", "b", "c", "d"} {
		s.put("photos", key, key)
	}
	a, b, c, d := s.opened(f, "a"), s.opened(f, "b"), s.opened(f, "c"), s.opened(f, "d")
	for _, h := range []*FileHandle{a, b, c, d} {
		s.wrote(h, "+", 1)
	}
	s.wantErr("rename over another", f.Rename(ctx, "a", "b"), nil)
	s.wantErr("remove", f.Remove(ctx, "c"), nil)
	s.put("photos", "d", "of S3")
	if i, err := a.Flush(ctx, nil); err != nil || i.Key != "b" {
		t.Errorf("flush: %+v, %v", i, err)
	}
	for _, h := range []*FileHandle{b, c, d} {
		_, err := h.Flush(ctx, nil)
		s.wantErr("a file that is no more", err, ErrStaleFile)
	}
	s.wantContent(f.b, "b", "a+")
	s.wantContent(f.b, "d", "of S3")
	if _, err := f.GetAttr(ctx, "c"); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("a removed file is back: %v", err)
	}
	a.Close()
	_, err := a.WriteAt(ctx, []byte("x"), 0)
	s.wantErr("closed", err, ErrInvalidArgument)
}

func TestATimeThatIsSetStaysThroughAFlush(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "a", "0000")
	h := s.opened(f, "a")
	s.wrote(h, "1", 0)
	at := time.Unix(1000, 5).UTC()
	if _, err := f.SetAttr(ctx, "a", SetFile{Mtime: &at}); err != nil {
		t.Fatal(err)
	}
	if i, err := h.Flush(ctx, nil); err != nil || !i.Mtime.Equal(at) {
		t.Errorf("written before: %+v, %v", i, err)
	}
	s.wrote(h, "2", 0)
	if i, err := h.Flush(ctx, nil); err != nil || i.Mtime.Equal(at) {
		t.Errorf("written behind: %+v, %v", i, err)
	}
	i, err := f.SetAttr(ctx, "a", SetFile{Size: ptr(int64(2)), Mode: ptr(uint32(0o600)), Mtime: &at, ID: h.ID()})
	if err != nil || i.Size != 2 || i.Mode != 0o600 || !i.Mtime.Equal(at) {
		t.Errorf("shortened: %+v, %v", i, err)
	}
	s.wantContent(f.b, "a", "20")
	_, err = f.SetAttr(ctx, "a", SetFile{Size: ptr(int64(maxFederatedSize + 1))})
	s.wantErr("too large", err, dedup.ErrTooLarge)
}

// TestAPowerCutTakesNoFlush cuts the power behind a flush, small and not so small.
func TestAPowerCutTakesNoFlush(t *testing.T) {
	s, f := newFiles(t)
	want := map[string]string{}
	for key, n := range map[string]int{"small": 100, "large": 300_000} {
		s.put("photos", key, strings.Repeat("0", n))
		h := s.opened(f, key)
		s.wrote(h, "1", int64(n/2))
		if _, err := h.Flush(s.w.ctx, nil); err != nil {
			t.Fatal(err)
		}
		want[key] = strings.Repeat("0", n/2) + "1" + strings.Repeat("0", n-n/2-1)
	}
	old := s.Segment
	s.fs = s.fs.Crash(rand.New(rand.NewPCG(1, 2)))
	s.cfg.FS = s.fs
	s.open()
	_ = old.Close(s.w.ctx)
	s.wantHolds("photos", want)
}

// TestAFileWrittenBySpillsIsWhole writes more than a handle keeps in memory, in pieces that go back and forth.
func TestAFileWrittenBySpillsIsWhole(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	if _, err := f.Create(ctx, "a", NewFile{}); err != nil {
		t.Fatal(err)
	}
	h := s.opened(f, "a")
	const piece = 1 << 20
	want, noise := make([]byte, 24*piece), rand.NewChaCha8([32]byte{1})
	for _, at := range rand.New(rand.NewPCG(1, 1)).Perm(24) {
		data := make([]byte, piece)
		if _, err := noise.Read(data); err != nil {
			t.Fatal(err)
		}
		copy(want[at*piece:], data)
		if _, err := h.WriteAt(ctx, data, int64(at*piece)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(want))
	if _, err := h.ReadAt(ctx, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("before the flush: %v", err)
	}
	if _, err := h.Flush(ctx, nil); err != nil {
		t.Fatal(err)
	}
	clear(got)
	o, err := f.b.Open(ctx, "a", VersionRef{})
	if err == nil {
		_, err = o.ReadAt(ctx, got, 0)
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("after it: %v", err)
	}
}
