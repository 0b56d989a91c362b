package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/vfs"
)

// rotting is a segment on a device that can be damaged, with another place that has all that it was given.
type rotting struct {
	*Segment
	t       testing.TB
	fs      *vfs.Crash
	index   *pack.MemoryIndex
	devices *spread.Store
	peer    *memory.Device // nil: nobody answers

	mu    sync.Mutex
	asked []Reading
}

func newRotting(t testing.TB) *rotting {
	r := &rotting{t: t, fs: vfs.NewCrash(), index: pack.NewMemoryIndex()}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rotting) open() {
	r.t.Helper()
	var err error
	r.devices, err = spread.Open(context.Background(), spread.Options{
		FS: r.fs, Dir: "/devices", First: "/device", Each: pack.Options{FS: r.fs, PackSize: 256 << 10, Reserve: 1, Index: r.index},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Segment, err = Open(context.Background(), Config{
		FS: r.fs, Dir: "/segment", ID: 1, Name: "a", Secret: [32]byte{7}, Chunks: stage.New(r.devices), Scrubber: r.devices, Repair: r.repair, sealsWait: true,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rotting) close() {
	_ = r.Segment.Close(context.Background())
	_ = r.devices.Close()
}

// repair is Config.Repair, from the peer.
func (r *rotting) repair(ctx context.Context, d chunk.Domain, at Reading, ids []chunk.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, at)
	if r.peer == nil {
		return ErrNobody
	}
	var got []chunk.Chunk
	err := r.peer.Open(d, chunk.Data).Get(ctx, ids, func(c chunk.Chunk) error { got = append(got, c.Clone()); return nil })
	return errors.Join(err, r.devices.Open(d, chunk.Data).Put(ctx, got))
}

// here are the chunks on the device, of a class.
func (r *rotting) here(class chunk.Class) (ids []chunk.ID) {
	r.t.Helper()
	err := r.index.All(func(k pack.Key, e pack.Entry) error {
		if e.Class == class {
			ids = append(ids, k.ID)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return ids
}

// teach has the peer hold all that is here.
func (r *rotting) teach() {
	r.t.Helper()
	r.peer = memory.New()
	d := r.Domain()
	ids := slices.Concat(r.here(chunk.Data), r.here(chunk.Meta))
	err := r.devices.Open(d, chunk.Data).Get(context.Background(), ids, func(c chunk.Chunk) error {
		return r.peer.Open(d, chunk.Data).Put(context.Background(), []chunk.Chunk{c.Clone()})
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// damage flips a bit of a chunk on the disk.
func (r *rotting) damage(id chunk.ID) {
	r.t.Helper()
	var at pack.Entry
	err := r.index.Lookup([]pack.Key{{Tag: pack.TagOf(r.Domain()), ID: id}}, func(_ int, e pack.Entry) { at = e })
	if err != nil || at.Class == 0 {
		r.t.Fatalf("chunk %v is not here, %v", id, err)
	}
	f, err := r.fs.Open(fmt.Sprintf("/device/packs/%016x.pack", at.Generation), vfs.Write)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	off := at.Offset + 80 + int64(at.Length)/2
	if _, err := f.ReadAt(b, off); err != nil {
		r.t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, off); err != nil {
		r.t.Fatal(err)
	}
}

// scrubbed scrubs, and waits until that is over and what it found was looked after.
func (r *rotting) scrubbed() ScrubStatus {
	r.t.Helper()
	if err := r.StartScrub(context.Background(), 0); err != nil {
		r.t.Fatal(err)
	}
	return r.awaitScrub(func(st ScrubStatus) bool { return st.idle && !st.Running })
}

func (r *rotting) awaitScrub(is func(ScrubStatus) bool) ScrubStatus {
	r.t.Helper()
	limit := time.After(time.Minute)
	for {
		st, changed := r.ScrubStatus()
		if is(st) {
			return st
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond): // that a pass begins is told with its first file
		case <-limit:
			r.t.Fatalf("%+v", st)
		}
	}
}

func (r *rotting) put(b *Bucket, key string, content []byte) {
	r.t.Helper()
	if _, err := b.Put(context.Background(), key, Attrs{}, Cond{}, bytes.NewReader(content)); err != nil {
		r.t.Fatal(err)
	}
}

// some makes a bucket with objects whose content, and nodes, are on the device.
func (r *rotting) some() (b *Bucket, content map[string][]byte) {
	r.t.Helper()
	b, err := r.CreateBucket(context.Background(), "photos", BucketOptions{Cutter: mustParams(r.t, "fixed:16KiB")})
	if err != nil {
		r.t.Fatal(err)
	}
	content = map[string][]byte{}
	for i := range 12 {
		key := fmt.Sprint("k", i)
		content[key] = blob(i)
		r.put(b, key, content[key])
	}
	if _, err := b.Fold(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.close()
	r.open() // the device's index has all
	if b, err = r.Bucket("photos"); err != nil {
		r.t.Fatal(err)
	}
	return b, content
}

// pieces are the chunks of an object, its payload and its manifest's nodes.
func (r *rotting) pieces(b *Bucket, key string) (payload, nodes []chunk.ID) {
	r.t.Helper()
	o, err := b.Open(context.Background(), key, VersionRef{})
	if err != nil {
		r.t.Fatal(err)
	}
	for p, err := range o.Pieces(context.Background()) {
		if err != nil {
			r.t.Fatal(err)
		}
		if p.Level > 0 {
			nodes = append(nodes, p.ID)
		} else {
			payload = append(payload, p.ID)
		}
	}
	return payload, nodes
}

func (r *rotting) wantAll(b *Bucket, content map[string][]byte) {
	r.t.Helper()
	for key, want := range content {
		if got, err := read(b, key); err != nil || !bytes.Equal(got, want) {
			r.t.Errorf("%q: %d bytes, want %d, %v", key, len(got), len(want), err)
		}
	}
}

func TestAScrubRepairsFromAnotherSegment(t *testing.T) {
	r := newRotting(t)
	b, content := r.some()
	r.teach()
	payload, nodes := r.pieces(b, "k3")
	if len(nodes) == 0 {
		t.Fatal("no nodes")
	}
	more, _ := r.pieces(b, "k6")
	hurt := []chunk.ID{payload[0], payload[7], nodes[0], more[2]}
	for _, id := range hurt {
		r.damage(id)
	}
	st := r.scrubbed()
	if d := st.Devices[0]; d.Damaged == 0 || // readers find some first
		d.Lost != 0 || d.Ended.IsZero() {
		t.Errorf("%+v", d)
	}
	if n := st.Repairs; n.Repaired != int64(len(hurt)) || n.Chunks != 0 || len(n.Lost) != 0 || n.Failed != "" {
		t.Errorf("%+v", n)
	}
	missing, err := r.devices.Open(r.Domain(), chunk.Data).Missing(t.Context(), hurt)
	if err != nil || len(missing) > 0 {
		t.Errorf("%d are not durable here, %v", len(missing), err)
	}
	r.wantAll(b, content)
}

// TestAScrubNamesWhatIsLost has nobody to ask.
func TestAScrubNamesWhatIsLost(t *testing.T) {
	r := newRotting(t)
	b, content := r.some()
	kept, _ := r.pieces(b, "k6")
	r.damage(kept[2])
	gone, _ := r.pieces(b, "k7")
	if _, err := b.Delete(t.Context(), "k7", Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.foldEach(t.Context()), r.renewStates(t.Context())); err != nil { // no start begins from what was deleted
		t.Fatal(err)
	}
	r.damage(gone[0])
	st := r.scrubbed()
	v, err := b.Stat(t.Context(), "k6", VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	want := []LostChunk{{Chunk: kept[2], Bucket: "photos", Key: "k6", Version: v.Ref(), Why: ErrNobody.Error()}}
	if n := st.Repairs; n.Chunks != 1 || n.Repaired != 0 || n.Failed != "" || !slices.Equal(n.Lost, want) {
		t.Errorf("%+v", n)
	}
	if d := st.Devices[0]; d.Damaged != 2 || d.Lost != 1 {
		t.Errorf("%+v", d)
	}
	delete(content, "k7")
	delete(content, "k6")
	r.wantAll(b, content)

	r.close()
	r.open() // what is lost is remembered, and looked for
	st = r.awaitScrub(func(st ScrubStatus) bool { return !st.Repairs.At.IsZero() })
	if n := st.Repairs; n.Chunks != 1 || !slices.Equal(n.Lost, want) {
		t.Errorf("after a restart: %+v", n)
	}
	if b, err = r.Bucket("photos"); err != nil {
		t.Fatal(err)
	}
	r.put(b, "again", blob(6)) // the same content
	if st = r.scrubbed(); st.Devices[0].Lost != 0 {
		t.Errorf("once it was put again: %+v", st)
	}
	content["k6"], content["again"] = blob(6), blob(6)
	r.wantAll(b, content)
}

func TestAScrubTellsOfTreesThatAreLost(t *testing.T) {
	r := newRotting(t)
	_, _ = r.some()
	nodes := r.here(chunk.Meta)
	for _, id := range nodes {
		r.damage(id)
	}
	st := r.scrubbed()
	n := st.Repairs
	if n.Chunks == 0 || n.Failed == "" || st.Devices[0].Lost < n.Chunks {
		t.Errorf("%+v", st)
	}
}

func TestAScrubIsStoppedAndGoesOn(t *testing.T) {
	r := newRotting(t)
	r.some()
	if err := r.StopScrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, _ := r.ScrubStatus(); st.Running || st.Stopped {
		t.Errorf("before: %+v", st)
	}
	if err := r.StartScrub(t.Context(), 1); err != nil { // it would take a day
		t.Fatal(err)
	}
	r.awaitScrub(func(st ScrubStatus) bool { return st.Running && !st.Devices[0].Began.IsZero() })
	if err := r.StopScrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, _ := r.ScrubStatus()
	if st.Running || !st.Stopped || st.Devices[0].Began.IsZero() || !st.Devices[0].Ended.IsZero() {
		t.Errorf("stopped: %+v", st)
	}
	began := st.Devices[0].Began
	r.close()
	r.open()
	st = r.awaitScrub(func(st ScrubStatus) bool { return !st.Devices[0].Ended.IsZero() })
	if st.Devices[0].Began != began {
		t.Errorf("after a restart another one began: %+v", st)
	}
	if st = r.scrubbed(); !st.Devices[0].Began.After(began) {
		t.Errorf("%+v", st)
	}
}
