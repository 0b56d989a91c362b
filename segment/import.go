package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment/stream"
	"github.com/edgefs/edgefs/segment/tree"
)

// ErrStream says that what was to be imported is no stream, is damaged, or says what no bucket can hold.
var ErrStream = errors.New("the stream cannot be imported")

// ImportOptions say how a stream is taken in.
type ImportOptions struct {
	// KeepGoing imports what is whole of a stream that is damaged; else damage ends the import.
	KeepGoing bool
	// Damaged is told of each damage then, and Lost of each version that is left out since content of it is missing. They may be nil.
	Damaged func(stream.Damage)
	Lost    func(key string, id VersionID)
}

// Imported is what an import did.
type Imported struct {
	Versions int64 // that the bucket has, delete markers too
	Lost     int64 // that were left out, as far as they are known
	Logical  int64 // bytes of the versions
	Chunks   int64 // of payload that were in the stream
	Bytes    int64 // of them
	New      int64 // that were not here before
	NewBytes int64
	Damages  int
	Current  bool // the stream has current versions alone
}

// Import makes a bucket of a stream that [Bucket.Export] wrote, here or in another federation: with the versions, their ids, times, attributes and locks as they
// were, the settings, and how content is cut; its home is this segment. No bucket may have the name here. The bucket is there, durably, when all of it is, or not
// at all; an import that ended early can be run again, and writes only what it did not. Chunks get the names that they have here, so what is here already is not
// written again. Memory is bounded, whatever is in the stream.
//
// It fails with ErrStream where the stream is at fault, and with ErrClockAhead where a version's time lies too far ahead.
func (s *Segment) Import(ctx context.Context, name string, in io.Reader, o ImportOptions) (*Bucket, Imported, error) {
	im := importing{ctx: ctx, s: s, o: o, r: stream.NewReader(in)}
	b, err := im.run(name)
	if err != nil {
		return nil, im.done, fmt.Errorf("import bucket %q: %w", name, err)
	}
	return b, im.done, nil
}

// importing is one import. Until its end the bucket is known to nobody.
type importing struct {
	ctx      context.Context
	s        *Segment
	o        ImportOptions
	r        *stream.Reader
	b        *Bucket
	stores   dedup.Stores
	held     *importedChunks
	seen     Vector
	settings settingsRecord
	newest   HLC
	last     []byte // history key of the last version
	done     Imported
}

func (im *importing) run(name string) (*Bucket, error) {
	s := im.s
	if !validBucketName(name) {
		return nil, badBucketName(name)
	}
	unlock, err := s.newName(name) // before much is read
	if err != nil {
		return nil, err
	}
	unlock()
	if err := s.admit(im.ctx); err != nil {
		return nil, err
	}
	if im.o.KeepGoing {
		im.r.Damaged = im.damaged
	}
	doc, err := im.begin(name)
	if err != nil {
		return nil, err
	}
	im.b = newBucket(s, doc.id, doc)
	list, stores := im.b.list()
	defer list.End()
	im.stores, im.held = stores, newImportedChunks(im.b.domain, stores)
	root, stats, err := im.state()
	if err != nil {
		return nil, err
	}
	return im.announce(doc, root, stats)
}

// maxDamages bounds the places of damage that an import goes on behind: each takes some memory.
const maxDamages = 1 << 16

func (im *importing) damaged(d stream.Damage) error {
	if im.done.Damages++; im.done.Damages > maxDamages {
		return fmt.Errorf("more than %d places: %w", maxDamages, d.Why)
	}
	if im.o.Damaged != nil {
		im.o.Damaged(d)
	}
	return nil
}

// next is the next record. The stream's faults are ErrStream; an error of what it is read from is no fault of it.
func (im *importing) next() (stream.Record, error) {
	if err := im.ctx.Err(); err != nil {
		return stream.Record{}, err
	}
	rec, err := im.r.Next()
	if errors.Is(err, stream.ErrDamaged) || errors.Is(err, stream.ErrShort) || errors.Is(err, stream.ErrFormat) {
		err = fmt.Errorf("%w: %w", ErrStream, err)
	}
	return rec, err
}

func refuseStream(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrStream, fmt.Errorf(format, args...))
}

// begin reads the header, and makes the document of the bucket to be, but for its state.
func (im *importing) begin(name string) (*bucketDoc, error) {
	rec, err := im.next()
	if err != nil {
		return nil, err
	}
	h, s := rec.Header, im.s
	doc := &bucketDoc{name: name, home: s.cfg.ID, ownSettings: true}
	if doc.cutter, err = dedup.ParseParams(h.Cutter); err == nil {
		err = doc.cutter.Validate()
	}
	if err == nil {
		im.seen, err = parseVector(h.Seen)
	}
	if err == nil {
		im.settings, err = parseSettingsRecord(h.Settings)
	}
	im.done.Current = h.Current
	im.settings.Settings = im.settings.elsewhere()
	doc.settings = firstSettings(im.settings.Settings, s.Origin())
	doc.settings.Snapshots = im.settings.Snapshots
	if err == nil {
		err = im.settings.validate()
	}
	if err != nil {
		return nil, refuseStream("its header: %w", err)
	}
	if err := im.checkSeen(); err != nil {
		return nil, err
	}
	return doc, errors.Join(s.random(doc.id[:]), s.random(doc.salt[:]))
}

// maxNumber bounds what a stream says that was seen of an origin: more writes than that nobody makes, and behind it numbers must not run out.
const maxNumber = 1 << 56

func (im *importing) checkSeen() error {
	for o, n := range im.seen {
		if n > maxNumber || o.Segment == 0 {
			return refuseStream("%d writes of %v", n, o)
		}
	}
	by := im.settings.by
	if by == (VersionID{}) {
		return nil
	}
	if !im.seen.Has(by.Dot) || by.Epoch.N > maxEpoch {
		return refuseStream("settings by %v, epoch %d", by.Dot, by.Epoch.N)
	}
	return im.observe("the settings", by.HLC)
}

// observe takes a time in, unless it lies too far ahead.
func (im *importing) observe(what string, t HLC) error {
	if t > im.s.clock.bound() {
		return fmt.Errorf("%s at %v: %w", what, t.Time(), ErrClockAhead)
	}
	im.newest = max(im.newest, t)
	return nil
}

// state makes the bucket's trees of what the stream holds, and their root: durable when it returns.
func (im *importing) state() (raw []byte, stats counters, err error) {
	b := im.b
	nodes := tree.NewStore(im.stores.Meta, b.domain, tree.NewCache(16<<20))
	none := &base{root: root{seen: Vector{}}, headTree: b.tree(nodes, chunk.ID{}), historyTree: b.tree(nodes, chunk.ID{})}
	history, err := none.historyTree.Apply(im.ctx, im.versions())
	if err == nil {
		err = im.held.flush(im.ctx)
	}
	if err != nil {
		return nil, stats, err
	}
	im.done.New, im.done.NewBytes = int64(im.held.fresh.Chunks), im.held.fresh.Bytes
	heads, stats, err := b.headsOf(im.ctx, none, history)
	if err != nil {
		return nil, stats, err
	}
	raw = root{heads: heads.Root(), history: history.Root(), seen: im.seen, settings: im.settings}.appendTo(nil)
	return raw, stats, im.stores.Meta.Put(im.ctx, []chunk.Chunk{b.domain.Make(raw)})
}

// versions are what the stream holds, as entries of the history tree. Chunks on the way are kept.
func (im *importing) versions() iter.Seq2[tree.Edit, error] {
	return func(yield func(tree.Edit, error) bool) {
		for {
			rec, err := im.next()
			if err == io.EOF {
				return
			}
			var e *tree.Edit
			if err == nil {
				e, err = im.take(rec)
			}
			if err != nil {
				yield(tree.Edit{}, err)
				return
			}
			if e != nil && !yield(*e, nil) {
				return
			}
		}
	}
}

// take takes a record in: of a version, unless it is lost, it returns the entry.
func (im *importing) take(rec stream.Record) (*tree.Edit, error) {
	switch rec.Kind {
	case stream.KindChunk:
		im.done.Chunks++
		im.done.Bytes += int64(len(rec.Data))
		return nil, im.held.piece(im.ctx, rec.N, rec.Data)
	case stream.KindNode:
		err := im.held.node(im.ctx, rec.N, rec.List)
		switch {
		case errors.Is(err, errLost) && im.o.KeepGoing:
			err = nil // so is what names it
		case errors.Is(err, errLost):
			err = refuseStream("node %d: %w", rec.N, err)
		}
		return nil, err
	case stream.KindVersion:
		return im.version(rec)
	case stream.KindEnd:
		if im.o.KeepGoing {
			im.done.Lost = max(im.done.Lost, int64(rec.End.Versions)-im.done.Versions)
		}
	}
	return nil, nil
}

func (im *importing) version(rec stream.Record) (*tree.Edit, error) {
	v, err := parseVersion(append([]byte(nil), rec.Data...))
	if err != nil || v.Content.Size() > 0 {
		return nil, refuseStream("a version: %w", errors.Join(err, badFormat("version")))
	}
	if err := im.check(v); err != nil {
		return nil, err
	}
	at := historyKey(v.Key, v.VersionID)
	if string(at) <= string(im.last) {
		return nil, refuseStream("version %s of %q is not in its place", v.VersionID, v.Key)
	}
	im.last = at
	v.Content, err = im.held.content(im.ctx, rec.List)
	if errors.Is(err, errLost) && im.o.KeepGoing {
		if im.done.Lost++; im.o.Lost != nil {
			im.o.Lost(v.Key, v.VersionID)
		}
		return nil, nil
	}
	if errors.Is(err, errLost) {
		return nil, refuseStream("version %s of %q: %w", v.VersionID, v.Key, err)
	}
	if err != nil {
		return nil, fmt.Errorf("version %s of %q: %w", v.VersionID, v.Key, err)
	}
	if v.Marker && v.Content.Size() > 0 || v.Size() > maxFederatedSize {
		return nil, refuseStream("%d bytes of %q", v.Size(), v.Key)
	}
	im.done.Versions++
	im.done.Logical += v.Size()
	e := historyEdit(v.Key, v.VersionID, v)
	return &e, nil
}

// check refuses a version that no segment writes.
func (im *importing) check(v *Version) error {
	if err := im.observe(fmt.Sprintf("version of %q", v.Key), v.HLC); err != nil {
		return err
	}
	err := checkReservedOrKey(v.Key)
	switch {
	case err != nil:
	case !v.held():
		err = badFormat("version")
	case v.Epoch.Compare(im.settings.by.Epoch) > 0:
		err = fmt.Errorf("epoch %d, which nobody began", v.Epoch.N)
	default:
		err = im.b.checkIncoming(v.Key, v, im.seen, &im.newest)
	}
	if err == nil || errors.Is(err, ErrClockAhead) {
		return err
	}
	return refuseStream("version %s of %q: %w", v.VersionID, v.Key, err)
}

// checkReservedOrKey refuses what no key of a bucket can be.
func checkReservedOrKey(key string) error {
	if reserved(key) {
		return nil
	}
	return checkKey(key)
}

// announce makes the bucket known, in one step with all that it holds. It begins as a branch does: of no bucket.
func (im *importing) announce(doc *bucketDoc, raw []byte, stats counters) (*Bucket, error) {
	s := im.s
	s.clock.observe(im.newest)
	unlock, err := s.newName(doc.name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	doc.created = s.clock.now()
	doc.origin = &origin{root: raw, stats: stats, seen: im.seen}
	if err := s.random(doc.origin.id[:]); err != nil {
		return nil, err
	}
	err = s.submit(newDocument(s.local, snapshotMark+doc.origin.id.String(), markOf(im.b.domain, doc.beginning())),
		newDocument(s.federation, docBucket+doc.id.String(), doc.appendTo(nil)))
	if err != nil {
		return nil, err
	}
	b := s.bucket(doc.id)
	return b, b.wake(im.ctx)
}
