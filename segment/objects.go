package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// Ref names a version on whose behalf chunks are read.
type Ref struct {
	Bucket  BucketID
	Key     string
	Version VersionID
}

// Reading is what a store reads for: the version, and the nodes from its manifest's root to the one whose children are read. With it a peer
// can see that the version reaches what it is asked for.
type Reading struct {
	Ref
	Path []chunk.ID
}

func isMissing(err error) bool {
	return errors.Is(err, ErrNoSuchKey) || errors.Is(err, ErrNoSuchVersion)
}

// resolve finds the version that ref means, markers too.
func (v keyView) resolve(ctx context.Context, key string, ref VersionRef) (*Version, error) {
	h, err := v.head(ctx, key)
	if err != nil {
		return nil, err
	}
	if !ref.Current() && !ref.Null {
		found, err := v.version(ctx, key, ref.ID)
		if err == nil && found == nil {
			err = fmt.Errorf("%q, version %s: %w", key, ref, ErrNoSuchVersion)
		}
		if err != nil {
			return nil, err
		}
		told := h.told(found)
		return &told, nil
	}
	for _, w := range h.versions { // a head has every version without an id
		if ref.Current() || w.Null {
			return w, nil
		}
	}
	if ref.Null && h.count > 0 {
		return nil, fmt.Errorf("%q, version null: %w", key, ErrNoSuchVersion)
	}
	return nil, fmt.Errorf("%q: %w", key, ErrNoSuchKey)
}

// Stat is a version's record. A delete marker is a [MarkerError], which is ErrNoSuchKey.
func (b *Bucket) Stat(ctx context.Context, key string, ref VersionRef) (Version, error) {
	if err := b.Err(); err != nil {
		return Version{}, err
	}
	if b.gone() {
		return Version{}, fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	if reserved(key) {
		return Version{}, fmt.Errorf("%q: %w", key, ErrNoSuchKey)
	}
	loser, err := b.loserShown(ctx, key, ref)
	if err != nil {
		return Version{}, err
	}
	if loser != nil {
		return *loser, nil
	}
	v, err := b.view(key).resolve(ctx, key, ref)
	if err != nil {
		return Version{}, err
	}
	if v.Marker {
		return *v, &MarkerError{*v}
	}
	return *v, nil
}

// Object is one version's content. It is safe for concurrent use.
type Object struct {
	b *Bucket
	v Version
	r *dedup.Reader

	open func(path []chunk.ID) chunk.Store // what the content below some nodes is read from
}

// Open finds a version and reads nothing of its content yet.
func (b *Bucket) Open(ctx context.Context, key string, ref VersionRef) (*Object, error) {
	v, err := b.Stat(ctx, key, ref)
	if err != nil {
		return nil, err
	}
	return b.object(v), nil
}

func (b *Bucket) object(v Version) *Object {
	ref := Ref{b.id, v.stored(), v.VersionID}
	return b.objectIn(v, func(path []chunk.ID) chunk.Store { return b.readStore(Reading{ref, slices.Clone(path)}) })
}
func (b *Bucket) objectIn(v Version, open func(path []chunk.ID) chunk.Store) *Object {
	r := dedup.NewReader(open, v.Content)
	r.Buffers = b.s.bufs
	return &Object{b, v, r, open}
}

func (b *Bucket) readStore(r Reading) chunk.Store {
	if b.s.cfg.Read == nil {
		return b.stores.Data
	}
	return b.s.cfg.Read(b.domain, r)
}

// Version is the version's record.
func (o *Object) Version() Version { return o.v }

// Bucket is where the object is.
func (o *Object) Bucket() *Bucket { return o.b }

// ReadRange writes n bytes from off on to w. It fails with chunk.ErrUnavailable, chunk.ErrCorrupt or chunk.ErrNotFound, wrapped, where
// they cannot be had; what was written until then is right.
func (o *Object) ReadRange(ctx context.Context, w io.Writer, off, n int64) (int64, error) {
	list := o.b.s.sparing.lists.Begin() // what is read stays until it was, though it be deleted meanwhile
	defer list.End()
	o.b.pin(list, &o.v)
	return o.r.ReadRange(ctx, w, off, n)
}

// ReadAt fills p from off on; io.EOF when the content ends before.
func (o *Object) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return o.r.ReadAt(ctx, p, off)
}

// reader streams the whole content.
func (o *Object) reader(ctx context.Context) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		_, err := o.ReadRange(ctx, pw, 0, o.v.Size())
		pw.CloseWithError(err)
	}()
	return pr
}

// Pieces are the ids of all chunks that the version's content consists of, its manifest's nodes too.
func (o *Object) Pieces(ctx context.Context) iter.Seq2[dedup.Piece, error] { return o.r.Pieces(ctx) }

// Payload is [Bucket.Payload] of a bucket, and then of each of its snapshots what neither the bucket nor an earlier one holds.
func (s *Segment) Payload(ctx context.Context, id BucketID) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		b, err := s.BucketByID(id)
		if err != nil {
			yield(Version{}, err)
			return
		}
		if b.gone() { // a branch may be, and hold what it was
			return
		}
		for v, err := range b.Payload(ctx) {
			if !yield(v, err) || err != nil {
				return
			}
		}
		for k, err := range b.OnlyInSnapshots(ctx) {
			if !yield(k.Version, err) || err != nil {
				return
			}
		}
	}
}

// Payload are all versions of the bucket that are held, those of history and of conflicts too, in key order, newest first.
func (b *Bucket) Payload(ctx context.Context) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		for v, err := range b.eachVersion(ctx, "", nil) {
			if err != nil {
				yield(Version{}, err)
				return
			}
			if !v.Marker && !yield(*v, nil) {
				return
			}
		}
	}
}

// Object opens a version that is known, whatever is current now.
func (s *Segment) Object(bucket BucketID, v Version) (*Object, error) {
	b, err := s.BucketByID(bucket)
	if err != nil {
		return nil, err
	}
	return b.object(v), nil
}

// ObjectHere is as [Segment.Object], of what is here alone: it asks no other segment.
func (s *Segment) ObjectHere(bucket BucketID, v Version) (*Object, error) {
	b, err := s.BucketByID(bucket)
	if err != nil {
		return nil, err
	}
	return b.objectIn(v, func([]chunk.ID) chunk.Store { return b.stores.Data }), nil
}

// ServeFetch yields chunks for a peer that reads a version: only what the version reaches, else ErrRefused, and only what is here, else
// chunk.ErrNotFound.
func (s *Segment) ServeFetch(ctx context.Context, r Reading, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	b := s.bucket(r.Bucket)
	if b == nil || !b.Linked() {
		return fmt.Errorf("bucket %v: %w", r.Bucket, ErrRefused)
	}
	v, err := b.heldVersion(ctx, r.Key, r.Version)
	if err != nil {
		return err
	}
	if v == nil {
		return fmt.Errorf("%q, version %v: %w", r.Key, r.Version, chunk.ErrNotFound)
	}
	if err := dedup.Reaches(ctx, b.stores.Meta, v.Content, r.Path, ids); err != nil {
		return fmt.Errorf("%q, version %v: %w: %w", r.Key, r.Version, ErrRefused, err)
	}
	return b.stores.Data.Get(ctx, ids, yield)
}

// ReadMeta yields tree nodes and roots that are here. It is for a peer's sync, whose caller keeps it to what was offered.
func (s *Segment) ReadMeta(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	return s.cfg.Chunks.Open(s.Domain(), chunk.Meta).Get(ctx, ids, yield)
}
