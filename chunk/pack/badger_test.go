package pack

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
)

// TestDamagedIndexLosesNoChunk flips bytes of the index' files, anywhere: at the latest after one more start everything is read again.
func TestDamagedIndexLosesNoChunk(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 6
	}
	opts := onDisk(t)
	opts.PackSize = 64 << 10 // sealed packs, whose records only the index leads to
	chunks := chunktest.Chunks(crashDomain, 1, 3000, 300)
	s := open(t, opts)
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
	must(t, s.Close())
	whole := filepath.Join(t.TempDir(), "whole")
	must(t, os.CopyFS(whole, os.DirFS(opts.Dir)))
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		dir := filepath.Join(t.TempDir(), "device")
		must(t, os.CopyFS(dir, os.DirFS(whole)))
		files, err := filepath.Glob(filepath.Join(dir, indexDir, "*"))
		must(t, err)
		for range 1 + rng.IntN(6) {
			damageFile(t, rng, files[rng.IntN(len(files))])
		}
		opts := opts
		opts.Dir = dir
		for start := 1; ; start++ {
			d, err := Open(t.Context(), opts)
			if err != nil {
				t.Fatalf("seed %d, start %d: %v", seed, start, err)
			}
			<-d.learnt // so that what is absent would be known
			err = d.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil })
			must(t, d.Close())
			if err == nil {
				break
			}
			if start == 3 {
				t.Fatalf("seed %d: after %d starts: %v", seed, start, err)
			}
		}
	}
}

// TestNoDamageOfATableEndsTheProcess damages the end of a table, which Badger reads in goroutines of its own, in every byte, and cuts it.
func TestNoDamageOfATableEndsTheProcess(t *testing.T) {
	opts := onDisk(t)
	opts.PackSize = 64 << 10
	chunks := chunktest.Chunks(crashDomain, 1, 200, 300)
	s := open(t, opts)
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
	must(t, s.Close())
	tables, err := filepath.Glob(filepath.Join(opts.Dir, indexDir, "*.sst"))
	must(t, err)
	if len(tables) == 0 {
		t.Fatal("there is no table")
	}
	whole, err := os.ReadFile(tables[0])
	must(t, err)
	must(t, soundTable(tables[0]))
	for at := max(0, len(whole)-600); at < len(whole); at++ {
		b := slices.Clone(whole)
		b[at] ^= 0x40
		must(t, os.WriteFile(tables[0], b, 0o600))
		if soundTable(tables[0]) == nil {
			t.Errorf("byte %d of %d is damaged, and the table looks sound", at, len(whole))
		}
	}
	for _, size := range []int{0, 3, 100, -2, -1} { // or half of it, and all but a byte
		switch size {
		case -2:
			size = len(whole) / 2
		case -1:
			size = len(whole) - 1
		}
		must(t, os.WriteFile(tables[0], whole[:size], 0o600))
		s.reopened(t, chunks)
		tables, err = filepath.Glob(filepath.Join(opts.Dir, indexDir, "*.sst"))
		must(t, err)
		whole, err = os.ReadFile(tables[0])
		must(t, err)
	}
}

func (s *site) reopened(t *testing.T, chunks []chunk.Chunk) {
	t.Helper()
	s.Device = nil
	s.reopen()
	s.wantHeld(chunk.Data, chunks)
	must(t, s.Close())
}

// TestADamagedIndexEntryIsNoticed: another name in place of a chunk's would be an index that is whole to look at, and does not have the chunk.
// No start would look for it either, for its pack is sealed, and the index is said to hold all of that.
func TestADamagedIndexEntryIsNoticed(t *testing.T) {
	opts := onDisk(t)
	opts.PackSize = 64 << 10
	chunks := chunktest.Chunks(crashDomain, 1, 1000, 300)
	s := open(t, opts)
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
	must(t, s.Close())
	damaged := 0
	tables, err := filepath.Glob(filepath.Join(opts.Dir, indexDir, "*.sst"))
	must(t, err)
	for _, table := range tables {
		b, err := os.ReadFile(table)
		must(t, err)
		id := chunks[0].ID() // of the first pack; what a key has in common with the one before is not written again
		at := bytes.Index(b, id[len(id)/2:])
		if at < 0 {
			continue
		}
		b[at] ^= 1
		must(t, os.WriteFile(table, b, 0o600))
		damaged++
	}
	if damaged == 0 {
		t.Fatalf("the entry is in none of %d tables", len(tables))
	}
	for start := 1; ; start++ {
		d, err := Open(t.Context(), opts)
		must(t, err)
		<-d.learnt
		err = d.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil })
		must(t, d.Close())
		if err == nil {
			return
		}
		if start == 2 {
			t.Fatalf("after %d starts: %v", start, err)
		}
	}
}

// damageFile flips some bytes at one place.
func damageFile(t *testing.T, rng *rand.Rand, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	b = bytes.TrimRight(b, "\x00") // what is mapped and not used is no file to damage
	if len(b) == 0 {
		return
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	at := rng.IntN(len(b))
	for i := at; i < min(at+1+rng.IntN(4), len(b)); i++ {
		_, err = f.WriteAt([]byte{b[i] ^ byte(1+rng.IntN(255))}, int64(i))
		must(t, err)
	}
}

// What Badger thinks of its caches is no warning to who operates a segment; what else it warns of is.
func TestBadgersCachesAreNoWarning(t *testing.T) {
	var said strings.Builder
	l := badgerLog{slog.New(slog.NewTextHandler(&said, nil))}
	l.Warningf("%s might be too small. Metrics: %s\n", "Block cache", "hit: 1")
	l.Warningf("Cache life expectancy (in seconds): %+v\n", 2)
	if said.Len() > 0 {
		t.Errorf("said %s", said.String())
	}
	l.Warningf("a table is damaged: %d", 7)
	if !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("said %q", said.String())
	}
}
