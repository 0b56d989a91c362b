package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata anew")

func samples() map[string]wire.Message {
	bucket := segment.BucketID([]byte("a bucket's id..."))
	other := segment.BucketID([]byte("another bucket.."))
	origin := segment.Origin{Segment: 0x1234567890abcdef, Inc: 2}
	seen := wire.Buckets{bucket: {origin: 300, {Segment: 7, Inc: 1}: 1}, other: {}}
	version := segment.VersionID{Stamp: segment.Stamp{HLC: 99 << 16}, Dot: segment.Dot{Origin: origin, N: 5}}
	at := time.Unix(1_800_000_000, 5)
	return map[string]wire.Message{
		"hello": &wire.Request{Hello: &wire.Hello{
			Protocol: 3, MinProtocol: 1, Segment: 9, Inc: 4, Process: 8, Addresses: []string{"a:1", "b:2"}, Clock: at, Seen: seen,
		}},
		"subscribe": &wire.Request{Subscribe: &wire.Subscribe{From: segment.Cursor{Inc: 2, Pos: 77}}},
		"survey":    &wire.Request{Survey: true},
		"sync":      &wire.Request{Sync: &wire.Sync{Bucket: bucket}},
		"snapshot":  &wire.Request{Sync: &wire.Sync{Bucket: bucket, Snapshot: segment.SnapshotID{1, 15: 2}}},
		"fetch": &wire.Request{Fetch: &wire.Fetch{Bucket: bucket, Groups: []wire.Group{
			{Key: "k", Version: version, IDs: []chunk.ID{{1}, {2}}},
			{Key: "l", Version: version, Path: []chunk.ID{{3}}, IDs: []chunk.ID{{4}}},
		}}},
		"mend": &wire.Request{Fetch: &wire.Fetch{Bucket: bucket, Groups: []wire.Group{
			{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{{5}}},
			{Tree: segment.HistoryTree, Level: 1, Key: "a\x00\xff", IDs: []chunk.ID{{6}}},
			{Tree: segment.HeadsTree, Level: 0, Key: "b", IDs: []chunk.ID{{7}}, Snapshot: segment.SnapshotID{8}},
		}}},
		"copies": &wire.Request{Copies: true},
		"copyask": &wire.CopyAsk{Dropped: []uint64{1, 300}, Copies: []wire.Copy{
			{Number: 301, Ref: segment.Ref{Bucket: bucket, Key: "k", Version: version}}, {Number: 302, Ref: segment.Ref{Bucket: other, Key: "l", Version: version}},
		}},
		"copied": &wire.Copied{Done: []uint64{301}, Working: []uint64{302, 1 << 40}},
		"heartbeat": &wire.Heartbeat{
			Clock: at, Echo: at.Add(-time.Second), Waited: time.Millisecond, LogEnd: 12, Held: seen, Behind: wire.Lag{Positions: 1, Bytes: 2, Since: 3},
		},
		"surveyed": &wire.Survey{Inc: 1, Pos: 5, Seen: seen},
		"start":    &wire.Start{Resync: true, Inc: 3},
		"batch": &wire.Batch{Next: 15, Items: []segment.FeedItem{
			{Pos: 10, Bucket: bucket, Record: []byte("one"), Dot: segment.Dot{Origin: origin, N: 6}},
			{Pos: 10, Bucket: bucket, Record: []byte("two"), Dot: segment.Dot{Origin: origin, N: 7}},
			{Pos: 12, Bucket: other, Mark: segment.Vector{origin: 3}},
			{Pos: 13, Bucket: other, Record: []byte("three"), Dot: segment.Dot{Origin: origin, N: 8}},
			{Pos: 14, Bucket: other, Record: []byte("four"), Dot: segment.Dot{Origin: origin, N: 2}},
		}},
		"end":     &wire.Batch{Next: 15, End: true},
		"ack":     &wire.Ack{Pos: 1 << 40},
		"offer":   &wire.Offer{Offer: segment.Offer{Root: chunk.ID{9}, Seen: segment.Vector{origin: 3}, Cursor: segment.Cursor{Inc: 1, Pos: 2}}},
		"refused": &wire.Offer{Status: wire.Refused, Offer: segment.Offer{Seen: segment.Vector{}}},
		"want":    &wire.Want{IDs: []chunk.ID{{5}, {6}}},
		"nodes":   &wire.Nodes{Pieces: []wire.Piece{{Index: 1, Data: []byte("node")}}, End: true, Status: wire.NotFound},
		"fetched": &wire.Fetched{Pieces: []wire.Piece{{Group: 2, Index: 1, Data: []byte("chunk")}}, Ends: []wire.End{{}, {Group: 2, Status: wire.Refused}}},
		"forward": &wire.Request{Forward: []byte("a write")},
		"answer":  &wire.Answer{Body: []byte("done")},
		"payload": &wire.Request{Fetch: &wire.Fetch{Bucket: segment.BucketID{1}, Groups: []wire.Group{{Request: segment.RequestName{7}, Path: []chunk.ID{{5}}, IDs: []chunk.ID{{6}}}}}},
		"join":    &wire.JoinRequest{Secret: []byte("s"), Request: []byte("csr"), Name: "tokyo", Segment: 7, Addresses: []string{"h:2"}},
		"joined":  &wire.JoinReply{Certificate: []byte("c"), Authority: []byte("a"), Secret: []byte("s")},
		"denied":  &wire.JoinReply{Refused: 2, Why: "used"},
	}
}

func zero(m wire.Message) wire.Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(wire.Message)
}

func TestMessagesAreReadAsWritten(t *testing.T) {
	for name, m := range samples() {
		got := zero(m)
		if err := got.Parse(m.Append(nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Later builds add fields; this one passes over them.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	later := wire.PutBytes(wire.PutUint(nil, 900, 5), 901, "later")
	for name, m := range samples() {
		got := zero(m)
		if err := got.Parse(append(m.Append(nil), later...)); err != nil || !cmp.Equal(m, got) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGoldenMessages(t *testing.T) {
	const file = "testdata/messages.golden"
	all := samples()
	var out strings.Builder
	for _, name := range strings.Fields("hello subscribe survey sync snapshot fetch mend heartbeat surveyed start batch end ack offer refused want nodes fetched join joined denied forward answer payload copies copyask copied") {
		fmt.Fprintf(&out, "%s %s\n", name, hex.EncodeToString(all[name].Append(nil)))
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(out.String(), "\n"); n != len(all) {
		t.Errorf("%d messages of %d", n, len(all))
	}
}

func TestFrames(t *testing.T) {
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	big := &wire.JoinReply{Secret: make([]byte, 3<<20)}
	for _, m := range []wire.Message{&wire.Ack{Pos: 7}, big, &wire.Ack{}} {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	all := buf.Bytes()
	r := wire.NewReader(bytes.NewReader(all))
	var a, c wire.Ack
	var b wire.JoinReply
	if err := errors.Join(r.Read(&a, 100), r.Read(&b, 4<<20), r.Read(&c, 100)); err != nil || a.Pos != 7 || len(b.Secret) != 3<<20 {
		t.Fatal(err)
	}
	if err := r.Read(&c, 100); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	r = wire.NewReader(bytes.NewReader(all[:len(all)-1000]))
	if err := errors.Join(r.Read(&a, 100), r.Read(&b, 4<<20)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	r = wire.NewReader(bytes.NewReader(all))
	if err := errors.Join(r.Read(&a, 100), r.Read(&b, 1<<20)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("too large: %v", err)
	}
}

// A length is believed only as far as bytes come.
func TestLengthsAreNotAllocatedUnseen(t *testing.T) {
	claim := []byte{0xff, 0xff, 0xff, 0x03, 1, 2, 3} // 8 MiB, of which 3 bytes come
	n := testing.AllocsPerRun(10, func() {
		var a wire.Ack
		if err := wire.NewReader(bytes.NewReader(claim)).Read(&a, 16<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
	if n > 10 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMessages(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, sample := range samples() {
			m := zero(sample)
			if m.Parse(b) != nil {
				continue
			}
			again := zero(sample)
			if err := again.Parse(m.Append(nil)); err != nil {
				t.Fatalf("%s: what was read cannot be written and read: %v", name, err)
			}
			if string(again.Append(nil)) != string(m.Append(nil)) {
				t.Fatalf("%s: not stable", name)
			}
		}
	})
}
