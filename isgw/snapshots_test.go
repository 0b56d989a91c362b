package isgw_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

func (s *site) snap(bucket, name string) {
	s.w.t.Helper()
	b, err := s.Bucket(bucket)
	if err == nil {
		_, err = b.CreateSnapshot(s.w.t.Context(), name)
	}
	if err != nil {
		s.w.t.Fatal(err)
	}
}

// A snapshot of overwritten and deleted content is read at the other segment, its metadata brought by itself, its payload on demand.
func TestSnapshotIsBroughtAndRead(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	w.link("a", "b")
	a, b := w.sites["a"], w.sites["b"]
	a.create("bkt", segment.Settings{})
	for i := range 50 {
		a.put("bkt", fmt.Sprint("k", i), fmt.Sprint("first ", i))
	}
	a.snap("bkt", "monday")
	for i := range 50 {
		a.put("bkt", fmt.Sprint("k", i), fmt.Sprint("second ", i))
	}
	w.eventually("the snapshot is at b", func() error {
		_, err := b.Bucket("bkt@monday")
		return err
	})
	for i := range 50 {
		for name, want := range map[string]string{"bkt@monday": "first ", "bkt": "second "} {
			w.eventually("content at b", func() error {
				got, err := b.read(name, fmt.Sprint("k", i))
				if err == nil && got != fmt.Sprint(want, i) {
					err = fmt.Errorf("%s holds %q", name, got) // the bucket's later writes may still be on their way
				}
				if err != nil && name != "bkt" && got != "" {
					t.Fatal(err)
				}
				return err
			})
		}
	}
}

// A segment that is linked later brings the snapshots that there are.
func TestSnapshotIsBroughtByALaterLink(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	a, b := w.sites["a"], w.sites["b"]
	a.create("bkt", segment.Settings{})
	a.put("bkt", "k", "first")
	a.snap("bkt", "s")
	a.put("bkt", "k", "second")
	w.link("a", "b")
	w.eventually("the snapshot is at b", func() error {
		got, err := b.read("bkt@s", "k")
		if err == nil && got != "first" {
			t.Fatalf("it holds %q", got)
		}
		return err
	})
}

func TestOnlyWhatASnapshotNamesIsServed(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", segment.Settings{})
		v := a.put("bkt", "k", "payload")
		i, err := bkt.CreateSnapshot(t.Context(), "s")
		if err == nil {
			i, err = bkt.WaitSnapshot(t.Context(), i.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		x := dial(good())
		offered := func(m wire.Sync) wire.Offer {
			s, in, _ := x.ask(&wire.Request{Sync: &m})
			defer s.Abort()
			var offer wire.Offer
			if err := in.Read(&offer, wire.MaxControl); err != nil {
				t.Fatal(err)
			}
			return offer
		}
		if o := offered(wire.Sync{Bucket: bkt.ID(), Snapshot: i.ID}); o.Status != wire.OK || o.Root != i.Root {
			t.Errorf("%+v", o)
		}
		if o := offered(wire.Sync{Bucket: bkt.ID(), Snapshot: segment.SnapshotID{1}}); o.Status != wire.Refused {
			t.Errorf("a snapshot that is none: %+v", o)
		}
		other := a.create("other", segment.Settings{})
		if o := offered(wire.Sync{Bucket: other.ID(), Snapshot: i.ID}); o.Status != wire.Refused {
			t.Errorf("a snapshot of another bucket: %+v", o)
		}
		err = a.ServeFetch(t.Context(), segment.Reading{Ref: segment.Ref{Bucket: other.ID(), Key: "k", Version: v.VersionID}},
			[]chunk.ID{v.Content.Entries()[0].ID}, func(chunk.Chunk) error { return nil })
		if !errors.Is(err, chunk.ErrNotFound) {
			t.Errorf("payload in the name of another bucket: %v", err)
		}
	})
}

// What only a snapshot holds is brought to where everything of the bucket is to be, and counts as exposed until it is.
func TestPayloadOfSnapshotsIsHeldInFull(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	w.link("a", "b")
	a, b := w.sites["a"], w.sites["b"]
	a.create("bkt", segment.Settings{Full: true})
	w.cut("a", "b")
	body := strings.Repeat("payload ", 20_000)
	a.put("bkt", "k", body)
	a.snap("bkt", "s")
	a.put("bkt", "k", "second")
	a.exposed("bkt", int64(len(body)+len("second")))
	w.heal("a", "b")
	w.eventually("the snapshot is at b", func() error {
		_, err := b.Bucket("bkt@s")
		return err
	})
	a.exposed("bkt", 0)
	w.eventually("the payload is at b", func() error {
		at := b.bucket("bkt@s")
		v, err := at.Stat(t.Context(), "k", segment.VersionRef{})
		if err != nil {
			return err
		}
		o, err := b.ObjectHere(at.ID(), v)
		if err != nil {
			return err
		}
		_, err = o.ReadRange(t.Context(), io.Discard, 0, v.Size())
		return err
	})
}
