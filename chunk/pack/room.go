package pack

import (
	"fmt"
	"path"

	"github.com/edgefs/edgefs/chunk"
)

// Badger writes its files through memory maps: on a full disk that kills the process by SIGBUS, where write(2) would give an error. So the index
// is only touched while there is room for what it may do at once: a memtable's log and its flush, and a compaction, which grows with the index.
const (
	indexRoom     = 48 << 20
	indexRoomMost = 240 << 20
	indexPerChunk = 160 // bytes: twice what an entry takes
)

// indexNeeds is the room that the index may need at once, in bytes.
func (d *Device) indexNeeds() int64 {
	if d.opts.Index != nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	chunks := int64(0)
	for _, n := range d.stats.Chunks {
		chunks += n.Chunks
	}
	return min(indexRoom+chunks*indexPerChunk, indexRoomMost)
}

// indexHasRoom says, as chunk.ErrFull, that the index must not be touched now.
func (d *Device) indexHasRoom() error {
	needs := d.indexNeeds()
	if needs == 0 {
		return nil
	}
	free, err := d.opts.FS.Free(path.Dir(d.indexDir()))
	if err != nil {
		return err
	}
	if free < needs {
		return fmt.Errorf("%w: the index needs %d MiB, %d MiB are free", chunk.ErrFull, needs>>20, free>>20)
	}
	return nil
}

// reserve is what must stay free on the device's disk, in bytes.
func (d *Device) reserve() int64 {
	if d.opts.IndexDir != "" {
		return d.opts.Reserve
	}
	return max(d.opts.Reserve, d.indexNeeds())
}

// Room is what the device's disk may still take before it counts as full, in bytes.
func (d *Device) Room() (int64, error) {
	free := make(chan int64, 1)
	err := d.patiently(func() error {
		n, err := d.opts.FS.Free(d.opts.Dir)
		free <- n
		return err
	}, func() {})
	if err != nil {
		return 0, err
	}
	return max(<-free-d.reserve(), 0), nil
}
