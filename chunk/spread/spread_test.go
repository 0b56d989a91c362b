package spread

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// disk is one in memory, with the index of the device on it.
type disk struct {
	*vfs.Fault
	crash *vfs.Crash
	index *pack.MemoryIndex
}

// node is a segment's devices, on disks of their own, in memory.
type node struct {
	t     testing.TB
	opts  Options
	mu    sync.Mutex // for disks
	disks map[string]*disk
	*Store
}

var (
	owner  = pack.Owner{'o', 'w', 'n'}
	domain = chunktest.Domain(1)
)

const hour = time.Hour // in which nothing that waits is tried again

// newNode makes a segment with devices in the folders /0, /1 and so on.
func newNode(t testing.TB, devices int) *node { t.Helper(); return newNodeOf(t, owner, devices) }

func newNodeOf(t testing.TB, owner pack.Owner, devices int) *node {
	t.Helper()
	n := &node{t: t, disks: map[string]*disk{}}
	n.opts = Options{
		FS: vfs.NewCrash(), Dir: "/", First: folder(0), Owner: owner, Rate: -1, Patience: hour,
		Each: pack.Options{PackSize: 128 << 10, Reserve: 1, Recent: 64},
		Tune: func(o *pack.Options) {
			d := n.disk(o.Dir)
			o.FS, o.Index = d.Fault, d.index
		},
	}
	n.reopen()
	t.Cleanup(func() {
		if n.Store != nil {
			_ = n.Close()
		}
	})
	for i := 1; i < devices; i++ {
		n.add(i)
	}
	return n
}

func folder(i int) string { return fmt.Sprintf("/%d", i) }

// disk is the disk of a folder.
func (n *node) disk(dir string) *disk {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.disks[dir]
	if d == nil {
		d = &disk{crash: vfs.NewCrash(), index: pack.NewMemoryIndex()}
		d.Fault = vfs.NewFault(d.crash)
		n.disks[dir] = d
	}
	return d
}

func (n *node) add(i int) pack.ID {
	n.t.Helper()
	n.disk(folder(i))
	id, err := n.Add(context.Background(), folder(i))
	must(n.t, err)
	return id
}

// id is the device in a folder.
func (n *node) id(i int) pack.ID {
	n.t.Helper()
	return n.status(i).ID
}

func (n *node) status(i int) Status {
	n.t.Helper()
	for _, st := range n.Devices() {
		if st.Dir == folder(i) {
			return st
		}
	}
	n.t.Fatalf("no device in %s", folder(i))
	return Status{}
}

func (n *node) device(i int) *pack.Device {
	n.t.Helper()
	for _, m := range *n.members.Load() {
		if m.folder == folder(i) {
			return n.deviceOf(m)
		}
	}
	n.t.Fatalf("no device in %s", folder(i))
	return nil
}

// reopen closes and opens the store.
func (n *node) reopen() chunk.Opener {
	n.t.Helper()
	if n.Store != nil {
		must(n.t, n.Close())
	}
	s, err := Open(context.Background(), n.opts)
	must(n.t, err)
	n.Store = s
	return n
}

// drained drains a device and waits until it is.
func (n *node) drained(i int) {
	n.t.Helper()
	must(n.t, n.Drain(n.id(i)))
	n.awaitDrained(i)
}

func (n *node) awaitDrained(i int) {
	n.t.Helper()
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	must(n.t, n.Follow(ctx, n.id(i), func(st Status) bool { return st.State != Empty }))
}

func (n *node) put(class chunk.Class, chunks []chunk.Chunk) {
	n.t.Helper()
	must(n.t, n.Store.Open(domain, class).Put(context.Background(), chunks))
}

// spread puts chunks one by one, so that they come to lie on all devices.
func (n *node) spread(chunks []chunk.Chunk) {
	n.t.Helper()
	for _, c := range chunks {
		n.put(chunk.Data, []chunk.Chunk{c})
	}
}

func (n *node) get(chunks []chunk.Chunk) ([]chunk.ID, error) {
	var got []chunk.ID
	err := n.Store.Open(domain, chunk.Data).Get(context.Background(), chunktest.IDs(chunks), func(c chunk.Chunk) error {
		got = append(got, c.ID())
		return nil
	})
	return got, err
}

func (n *node) wantAll(chunks []chunk.Chunk) {
	n.t.Helper()
	if got, err := n.get(chunks); err != nil || len(got) != len(chunks) {
		n.t.Errorf("%d of %d chunks are read, %v", len(got), len(chunks), err)
	}
}

func (n *node) missing(chunks []chunk.Chunk) []chunk.ID {
	n.t.Helper()
	missing, err := n.Store.Open(domain, chunk.Data).Missing(context.Background(), chunktest.IDs(chunks))
	must(n.t, err)
	return missing
}

// goesTo is a chunk that is put on the device in a folder.
func (n *node) goesTo(i int) chunk.Chunk {
	n.t.Helper()
	var devices []candidate
	want := -1
	for at, m := range *n.members.Load() {
		devices = append(devices, m.candidate(n.deviceOf(m)))
		if m.folder == folder(i) {
			want = at
		}
	}
	for seed := uint64(1000); ; seed++ {
		if c := chunktest.Chunks(domain, seed, 1, 3000)[0]; order(devices, chunk.Data, c.ID())[0] == want {
			return c
		}
	}
}

func (n *node) deviceOf(m *member) *pack.Device {
	n.t.Helper()
	d, err := m.state()
	must(n.t, err)
	return d
}

// on are those of chunks that the device in a folder holds.
func (n *node) on(i int, chunks []chunk.Chunk) []chunk.Chunk {
	n.t.Helper()
	missing, err := n.device(i).Open(domain, chunk.Cache).Missing(context.Background(), chunktest.IDs(chunks))
	must(n.t, err)
	return slices.DeleteFunc(slices.Clone(chunks), func(c chunk.Chunk) bool { return slices.Contains(missing, c.ID()) })
}

func (n *node) harness() chunktest.Harness {
	return chunktest.Harness{Opener: n, Reopen: n.reopen, Damage: n.damage, Down: n.down}
}

// damage flips a bit of every copy, wherever it lies in the packs.
func (n *node) damage(d chunk.Domain, id chunk.ID) {
	n.t.Helper()
	for _, m := range *n.members.Load() {
		n.damageOn(m, d, id)
	}
}

// damageOn flips a bit of one device's copy, if it has one.
func (n *node) damageOn(m *member, d chunk.Domain, id chunk.ID) {
	n.t.Helper()
	at := n.where(n.deviceOf(m), d, id)
	if at.Class == 0 {
		return
	}
	f, err := n.disk(m.folder).crash.Open(packOf(m.folder, at), vfs.Write)
	must(n.t, err)
	b := make([]byte, 1)
	off := at.Offset + 80 + int64(at.Length)/2
	_, err = f.ReadAt(b, off)
	must(n.t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, off)
	must(n.t, err)
	must(n.t, f.Sync())
}

// where is where a chunk lies on a device; zero for nowhere.
func (n *node) where(from *pack.Device, d chunk.Domain, id chunk.ID) (at pack.Entry) {
	n.t.Helper()
	must(n.t, from.Entries(context.Background(), func(k pack.Key, e pack.Entry) error {
		if k == (pack.Key{Tag: pack.TagOf(d), ID: id}) {
			at = e
		}
		return nil
	}))
	return at
}

// packOf is the file that an entry leads to.
func packOf(dir string, at pack.Entry) string {
	return path.Join(dir, "packs", fmt.Sprintf("%016x.pack", at.Generation))
}

// down makes reads of packs fail.
func (n *node) down() (restore func()) {
	for _, d := range n.disks {
		d.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpRead && path.Ext(op.Name) == ".pack" {
				return errors.New("no answer")
			}
			return nil
		})
	}
	return func() {
		for _, d := range n.disks {
			d.Inject(nil)
		}
	}
}

func TestContract(t *testing.T) {
	for _, devices := range []int{1, 3} {
		if devices == 1 && testing.Short() {
			continue // it is the device's
		}
		t.Run(fmt.Sprint(devices), func(t *testing.T) {
			chunktest.Run(t, func(t *testing.T) chunktest.Harness { return newNode(t, devices).harness() })
		})
	}
}

// TestContractWhileADeviceIsDrained runs it with a device that takes nothing more, and holds what it has.
func TestContractWhileADeviceIsDrained(t *testing.T) {
	if testing.Short() {
		t.Skip("the lives of the model are drained, too")
	}
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		n := newNode(t, 3)
		must(t, n.Drain(n.id(1)))
		return n.harness()
	})
}
