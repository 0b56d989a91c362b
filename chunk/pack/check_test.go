package pack

import (
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/finding"
)

// checked is what a check of a device that is open tells.
func checked(t *testing.T, d *Device) (found []finding.Finding) {
	t.Helper()
	must(t, d.Check(t.Context(), func(f finding.Finding) { found = append(found, f) }, nil))
	return found
}

func TestACheckOfAnOpenDevice(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	s.reopen() // so that packs are sealed
	if found := checked(t, s.Device); len(found) > 0 {
		t.Fatal(found)
	}
	at := s.where(crashDomain, durable[0].ID())
	name := packName(s.opts.Dir, at.Generation)
	j, err := judge(t.Context(), s.opts.FS, s.id, name, at.Generation)
	must(t, err)
	if !j.sealed {
		t.Fatal("the pack is not sealed")
	}
	flip(t, s.opts.FS, name, j.seal.footer+100)
	if found := checked(t, s.Device); len(found) != 1 || found[0].Kind != "pack.footer" || found[0].Mend != nil || found[0].Repair != "" {
		t.Errorf("a footer: %v", found)
	}
	flip(t, s.opts.FS, name, j.seal.footer+100)
	lost := Key{TagOf(crashDomain), durable[0].ID()}
	at.Offset += recordAlign
	must(t, s.index.Apply([]Pair{{lost, at}}, nil))
	if found := checked(t, s.Device); len(found) != 1 || found[0].Kind != "index.entry" || found[0].Offset != at.Offset {
		t.Errorf("an entry: %v", found)
	}
	must(t, s.opts.FS.Remove(name))
	if found := checked(t, s.Device); !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Kind == "pack.gone" && f.File == name }) {
		t.Errorf("a pack: %v", found)
	}
}

// TestACheckWhileChunksComeAndGo finds nothing wrong, whatever moves meanwhile.
func TestACheckWhileChunksComeAndGo(t *testing.T) {
	s := open(t, inMemory())
	store := s.Device.Open(crashDomain, chunk.Data)
	var writing sync.WaitGroup
	writing.Go(func() {
		for round := range uint64(6) {
			chunks := chunktest.Chunks(crashDomain, round, 60, 3000)
			if err := store.Put(t.Context(), chunks); err != nil {
				t.Error(err)
			}
			keep := map[chunk.ID]bool{}
			for i, c := range chunks {
				keep[c.ID()] = i%3 == 0
			}
			sweep, err := s.Device.Condemn(t.Context(), []chunk.Domain{crashDomain}, func(id chunk.ID) bool { return keep[id] })
			if err != nil {
				t.Error(err)
				return
			}
			_, err = sweep.Expunge(t.Context(), func(id chunk.ID) bool { return keep[id] })
			if err == nil {
				_, err = sweep.Compact(t.Context(), chunk.Compaction{Dead: 10})
			}
			if err != nil {
				t.Error(err)
			}
			sweep.End()
		}
	})
	for range 20 {
		if found := checked(t, s.Device); len(found) > 0 {
			t.Error(found)
		}
	}
	writing.Wait()
	if found := checked(t, s.Device); len(found) > 0 {
		t.Error(found)
	}
}
