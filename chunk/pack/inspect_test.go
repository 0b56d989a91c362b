package pack

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// inspect looks at a device that is closed.
func inspect(t testing.TB, o Options, data bool) (*Inspection, []finding.Finding) {
	t.Helper()
	var found []finding.Finding
	n, err := Inspect(context.Background(), InspectOptions{FS: o.FS, Dir: o.Dir, Index: o.Index, Data: data, Domains: []chunk.Domain{crashDomain}}, func(f finding.Finding) {
		found = append(found, f)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n, found
}

func damage(found []finding.Finding) (kinds []string) {
	for _, f := range found {
		if f.Grade == finding.Damage {
			kinds = append(kinds, f.Kind)
		}
	}
	return kinds
}

// closed is a device with packs that are sealed, and one that is not.
func closed(t *testing.T, o Options) (Options, []chunk.Chunk) {
	s := open(t, o)
	var all []chunk.Chunk
	for seed := range uint64(3) {
		durable, _ := s.fill(1 + seed)
		all = append(all, durable...)
	}
	must(t, s.Close())
	return s.opts, all
}

func TestALookFindsASoundDeviceSoundAndReadsAll(t *testing.T) {
	for name, o := range map[string]Options{"memory": inMemory(), "badger": onDisk(t)} {
		opts, all := closed(t, o)
		for _, data := range []bool{false, true} {
			n, found := inspect(t, opts, data)
			if len(found) > 0 {
				t.Errorf("%s: %v", name, found)
			}
			got := map[chunk.ID]bool{}
			must(t, n.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(all), func(c chunk.Chunk) error { got[c.ID()] = true; return nil }))
			for _, c := range all {
				if !got[c.ID()] {
					t.Fatalf("%s: chunk %v is not read", name, c.ID())
				}
			}
			if lost, _ := n.Unreached(); lost > 0 {
				t.Errorf("%s: the index lacks %d", name, lost)
			}
		}
	}
}

// TestALookAtADeviceWritesNothing looks at one whose process was killed, as it is then.
func TestALookAtADeviceWritesNothing(t *testing.T) {
	s := open(t, inMemory())
	s.fill(1)
	must(t, s.Close())
	fs := s.opts.FS.(*vfs.Crash)
	ops := fs.Ops()
	inspect(t, s.opts, true)
	if fs.Ops() != ops {
		t.Errorf("%d operations that write", fs.Ops()-ops)
	}
}

// TestALookFindsEachFlippedBit flips a bit in each byte of heads, seals and footers, and in some of what records hold.
func TestALookFindsEachFlippedBit(t *testing.T) {
	opts, _ := closed(t, inMemory())
	rng := rand.New(rand.NewPCG(1, 2))
	names, err := opts.FS.ReadDir(packFolder(opts.Dir))
	must(t, err)
	flips := 0
	for _, name := range names {
		g, ok := generationOf(name, packSuffix)
		if !ok {
			continue
		}
		full := packName(opts.Dir, g)
		j, err := judge(t.Context(), opts.FS, idOf(t, opts), full, g)
		must(t, err)
		if !j.sealed {
			continue
		}
		at := func(off int64, want string) {
			flips++
			flip(t, opts.FS, full, off)
			_, found := inspect(t, opts, true)
			if !slices.ContainsFunc(found, func(f finding.Finding) bool {
				return f.Kind == want && f.File == full && f.Grade == finding.Damage
			}) {
				t.Errorf("bit at %d of %s: want %s, found %v", off, name, want, found)
			}
			flip(t, opts.FS, full, off)
		}
		for off := range int64(infoSize) {
			at(off, "pack.header")
		}
		for off := range int64(infoSize) {
			at(sealStart+off, "pack.seal")
		}
		for range 20 {
			at(j.seal.footer+rng.Int64N(j.seal.size()), "pack.footer")
			r := j.records[rng.IntN(len(j.records))]
			at(r.offset+rng.Int64N(r.end()-r.offset), "pack.record")
		}
		break
	}
	if flips < 100 {
		t.Errorf("only %d bits were flipped", flips)
	}
	for off := range int64(infoSize) {
		flip(t, opts.FS, path.Join(opts.Dir, formatFile), off)
		_, found := inspect(t, opts, false)
		if kinds := damage(found); !slices.Contains(kinds, "device.format") {
			t.Errorf("bit at %d of the format file: %v", off, found)
		}
		flip(t, opts.FS, path.Join(opts.Dir, formatFile), off)
	}
}

func idOf(t *testing.T, o Options) ID {
	i, err := Look(o.FS, o.Dir)
	must(t, err)
	return i.Device
}

func TestALookFindsFilesThatAreGoneCutOrSwapped(t *testing.T) {
	for what, tc := range map[string]struct {
		spoil func(o Options, a, b string)
		want  string
	}{
		"gone":    {func(o Options, a, _ string) { must(t, o.FS.Remove(a)) }, "index.entry"},
		"cut":     {func(o Options, a, _ string) { resize(t, o.FS, a, -9000) }, "pack.seal"},
		"longer":  {func(o Options, a, _ string) { resize(t, o.FS, a, 1000) }, "pack.tail"},
		"renamed": {func(o Options, a, b string) { must(t, o.FS.Rename(a, b)) }, "pack.foreign"},
		"no format": {func(o Options, a, b string) {
			must(t, o.FS.Remove(path.Join(o.Dir, formatFile)))
		}, "device.format"},
	} {
		opts, _ := closed(t, inMemory())
		tc.spoil(opts, packName(opts.Dir, 1), packName(opts.Dir, 2))
		_, found := inspect(t, opts, false)
		if kinds := damage(found); !slices.Contains(kinds, tc.want) {
			t.Errorf("%s: %v", what, found)
		}
	}
}

func resize(t *testing.T, sys vfs.FS, name string, by int64) {
	f, err := sys.Open(name, vfs.Write)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	must(t, f.Truncate(size+by))
	must(t, errors.Join(f.Sync(), f.Close()))
}

// TestALookFindsWhatTheIndexLacks takes entries out of the index that chunks are found by.
func TestALookFindsWhatTheIndexLacks(t *testing.T) {
	opts, all := closed(t, inMemory())
	key := Key{TagOf(crashDomain), all[0].ID()}
	must(t, opts.Index.Apply(nil, []Key{key}))
	n, _ := inspect(t, opts, false)
	_, err := n.Open(crashDomain, chunk.Data).Missing(t.Context(), []chunk.ID{all[0].ID()})
	must(t, err)
	if lost, _ := n.Unreached(); lost != 1 {
		t.Errorf("%d are lost", lost)
	}
}

// TestALookAfterAnyCrashFindsNoDamage cuts the power at each operation of a workload.
func TestALookAfterAnyCrashFindsNoDamage(t *testing.T) {
	const rounds = 12
	fs, x := vfs.NewCrash(), NewMemoryIndex()
	must(t, newStory().work(fs, x, rounds))
	for n := 0; n < fs.Ops(); n += 1 + fs.Ops()/150 {
		rng := rand.New(rand.NewPCG(uint64(n), 3))
		cut, x := vfs.NewCrash(), NewMemoryIndex()
		cut.CutAfter(n)
		if err := newStory().work(cut, x, rounds); err != nil && !errors.Is(err, vfs.ErrCut) {
			t.Fatal(err)
		}
		after := cut.Crash(rng)
		o := crashOptions(after, crashIndex(x, rng))
		if _, err := Look(after, o.Dir); err != nil {
			continue // the device was not made yet
		}
		if _, found := inspect(t, o, true); len(damage(found)) > 0 {
			t.Fatalf("after a crash at operation %d: %v", n, found)
		}
	}
}

// FuzzInspect looks at a device one of whose packs is anything at all.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("EDGEPACK"), uint32(0))
	f.Add([]byte(strings.Repeat("EPR1", 40)), uint32(dataStart))
	f.Add(make([]byte, infoSize), uint32(sealStart))
	f.Fuzz(func(t *testing.T, data []byte, at uint32) {
		o := inMemory()
		goldenFiles(t, o, true)
		file, err := o.FS.Open(packName(o.Dir, 9), vfs.Write)
		if err != nil {
			t.Skip()
		}
		_, err = file.WriteAt(data, int64(at%(1<<20)))
		must(t, err)
		o.Index = nil
		n, err := Inspect(t.Context(), InspectOptions{FS: o.FS, Dir: o.Dir, Data: true, Index: NewMemoryIndex()}, func(finding.Finding) {})
		if err == nil {
			must(t, n.Close())
		}
	})
}

// mendAll makes the repairs that findings name.
func mendAll(t *testing.T, found []finding.Finding) (n int) {
	t.Helper()
	for _, f := range found {
		if f.Mend != nil {
			must(t, f.Mend())
			n++
		}
	}
	return n
}

// TestWhatIsRepairedServesAll damages what tells of packs, again and again, repairs it, and opens the device.
func TestWhatIsRepairedServesAll(t *testing.T) {
	opts, all := closed(t, inMemory())
	rng := rand.New(rand.NewPCG(7, 8))
	names, err := opts.FS.ReadDir(packFolder(opts.Dir))
	must(t, err)
	mended := 0
	for round := range 60 {
		name := path.Join(packFolder(opts.Dir), names[rng.IntN(len(names))])
		g, ok := generationOf(name, packSuffix)
		if !ok {
			continue
		}
		j, err := judge(t.Context(), opts.FS, idOf(t, opts), name, g)
		must(t, err)
		switch kind := rng.IntN(6); {
		case kind == 0:
			flip(t, opts.FS, name, rng.Int64N(infoSize))
		case kind == 1 && j.sealed:
			flip(t, opts.FS, name, sealStart+rng.Int64N(infoSize))
		case kind == 2 && j.sealed:
			flip(t, opts.FS, name, j.seal.footer+rng.Int64N(j.seal.size()))
		case kind == 3 && j.sealed:
			resize(t, opts.FS, name, 1+rng.Int64N(10_000))
		case kind == 4 && j.sealed:
			resize(t, opts.FS, name, -1-rng.Int64N(j.size-j.records[len(j.records)-1].end()))
		case kind == 5:
			must(t, opts.Index.Apply(nil, []Key{{TagOf(crashDomain), all[rng.IntN(len(all))].ID()}}))
		}
		if rng.IntN(10) == 0 {
			flip(t, opts.FS, path.Join(opts.Dir, formatFile), rng.Int64N(infoSize))
		}
		n, found := inspect(t, opts, true)
		_, err = n.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(all))
		must(t, err)
		n.tell = func(f finding.Finding) { found = append(found, f) }
		n.Unreached()
		mended += mendAll(t, found)
		if _, found := inspect(t, opts, true); len(damage(found)) > 0 {
			t.Fatalf("round %d: after the repair: %v", round, found)
		}
		s := open(t, opts)
		s.wantHeld(chunk.Data, all)
		must(t, s.Close())
	}
	if mended < 20 {
		t.Errorf("only %d repairs", mended)
	}
}
