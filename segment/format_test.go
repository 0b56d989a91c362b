package segment

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

var rewriteGolden = flag.Bool("golden.rewrite", false, "write testdata/golden anew: only for a format that no release has written")

// sample values use every field. Their ids are fixed, so their bytes are too.
var (
	sampleOrigin = Origin{0x1122334455667788, 3}
	sampleID     = VersionID{Stamp{Epoch{2, Origin{5, 1}}, 0x0123456789ab0007}, Dot{sampleOrigin, 300}}
	sampleOlder  = VersionID{Stamp{HLC: 0x0123456789aa0000}, Dot{Origin{9, 1}, 1}}
)

func sampleVersion(t testing.TB) *Version {
	t.Helper()
	domain := chunk.NewDomain([32]byte{1})
	w := dedup.NewWriter(t.Context(), dedup.Stores{Data: newMapStore(), Meta: newMapStore()}, domain, dedup.Default(), dedup.Options{})
	if _, err := w.Write([]byte("twelve bytes")); err != nil {
		t.Fatal(err)
	}
	m, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return &Version{
		VersionID: sampleID, Key: "a/b", Null: true, Superseded: true, Holds: []Dot{{Origin{9, 1}, 7}, sampleID.Dot}, Content: m,
		Attrs: Attrs{
			ETag: "0123456789abcdef0123456789abcdef-2", Meta: map[string]string{"content-type": "text/plain", "x-amz-meta-b": "2"},
			Tags: map[string]string{"t": "v"}, Checksums: []Checksum{{"CRC32", "AAAAAA==", true}}, Parts: []int64{5, 7}, File: []byte{1},
		},
	}
}

func sampleRecord(t testing.TB) *record {
	put := sampleVersion(t)
	put.Holds, put.Superseded = []Dot{sampleID.Dot}, false
	lock := *put
	lock.VersionID, lock.Holds = sampleOlder, []Dot{sampleOlder.Dot}
	return &record{
		VersionID: sampleID, deps: Vector{Origin{9, 1}: 12},
		effects: []effect{
			{key: "a/b", hold: put, gone: []goneHold{{sampleOlder, sampleOlder.Dot}, {sampleOlder, Dot{Origin{9, 1}, 4}}}, over: []VersionID{sampleOlder}},
			{key: "a/b", hold: &lock},
			{key: "gone", gone: []goneHold{{sampleOlder, sampleOlder.Dot}}},
		},
		settings: &settingsRecord{Settings{Versioning: Versioned, Full: true, EagerBytes: 4096}, sampleID},
	}
}

// homed are settings as no build before those with homes reads them.
func homed() Settings {
	return Settings{Versioning: Versioned, EagerBytes: 4096, Policy: Home, Home: sampleOrigin}
}

// sampleRename is of a directory, whose effects are not in it; sampleMove of one key of a versioned bucket.
func sampleRename() *record {
	return &record{VersionID: sampleID, deps: Vector{Origin{9, 1}: 12}, rename: &rename{300, "d/", "e/f/", Suspended, effectsDigest{1, 2}}}
}

func sampleMove(t testing.TB) *record {
	r := &record{VersionID: sampleID, deps: Vector{Origin{9, 1}: 12}, rename: &rename{count: 2}, effects: []effect{
		{key: "e", hold: sampleVersion(t).movedTo("e", Versioned)}, {key: "a/b", hold: &Version{Key: "a/b", Marker: true}, over: []VersionID{sampleOlder}},
	}}
	r.name(sampleID)
	return r
}

// sampleAmended is a version of two locks, whose attributes were changed.
func sampleAmended(t testing.TB) *Version {
	v := sampleVersion(t)
	v.VersionID = sampleOlder
	one, two := Dot{sampleOrigin, 299}, Dot{sampleOrigin, 300}
	v.Holds = []Dot{one, two, sampleOlder.Dot}
	slices.SortFunc(v.Holds, Dot.Compare)
	v.locks = locksOn(v.Holds, []heldLock{{one, lock{governance: 1795000000000}}, {two, lock{compliance: 1795000000001, legal: true}}})
	v.registers = []register{
		{name: "acl", value: "private"},
		{name: "tags", value: tagsValue(map[string]string{"a": "1"}), by: VersionID{Stamp{HLC: sampleOlder.HLC + 1}, Dot{Origin{9, 1}, 2}}, on: []Dot{one}},
		{name: "tags", value: tagsValue(map[string]string{"a": "2"}), by: VersionID{Stamp{HLC: sampleOlder.HLC + 2}, Dot{sampleOrigin, 5}}, on: v.Holds[1:]},
	}
	return v
}

// sampleAmending is a record of a lock and of a change of attributes.
func sampleAmending(t testing.TB) *record {
	v := sampleAmended(t)
	return &record{
		VersionID: sampleID, deps: Vector{Origin{9, 1}: 12},
		effects: []effect{
			{key: "a/b", hold: v.bare(), lock: lock{1, 2, true}, gone: []goneHold{{v.VersionID, Dot{sampleOrigin, 299}}}},
			{key: "c", set: []setAttribute{{sampleOlder, "tags", tagsValue(map[string]string{"a": "1"})}, {sampleOlder, "acl", ""}}},
		},
	}
}

func sampleEntry(t testing.TB) *entry {
	f := foldItem{bucket: BucketID{1, 2}, prev: 4, covers: 9, root: []byte("root"), stats: counters{1, 2, 3, 4, 0}}
	return &entry{
		writes:  []write{{bucket: BucketID{1, 2}, record: sampleRecord(t), payload: [][]byte{[]byte("payload")}}},
		folds:   []foldItem{f},
		merges:  []mergeItem{{f, Vector{sampleOrigin: 5}, 77, 88}},
		cursors: []cursorItem{{peer: 77, Cursor: Cursor{2, 1000}, debts: []Debt{{BucketID{9}, time.Unix(1795000000, 5).UTC()}}, paid: []BucketID{{8}}}},
		life:    6,
	}
}

func sampleDoc() *bucketDoc {
	return &bucketDoc{BucketID{1, 2}, "photos", 0x0123456789ab0007, 5, dedup.Default(), "private", [16]byte{3}, Settings{EagerBytes: 4096}, nil, false}
}

// formats are all that the package writes: encoded samples, and a decoder that encodes again what it read.
func formats(t testing.TB) map[string]struct {
	bytes []byte
	again func([]byte) ([]byte, error)
} {
	type format = struct {
		bytes []byte
		again func([]byte) ([]byte, error)
	}
	v, r, e, d := sampleVersion(t), sampleRecord(t), sampleEntry(t), sampleDoc()
	rt := root{chunk.ID{1}, chunk.ID{2}, Vector{sampleOrigin: 5, Origin{9, 1}: 1}, *r.settings, nil}
	remembering := root{seen: Vector{sampleOrigin: 5}, settings: settingsRecord{homed(), sampleID}, done: doneList{
		{sampleOlder, RequestName{1}, outcome{version: sampleOlder, null: true}},
		{sampleID, RequestName{2}, outcome{version: sampleOlder, marker: true}},
	}}
	req := &Request{
		Bucket: BucketID{1, 2}, Name: RequestName{3}, acks: []RequestName{{4}, {5}}, verb: verbPut, key: "k", put: &Version{Key: "k", Content: v.Content, Attrs: v.Attrs},
		cond:    Cond{Absent: true, Match: []string{"a", "b"}, Version: &sampleID, Open: []VersionID{sampleID, sampleOlder}, Resolve: true},
		payload: [][]byte{[]byte("payload")},
	}
	remove := &Request{Bucket: BucketID{1, 2}, Name: RequestName{3}, verb: verbRemove, key: "k", ref: VersionRef{ID: sampleID, Null: true}, cond: Cond{Match: []string{}, Open: []VersionID{}}}
	ans := &Answer{outcome{version: sampleID, null: true, marker: true}, refusalOf(ErrPrecondition), "the current version is another", Vector{sampleOrigin: 5}, true}
	sd := &snapshotDoc{BucketID{1, 2}, SnapshotID{3, 4}, "monday", 0x77, 5, rt.appendTo(nil), counters{1, 2, 3, 4, 0}}
	fa := fileAttrs{SymbolicLink, 0o6750, 1000, 100, 1795000000123456789, -5, FileID{1, 2}, 77, "../target", map[string]string{"user.a": "1", "user.b": "\x00"}, nil}
	cr := &CollectReport{Began: time.UnixMilli(1_795_000_000_000), Ended: time.UnixMilli(1_795_000_001_000), Reached: 5, Condemned: chunk.Swept{Chunks: 4, Bytes: 400}, Gone: chunk.Swept{Chunks: 3, Bytes: 300}, Compacted: chunk.Compacted{Files: 2, Freed: 200, Copied: 20, Dead: 10, Skipped: 1}}
	re := &rootEntry{0x79, rt.appendTo(nil), counters{1, 2, 3, 4, 0}}
	md := &mergeDoc{branch: BucketID{1, 2}, id: SnapshotID{6}, from: BucketID{1, 2}, into: BucketID{9}, created: 0x78, by: 5, root: rt.appendTo(nil), stats: counters{1, 2, 3, 4, 0}, after: rt.seen, merged: Merged{1, 2, 3, 4}}
	branch := *d
	branch.origin = &origin{parent: BucketID{9}, snapshot: SnapshotID{3, 4}, id: SnapshotID{5}, root: rt.appendTo(nil), stats: counters{1, 2, 3, 4, 0}, seen: rt.seen}
	sealed := branch
	sealed.ownSettings = true
	births := &entry{seals: []sealItem{{bucket: BucketID{9}, id: SnapshotID{5}, name: "photos", created: 0x77, branch: BucketID{1, 2}, life: 6, of: SnapshotID{3, 4}}}}
	h := head{[]*Version{{VersionID: sampleID, Key: "k", Holds: []Dot{sampleID.Dot}}, {VersionID: sampleOlder, Key: "k", Null: true, Holds: []Dot{sampleOlder.Dot}}}, 5}
	st := &state{pos: 9, inc: 3, hlc: 0x77, cursors: []cursorItem{cursorItem{}.after(e.cursors[0])}, buckets: []bucketState{{e.folds[0], d, true}}}
	seals := &entry{seals: []sealItem{{bucket: BucketID{1, 2}, id: SnapshotID{3, 4}, name: "monday", created: 0x77}, {bucket: BucketID{1, 2}, id: SnapshotID{3, 4}}}}
	mk := &mark{BucketID{1, 2}, chunk.ID{9}}
	set := Settings{Versioning: Suspended, Full: true, EagerBytes: 4096, Policy: KeepBoth, Ack: Copies, Losers: LoserBounds{Keep: 16, Days: 30}}
	homedDoc := *d
	homedDoc.settings = homed()
	redoc := func(b []byte) ([]byte, error) {
		d, err := parseBucketDoc(b)
		if err != nil {
			return nil, err
		}
		return d.appendTo(nil), nil
	}
	rerecord := func(b []byte) ([]byte, error) {
		r, err := parseRecord(b)
		if err != nil {
			return nil, err
		}
		return r.appendTo(nil), nil
	}
	losses := []loss{{sampleID, 0x77}, {sampleOlder, 0x78}}
	av, ar := sampleAmended(t), sampleAmending(t)
	locked := Settings{Versioning: Versioned, Locks: LockSettings{Enabled: true, Mode: Compliance, Days: 30}}
	rerequest := func(b []byte) ([]byte, error) {
		r, err := ParseRequest(b)
		if err != nil {
			return nil, err
		}
		return r.Append(nil), nil
	}
	all := map[string]format{
		"version-amended": {av.appendTo(nil, false), func(b []byte) ([]byte, error) {
			v, err := parseVersion(b)
			if err != nil {
				return nil, err
			}
			return v.appendTo(nil, false), nil
		}},
		"record-amending": {ar.appendTo(nil), func(b []byte) ([]byte, error) {
			r, err := parseRecord(b)
			if err != nil {
				return nil, err
			}
			return r.appendTo(nil), nil
		}},
		"settings-locks": {locked.appendTo(nil), func(b []byte) ([]byte, error) {
			s, err := parseSettings(b)
			return s.appendTo(nil), err
		}},
		"bucket-name": {nameDoc("photos-of-tokyo").appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseNameDoc(b)
			return d.appendTo(nil), err
		}},
		"counters": {counters{5, 6, 7, 8, 2}.appendTo(nil), func(b []byte) ([]byte, error) {
			c, err := parseCounters(b)
			return c.appendTo(nil), err
		}},
		"losses": {appendLosses(nil, losses), func(b []byte) ([]byte, error) {
			all, err := parseLosses(b)
			return appendLosses(nil, all), err
		}},
		"dropped-document": {droppedDoc{300, 0x77}.appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseDroppedDoc(b)
			return d.appendTo(nil), err
		}},
		"settings-compressed": {Settings{Compression: chunk.Fast}.appendTo(nil), func(b []byte) ([]byte, error) {
			s, err := parseSettings(b)
			return s.appendTo(nil), err
		}},
		"settings-scheduled": {Settings{Snapshots: "1h:24,1d:30"}.appendTo(nil), func(b []byte) ([]byte, error) {
			s, err := parseSettings(b)
			return s.appendTo(nil), err
		}},
		"settings": {set.appendTo(nil), func(b []byte) ([]byte, error) {
			s, err := parseSettings(b)
			return s.appendTo(nil), err
		}},
		"entry-seal": {seals.appendTo(nil), func(b []byte) ([]byte, error) {
			e, err := parseEntry(b)
			if err != nil {
				return nil, err
			}
			return e.appendTo(nil), nil
		}},
		"mark": {mk.appendTo(nil), func(b []byte) ([]byte, error) {
			m, err := parseMark(b)
			if err != nil {
				return nil, err
			}
			return m.appendTo(nil), nil
		}},
		"version": {v.appendTo(nil, false), func(b []byte) ([]byte, error) {
			v, err := parseVersion(b)
			if err != nil {
				return nil, err
			}
			return v.appendTo(nil, false), nil
		}},
		"record":           {r.appendTo(nil), rerecord},
		"record-homed":     {(&record{VersionID: sampleID, settings: &settingsRecord{homed(), sampleID}}).appendTo(nil), rerecord},
		"record-of-rename": {sampleRename().appendTo(nil), rerecord},
		"record-of-move":   {sampleMove(t).appendTo(nil), rerecord},
		"entry": {e.appendTo(nil), func(b []byte) ([]byte, error) {
			e, err := parseEntry(b)
			if err != nil {
				return nil, err
			}
			return e.appendTo(nil), nil
		}},
		"bucket-document": {d.appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseBucketDoc(b)
			if err != nil {
				return nil, err
			}
			return d.appendTo(nil), nil
		}},
		"branch-document":        {branch.appendTo(nil), redoc},
		"branch-document-sealed": {sealed.appendTo(nil), redoc},
		"entry-branch": {births.appendTo(nil), func(b []byte) ([]byte, error) {
			e, err := parseEntry(b)
			if err != nil {
				return nil, err
			}
			return e.appendTo(nil), nil
		}},
		"record-request": {(&record{VersionID: sampleID, request: &answered{RequestName{1, 2}, outcome{version: sampleOlder, null: true}, false, []Dot{sampleOlder.Dot}}}).appendTo(nil), rerecord},
		"record-told":    {(&record{VersionID: sampleID, request: &answered{RequestName{1, 2}, Renamed{Keys: 3, Versions: 4}.outcome(), true, nil}}).appendTo(nil), rerecord},
		"request":        {req.Append(nil), rerequest},
		"request-remove": {remove.Append(nil), rerequest},
		"answer": {ans.Append(nil), func(b []byte) ([]byte, error) {
			a, err := ParseAnswer(b)
			if err != nil {
				return nil, err
			}
			return a.Append(nil), nil
		}},
		"root-homed": {remembering.appendTo(nil), func(b []byte) ([]byte, error) {
			r, err := parseRoot(b)
			if err != nil {
				return nil, err
			}
			return r.appendTo(nil), nil
		}},
		"bucket-document-homed": {homedDoc.appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseBucketDoc(b)
			if err != nil {
				return nil, err
			}
			return d.appendTo(nil), nil
		}},
		"collection": {cr.appendTo(nil), func(b []byte) ([]byte, error) {
			r, err := parseReport(b)
			if err != nil {
				return nil, err
			}
			return r.appendTo(nil), nil
		}},
		"remembered-root": {re.appendTo(nil), func(b []byte) ([]byte, error) {
			e, err := parseRootEntry(b)
			if err != nil {
				return nil, err
			}
			return e.appendTo(nil), nil
		}},
		"merge-document": {md.appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseMergeDoc(b)
			if err != nil {
				return nil, err
			}
			return d.appendTo(nil), nil
		}},
		"snapshot-document": {sd.appendTo(nil), func(b []byte) ([]byte, error) {
			d, err := parseSnapshotDoc(b)
			if err != nil {
				return nil, err
			}
			return d.appendTo(nil), nil
		}},
		"root": {rt.appendTo(nil), func(b []byte) ([]byte, error) {
			r, err := parseRoot(b)
			if err != nil {
				return nil, err
			}
			return r.appendTo(nil), nil
		}},
		"file-attributes": {fa.appendTo(nil), func(b []byte) ([]byte, error) {
			a, err := parseFileAttrs(b)
			if err != nil {
				return nil, err
			}
			return a.appendTo(nil), nil
		}},
		"head": {h.appendTo(nil), func(b []byte) ([]byte, error) {
			h, err := parseHead("k", b)
			if err != nil {
				return nil, err
			}
			return h.appendTo(nil), nil
		}},
		"state": {st.appendTo(nil, 42), func(b []byte) ([]byte, error) {
			st, err := parseState(b, 42)
			if err != nil {
				return nil, err
			}
			return st.appendTo(nil, 42), nil
		}},
	}
	for name, r := range sampleTasks() {
		all["request-"+name] = format{r.Append(nil), rerequest}
	}
	return all
}

func TestFormatsAreThoseOfTheGoldenFiles(t *testing.T) {
	for name, f := range formats(t) {
		file := filepath.Join("testdata", "golden", name+".hex")
		got := hex.Dump(f.bytes)
		if *rewriteGolden {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is written as\n%swant\n%s", name, got, want)
		}
		again, err := f.again(f.bytes)
		if err != nil || !bytes.Equal(again, f.bytes) {
			t.Errorf("%s, read and written again, is\n%s, %v", name, hex.Dump(again), err)
		}
	}
}

func TestFieldsOfLaterBuildsSurvive(t *testing.T) {
	v := sampleVersion(t)
	later := putMessage(v.appendTo(nil, false), 100, "later")
	w, err := parseVersion(later)
	if err != nil || !bytes.Equal(w.appendTo(nil, false), later) {
		t.Errorf("version: %v", err)
	}
	file := putMessage((&fileAttrs{kind: RegularFile}).appendTo(nil), 100, "later")
	a, err := parseFileAttrs(file)
	if err != nil || !bytes.Equal(a.appendTo(nil), file) {
		t.Errorf("file attributes: %v", err)
	}
	set := putUint(DefaultSettings().appendTo(nil), 50, 1)
	s, err := parseSettings(set)
	if err != nil || !bytes.Equal(s.appendTo(nil), set) {
		t.Errorf("settings: %v", err)
	}
}

func TestHistoryKeysSortByKeyThenNewestFirst(t *testing.T) {
	var last []byte
	for _, k := range []struct {
		key string
		id  VersionID
	}{{"", sampleID}, {"a", sampleID}, {"a", sampleOlder}, {"a\x00", sampleID}, {"a\x00\x00b", sampleID}, {"a\x00\x01", sampleID}, {"a\x01", sampleID}, {"b", sampleID}, {"b", sampleOlder}} {
		b := historyKey(k.key, k.id)
		if bytes.Compare(last, b) >= 0 {
			t.Errorf("%q, %v does not follow", k.key, k.id)
		}
		key, id, err := parseHistoryKey(b)
		if err != nil || key != k.key || id != k.id {
			t.Errorf("%q, %v comes back as %q, %v, %v", k.key, k.id, key, id, err)
		}
		last = b
	}
}

func TestVersionIDsComeBackAsTheyWere(t *testing.T) {
	for _, v := range []VersionID{sampleID, sampleOlder} {
		got, err := ParseVersionID(v.String())
		if err != nil || got != v {
			t.Errorf("%v: %v, %v", v, got, err)
		}
	}
	for _, s := range []string{"x", "null", sampleID.String() + "A", "====", " "} {
		if v, err := ParseVersionID(s); err == nil {
			t.Errorf("%q is read as %v", s, v)
		}
	}
}

// FuzzDecoders feeds all decoders: none may panic, and what one accepts must be written as something it reads as the same.
func FuzzDecoders(f *testing.F) {
	all := formats(f)
	for _, x := range all {
		f.Add(x.bytes)
		f.Add(x.bytes[:len(x.bytes)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, x := range all {
			once, err := x.again(b)
			if err != nil {
				continue
			}
			twice, err := x.again(once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Errorf("%s: %x is written as %x, and that as %x, %v", name, b, once, twice, err)
			}
		}
	})
}
