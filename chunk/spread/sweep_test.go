package spread

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

func keepNone(chunk.ID) bool { return false }

func TestACollectionGoesThroughAllDevices(t *testing.T) {
	n := newNode(t, 3)
	garbage, kept := chunktest.Chunks(domain, 1, 40, 3000), chunktest.Chunks(domain, 2, 40, 3000)
	n.spread(append(slices.Clone(garbage), kept...))
	keep := func(id chunk.ID) bool { return slices.Contains(chunktest.IDs(kept), id) }
	c, err := n.Condemn(t.Context(), []chunk.Domain{domain}, keep)
	must(t, err)
	defer c.End()
	if got := c.Condemned().Chunks; got != int64(len(garbage)) {
		t.Errorf("%d of %d are condemned", got, len(garbage))
	}
	again := garbage[:5]
	n.wantAll(garbage) // as long as it is there
	if missing := n.missing(garbage); len(missing) != len(garbage) {
		t.Errorf("%d of %d are absent", len(missing), len(garbage))
	}
	n.spread(again)
	gone, err := c.Expunge(t.Context(), keep)
	must(t, err)
	if gone.Chunks != int64(len(garbage)-len(again)) && gone.Chunks != int64(len(garbage)) { // those put again replaced theirs, or lie on another device
		t.Errorf("%d chunks are gone", gone.Chunks)
	}
	var told chunk.Compacted
	freed, err := c.Compact(t.Context(), chunk.Compaction{Dead: 1, Done: func(n chunk.Compacted) { told = n }})
	must(t, err)
	if freed.Files == 0 || told.Files != freed.Files {
		t.Errorf("compacted %+v, told %+v", freed, told)
	}
	n.wantAll(append(kept, again...))
	if _, err := n.get(garbage[5:]); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("get of garbage: %v", err)
	}
}

func TestADeviceThatFailedIsNotCollected(t *testing.T) {
	n := newNode(t, 2)
	n.spread(chunktest.Chunks(domain, 1, 40, 3000))
	n.disk(folder(1)).Fail(syscall.EIO, vfs.OpSync)
	n.spread(chunktest.Chunks(domain, 2, 40, 3000))
	c, err := n.Condemn(t.Context(), []chunk.Domain{domain}, keepNone)
	must(t, err)
	defer c.End()
	if _, err := c.Expunge(t.Context(), keepNone); err != nil {
		t.Errorf("expunge: %v", err)
	}
	if n.status(0).Stats.Chunks[chunk.Data].Chunks != 0 || n.status(1).Stats.Chunks[chunk.Data].Chunks == 0 {
		t.Errorf("left are %+v", n.Devices())
	}
}

// TestADrainDoesNotRelyOnWhatIsCondemned has a copy on a device that is collected, and one on a device that was not there when that began.
func TestADrainDoesNotRelyOnWhatIsCondemned(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 20, 3000)
	for i := range 2 {
		must(t, n.device(i).Open(domain, chunk.Data).Put(t.Context(), chunks))
	}
	c, err := n.device(0).Condemn(t.Context(), []chunk.Domain{domain}, keepNone)
	must(t, err)
	defer c.End()
	n.drained(1)
	_, err = c.Expunge(t.Context(), keepNone)
	must(t, err)
	must(t, n.Remove(t.Context(), n.id(1), false))
	n.wantAll(chunks)
}

// TestWhatALaterBuildStoredIsNeverAbsent has a chunk on one of two devices in a form that this build does not know.
func TestWhatALaterBuildStoredIsNeverAbsent(t *testing.T) {
	n := newNode(t, 2)
	c := chunktest.Chunks(domain, 1, 1, 3000)
	later := pack.Stored{Key: pack.Key{Tag: pack.TagOf(domain), ID: c[0].ID()}, Class: chunk.Data, Codec: 2, Size: 3000, Payload: []byte("not known")}
	must(t, n.device(1).Keep(t.Context(), chunk.Data, []pack.Stored{later}))
	for range 2 {
		if _, err := n.get(c); !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if st := n.status(1); st.Unreadable != 0 || st.Stats.Corrupt != 0 {
			t.Errorf("the disk is blamed for it: %+v", st)
		}
		n.reopen()
	}
	n.drained(1)
	must(t, n.Remove(t.Context(), n.id(1), false))
	if _, err := n.get(c); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get after a drain: %v", err)
	}
	n.spread(c)
	n.wantAll(c)
}
