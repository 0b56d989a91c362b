package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

// copies are the settings of a bucket whose writes wait for a second segment.
func copies() segment.Settings {
	s := segment.DefaultSettings()
	s.Ack = segment.Copies
	return s
}

func (s *site) tryPut(bucket, key, body string) error {
	b, err := s.Bucket(bucket)
	if err != nil {
		return err
	}
	_, err = b.Put(s.w.t.Context(), key, segment.Attrs{}, segment.Cond{}, strings.NewReader(body))
	return err
}

// What was acknowledged is read at the second segment when the first one is gone, with its device: small objects, large ones of many chunks and
// a tree of nodes, what took the place of others, copies and uploads in parts, of a bucket that is not full.
func TestWhatCopiesAcknowledgesOutlivesItsDevice(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		w.link("a", "b")
		w.up("a", "b")
		bucket := a.create("bkt", copies())
		want := map[string]string{}
		var mu sync.Mutex
		var writers sync.WaitGroup
		for i := range 4 {
			writers.Go(func() {
				for j := range 12 {
					key, body := fmt.Sprintf("k%d-%d", i, j%8), text(1+(i*j*j*j*613)%(700<<10))
					if err := a.tryPut("bkt", key, body); err != nil {
						t.Errorf("put %s: %v", key, err)
						return
					}
					mu.Lock()
					want[key] = body
					mu.Unlock()
				}
			})
		}
		writers.Wait()
		large := text(6 << 20)
		a.put("bkt", "large", large)
		want["large"] = large
		o, err := bucket.Open(t.Context(), "large", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Copy(t.Context(), o, "copy", segment.Attrs{}, segment.Cond{}); err != nil {
			t.Fatal(err)
		}
		want["copy"] = large
		want["parts"] = a.uploadParts(bucket, "parts")
		if _, err := bucket.Delete(t.Context(), "k0-0", segment.Cond{}); err != nil {
			t.Fatal(err)
		}
		delete(want, "k0-0")
		a.stop() // the device is never read again
		for key, body := range want {
			b.reads("bkt", key, body)
		}
		if _, err := b.read("bkt", "k0-0"); !errors.Is(err, segment.ErrNoSuchKey) {
			t.Errorf("what was deleted reads %v", err)
		}
	})
}

// uploadParts uploads an object in parts, and returns its content.
func (s *site) uploadParts(b *segment.Bucket, key string) (body string) {
	s.w.t.Helper()
	ctx := s.w.t.Context()
	u, err := b.CreateUpload(ctx, key, segment.Attrs{})
	if err != nil {
		s.w.t.Fatal(err)
	}
	var parts []segment.PartRef
	for n := 1; n <= 3; n++ {
		part := text(300 << 10)
		pw, err := b.PartWriter(ctx, key, u.ID, n, -1)
		if err == nil {
			_, _ = pw.ReadFrom(strings.NewReader(part))
			_, err = pw.CommitPart(ctx, segment.Attrs{ETag: fmt.Sprint(n)})
		}
		if err != nil {
			s.w.t.Fatal(err)
		}
		parts, body = append(parts, segment.PartRef{Number: n, ETag: fmt.Sprint(n)}), body+part
	}
	if _, err := b.CompleteUpload(ctx, key, u.ID, parts, segment.Completion{ETag: "e"}, segment.Cond{}); err != nil {
		s.w.t.Fatal(err)
	}
	return body
}

// Without a peer a write is told so, after the time that it may take; it is durable and shows, and what waits for nobody goes on meanwhile.
func TestNobodyToAcknowledge(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		w.link("a", "b")
		w.up("a", "b")
		a.create("bkt", copies())
		a.create("local", segment.DefaultSettings())
		b.bucket("bkt")
		w.cut("a", "b")
		began := time.Now()
		err := a.tryPut("bkt", "k", "v")
		if took := time.Since(began); !errors.Is(err, segment.ErrNotCopied) || !errors.Is(err, segment.ErrUnavailable) || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		a.reads("bkt", "k", "v")
		time.Sleep(time.Minute) // the connection is lost, and that is known
		if err := a.tryPut("bkt", "k", "v2"); !errors.Is(err, segment.ErrNotCopied) || !strings.Contains(err.Error(), "no link") {
			t.Errorf("without a link: %v", err)
		}
		began = time.Now()
		a.put("local", "k", "v")
		if took := time.Since(began); took > time.Second {
			t.Errorf("what waits for nobody took %v", took)
		}
		if st := a.copies.Stats(); st.Waiting != 0 || st.GivenUp != 2 {
			t.Errorf("%+v", st)
		}
		// While a write waits for the link, others of its key wait for nobody; it is acknowledged when the link is there in time.
		done := make(chan error, 2)
		for _, v := range []string{"v3", "v4"} {
			go func() { done <- a.tryPut("bkt", "k", v) }()
		}
		w.eventually("both are written", func() error {
			if st := a.copies.Stats(); st.Waiting != 2 {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		w.heal("a", "b")
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		last, err := a.read("bkt", "k")
		if err != nil {
			t.Fatal(err)
		}
		a.stop()
		b.reads("bkt", "k", last)
	})
}

// A client that goes away is not waited for, and a context that ends is the reason.
func TestAWaitingWriteHeedsItsContext(t *testing.T) {
	inVirtualTime(t, names("a"), func(t *testing.T, w *world) {
		bucket := w.at("a").create("bkt", copies())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := bucket.Put(ctx, "k", segment.Attrs{}, segment.Cond{}, strings.NewReader("v"))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, segment.ErrNotCopied) {
			t.Error(err)
		}
		if st := w.at("a").copies.Stats(); st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// The nearest peer does not answer: the next is asked, and one copy is enough.
func TestAnotherPeerAcknowledges(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		w.link("a", "b")
		w.link("a", "c")
		w.up("a", "b")
		w.up("a", "c")
		a := w.at("a")
		a.create("bkt", copies())
		w.at("b").bucket("bkt")
		w.at("c").bucket("bkt")
		a.put("bkt", "first", "v")
		for _, gone := range names("b c") {
			w.cut("a", gone)
			began := time.Now()
			a.put("bkt", "k-"+gone, text(100<<10))
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("without %s it took %v", gone, took)
			}
			w.heal("a", gone)
		}
	})
}

// A peer has the record, and cannot get the payload: that is no copy.
func TestARecordAloneIsNoCopy(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		w.link("a", "b")
		w.up("a", "b")
		bucket := a.create("bkt", copies())
		b.bucket("bkt")
		body := text(300 << 10)
		a.put("bkt", "source", body)
		o, err := bucket.Open(t.Context(), "source", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		ids := pieces(t, o)
		a.lose(ids...)
		b.lose(ids...)
		if _, err := bucket.Copy(t.Context(), o, "copy", segment.Attrs{}, segment.Cond{}); !errors.Is(err, segment.ErrNotCopied) {
			t.Errorf("without payload: %v", err)
		}
		b.lists("bkt", "copy", len(body))
		a.put("bkt", "next", "v") // which waits for nothing else
	})
}

// lose damages chunks, and lets that be noticed: they are held no more.
func (s *site) lose(ids ...chunk.ID) {
	durable := s.store.Open(s.Domain(), chunk.Data)
	for _, id := range ids {
		s.store.Damage(s.Domain(), id)
		_ = durable.Get(s.w.t.Context(), []chunk.ID{id}, func(chunk.Chunk) error { return nil })
	}
	if missing, err := durable.Missing(s.w.t.Context(), ids); err != nil || len(missing) != len(ids) {
		s.w.t.Fatalf("%s lacks %d of %d chunks, %v", s.id.Name, len(missing), len(ids), err)
	}
}

func pieces(t *testing.T, o *segment.Object) (ids []chunk.ID) {
	for p, err := range o.Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.ID)
	}
	return ids
}

// Writes of a bucket whose setting is copies are acknowledged over QUIC on loopback: how long that takes beside local ones.
func BenchmarkAck(b *testing.B) {
	for _, ack := range []segment.Ack{segment.Local, segment.Copies} {
		b.Run(ack.String(), func(b *testing.B) {
			w := newWorld(b, nil, "a", "b")
			w.link("a", "b")
			w.up("a", "b")
			set := segment.DefaultSettings()
			set.Ack = ack
			a := w.at("a")
			a.create("bkt", set)
			w.at("b").bucket("bkt")
			for i := 0; b.Loop(); i++ {
				if err := a.tryPut("bkt", fmt.Sprint("k", i%1000), fmt.Sprint("content ", i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
