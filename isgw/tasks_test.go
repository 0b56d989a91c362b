package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// handed is a write that has arguments of its own: made once it is there, and made twice it is refused, or would show.
type handed struct {
	name  string
	write func(context.Context, *segment.Bucket) error
	there func(context.Context, *segment.Bucket) error // nil when the bucket shows it
}

func want[T comparable](got, want T, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("%v, want %v", got, want)
	}
	return err
}

// handedWrites are to be made one after the other, at a bucket with the keys k, d/x and d/y.
func handedWrites() []handed {
	hold, body := true, text(5<<20)
	stat := func(ctx context.Context, b *segment.Bucket, key string) (segment.Version, error) {
		return b.Stat(ctx, key, segment.VersionRef{})
	}
	return []handed{
		{"tags", func(ctx context.Context, b *segment.Bucket) error {
			_, err := b.SetTags(ctx, "k", segment.VersionRef{}, map[string]string{"a": "1"}, segment.Cond{Match: []string{"*"}})
			return err
		}, func(ctx context.Context, b *segment.Bucket) error {
			v, err := stat(ctx, b, "k")
			return want(v.Tags()["a"], "1", err)
		}},
		{"a legal hold", func(ctx context.Context, b *segment.Bucket) error {
			_, err := b.Lock(ctx, "k", segment.VersionRef{}, segment.LockChange{LegalHold: &hold}, segment.Cond{})
			return err
		}, func(ctx context.Context, b *segment.Bucket) error {
			v, err := stat(ctx, b, "k")
			return want(v.Lock().LegalHold, true, err)
		}},
		{"a rename", func(ctx context.Context, b *segment.Bucket) error {
			r, err := b.Rename(ctx, "d/x", "d/z", segment.RenameOptions{})
			return want(r.Keys, 1, err)
		}, func(ctx context.Context, b *segment.Bucket) error {
			_, err := stat(ctx, b, "d/z")
			return err
		}},
		{"a rename of a directory", func(ctx context.Context, b *segment.Bucket) error {
			r, err := b.RenamePrefix(ctx, "d/", "e/", segment.RenameOptions{})
			return want(r.Keys, 2, err)
		}, func(ctx context.Context, b *segment.Bucket) error {
			_, err := stat(ctx, b, "e/y")
			return err
		}},
		{"a file", func(ctx context.Context, b *segment.Bucket) error {
			i, err := b.Files().Create(ctx, "f", segment.NewFile{Mode: 0o640, Exclusive: true})
			return want(i.Mode, 0o640, err)
		}, func(ctx context.Context, b *segment.Bucket) error {
			i, err := b.Files().GetAttr(ctx, "f")
			return want(i.Mode, 0o640, err)
		}},
		{"a flush", func(ctx context.Context, b *segment.Bucket) error {
			h, err := b.Files().Open(ctx, "f")
			if err != nil {
				return err
			}
			defer h.Close()
			if _, err := h.Append(ctx, []byte(body)); err != nil {
				return err
			}
			i, err := h.Flush(ctx, nil)
			return want(i.Size, 5<<20, err)
		}, func(ctx context.Context, b *segment.Bucket) error {
			h, err := b.Files().Open(ctx, "f")
			if err != nil {
				return err
			}
			defer h.Close()
			p := make([]byte, 5<<20)
			if _, err := h.ReadAt(ctx, p, 0); err != nil && err != io.EOF {
				return err
			}
			return want(string(p) == body, true, nil)
		}},
		{"a file renamed", func(ctx context.Context, b *segment.Bucket) error { return b.Files().Rename(ctx, "f", "e/f") },
			func(ctx context.Context, b *segment.Bucket) error {
				i, err := b.Files().GetAttr(ctx, "e/f")
				return want(i.Size, 5<<20, err)
			}},
		{"a file less", func(ctx context.Context, b *segment.Bucket) error { return b.Files().Remove(ctx, "e/f") },
			func(ctx context.Context, b *segment.Bucket) error {
				_, err := b.Files().GetAttr(ctx, "e/f")
				return want(errors.Is(err, segment.ErrNoSuchKey), true, nil)
			}},
	}
}

func lockableHome() segment.Settings {
	return segment.Settings{Policy: segment.Home, Versioning: segment.Versioned, Locks: segment.LockSettings{Enabled: true}}
}

// Whatever is written at another segment is at the home when that is acknowledged, and can be read by who wrote it.
func TestWritesOfAllKindsAreHandedToTheHome(t *testing.T) {
	onBoth(t, func(t *testing.T, net *memnet.Network) {
		w := newWorld(t, net, "a", "b")
		a, b := pair(t, w, lockableHome())
		for _, key := range []string{"k", "d/x", "d/y"} {
			b.put("bkt", key, key)
		}
		for _, x := range handedWrites() {
			if err := x.write(t.Context(), b.bucket("bkt")); err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
			for _, s := range []*site{a, b} {
				if err := x.there(t.Context(), s.bucket("bkt")); err != nil {
					t.Errorf("%s at %s: %v", x.name, s.id.Name, err)
				}
			}
		}
		if n := b.bucket("bkt").Seen()[b.Origin()]; n != 0 {
			t.Errorf("%d writes are made elsewhere than at the home", n)
		}
		if _, err := b.CreateBranch(t.Context(), "bkt", "work"); err != nil {
			t.Fatal(err)
		}
		b.put("work", "new", "of the branch")
		w.eventually("the merge", func() error { // what a branch begins with is brought in the background
			_, err := segment.Merge(t.Context(), b.bucket("work"), b.bucket("bkt"), segment.MergeOptions{Policy: segment.MergeFail})
			if err != nil && !errors.Is(err, segment.ErrUnavailable) {
				t.Fatal(err)
			}
			return err
		})
		a.reads("bkt", "new", "of the branch")
		b.reads("bkt", "new", "of the branch")
	})
}

// The link is cut when the home has done what it was asked for, and before that is heard of: it is asked again when the link is back, under the
// same name, and answers what it has done.
func TestAnAnswerThatIsCutOffIsHadAgain(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lockableHome())
		for _, key := range []string{"k", "d/x", "d/y"} {
			b.put("bkt", key, key)
		}
		for _, x := range handedWrites() {
			was := a.bucket("bkt").Seen()[a.Origin()]
			done := uint64(0)
			healed := make(chan struct{})
			b.answered = func() {
				done = a.bucket("bkt").Seen()[a.Origin()]
				w.cut("a", "b")
				time.AfterFunc(time.Second, func() { // virtual
					w.heal("a", "b")
					close(healed)
				})
			}
			err := x.write(t.Context(), b.bucket("bkt"))
			<-healed
			if err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
			if now := a.bucket("bkt").Seen()[a.Origin()]; done == was || now != done {
				t.Errorf("%s: the home had made %d writes, %d when it was asked, and %d when it was asked again", x.name, was, done, now)
			}
			w.up("a", "b")
			w.up("b", "a")
			if err := x.there(t.Context(), b.bucket("bkt")); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
		}
		w.converge("bkt", "a", "b")
	})
}

// The home that was asked is not the home any more when the answer is lost: the new one knows what the old one did.
func TestTheNewHomeAnswersForTheOld(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lockableHome())
		c := w.at("c")
		w.link("c", "a")
		w.link("c", "b")
		for _, l := range []string{"c a", "c b"} {
			n := names(l)
			w.up(n[0], n[1])
			w.up(n[1], n[0])
		}
		for _, key := range []string{"k", "d/x", "d/y"} {
			c.put("bkt", key, key)
		}
		from, to := a, b
		made := func() uint64 { return to.bucket("bkt").Seen()[to.Origin()] }
		for _, x := range handedWrites() {
			before := made()
			c.answered = func() {
				if err := from.bucket("bkt").MoveHome(t.Context(), to.ID()); err != nil {
					t.Errorf("%s: move: %v", x.name, err)
				}
			}
			if err := x.write(t.Context(), c.bucket("bkt")); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
			if made() != before {
				t.Errorf("%s: the new home has done it again", x.name)
			}
			w.converge("bkt", "a", "b", "c")
			if err := to.bucket("bkt").MoveHome(t.Context(), from.ID()); err != nil {
				t.Fatal(err)
			}
			w.converge("bkt", "a", "b", "c")
			for _, s := range []*site{a, b, c} {
				if err := x.there(t.Context(), s.bucket("bkt")); err != nil {
					t.Errorf("%s at %s: %v", x.name, s.id.Name, err)
				}
			}
		}
	})
}

// A peer of an older build is not asked for what it does not know, and who asks is told so at once: nothing is written.
func TestAnOlderHomeIsNotAskedForWhatItDoesNotKnow(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", homeBucket())
		older := good()
		older.Protocol = 2
		dial(older)
		body := wire.PutBytes(nil, 1, make([]byte, 16))
		body = wire.PutBytes(body, 2, []byte("a random name..."))
		body = protowire.AppendVarint(protowire.AppendTag(body, 3, protowire.VarintType), 10)
		id := bkt.ID()
		body = wire.PutBytes(body, 11, wire.PutBytes(nil, 1, id[:]))
		r, err := segment.ParseRequest(body)
		if err != nil {
			t.Fatal(err)
		}
		a.w.up("a", "x")
		if _, err := a.lazy.Forward(t.Context(), a.link("x").Peer.Segment, r); !errors.Is(err, segment.ErrNotAsked) {
			t.Errorf("a merge is asked of an older build: %v", err)
		}
	})
}
