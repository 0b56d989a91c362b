package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment"
)

// picture is all that clients and links can see of a site, byte for byte. What is seen in two ways must agree.
func (s *site) picture(ctx context.Context) (string, error) {
	var out strings.Builder
	for _, info := range s.Buckets() {
		b, err := s.Bucket(info.Name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "bucket %s %v %+v\n", info.Name, info.ID, info.Settings)
		sum, err := drawKeys(ctx, &out, b)
		if err != nil {
			return "", fmt.Errorf("bucket %s: %w", info.Name, err)
		}
		if err := drawVersions(ctx, &out, b, &sum); err != nil {
			return "", fmt.Errorf("bucket %s: %w", info.Name, err)
		}
		if err := drawUploads(ctx, &out, b); err != nil {
			return "", fmt.Errorf("bucket %s: %w", info.Name, err)
		}
		if err := drawSnapshots(ctx, &out, b); err != nil {
			return "", fmt.Errorf("bucket %s: %w", info.Name, err)
		}
		if got := b.Stats(); got.Objects != sum.Objects || got.Bytes != sum.Bytes || got.Versions != sum.Versions || got.Conflicts != sum.Conflicts {
			return "", fmt.Errorf("bucket %s: figures are %+v, counted %+v", info.Name, got, sum)
		}
	}
	cursor, _ := s.Cursor(s.peer.id)
	fmt.Fprintf(&out, "cursor %+v\n", cursor)
	return out.String(), nil
}

func drawKeys(ctx context.Context, out *strings.Builder, b *segment.Bucket) (sum segment.BucketStats, err error) {
	for o := (segment.ListOptions{Limit: 7}); ; {
		page, err := b.List(ctx, o)
		if err != nil {
			return sum, err
		}
		for _, e := range page.Entries {
			v, err := b.Stat(ctx, e.Version.Key, segment.VersionRef{})
			if err != nil || v.VersionID != e.Version.VersionID {
				return sum, fmt.Errorf("%q is listed as %v, and is %v, %w", e.Version.Key, e.Version.VersionID, v.VersionID, err)
			}
			data, err := readAll(ctx, b, v.Key, segment.VersionRef{})
			if err != nil {
				return sum, err
			}
			sum.Objects++
			sum.Bytes += int64(len(data))
			fmt.Fprintf(out, "  %s %v %d %08x %s %v\n", v.Key, v.Dot, len(data), crc32.ChecksumIEEE(data), v.Attrs.ETag, v.Attrs.Meta)
		}
		if o.After = page.Next; !page.Truncated {
			break
		}
	}
	conflicts, err := b.Conflicts(ctx, "", 1000)
	for _, c := range conflicts {
		fmt.Fprintf(out, "  conflict %s %d\n", c.Key, len(c.Losers))
	}
	sum.Conflicts = int64(len(conflicts))
	return sum, err
}

func drawVersions(ctx context.Context, out *strings.Builder, b *segment.Bucket, sum *segment.BucketStats) error {
	for o := (segment.ListVersionsOptions{Limit: 5}); ; {
		page, err := b.ListVersions(ctx, o)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			v := e.Version
			sum.Versions++
			data, err := readAll(ctx, b, v.Key, segment.VersionRef{ID: v.VersionID})
			if v.Marker && errors.Is(err, segment.ErrNoSuchKey) {
				err = nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s %v %v null=%t marker=%t latest=%t over=%t %d %08x\n", v.Key, v.Dot, v.Modified(), v.Null, v.Marker, e.Latest, v.Superseded, len(data), crc32.ChecksumIEEE(data))
		}
		if o.KeyMarker, o.VersionMarker = page.NextKeyMarker, page.NextVersionMarker; !page.Truncated {
			return nil
		}
	}
}

func drawUploads(ctx context.Context, out *strings.Builder, b *segment.Bucket) error {
	page, err := b.Uploads(ctx, segment.UploadsOptions{Limit: 1000})
	if err != nil {
		return err
	}
	for _, e := range page.Entries {
		fmt.Fprintf(out, "  upload %s of %v %v\n", e.Upload.Key, e.Upload.Started, e.Upload.Attrs.Meta)
		parts, _, err := b.Parts(ctx, e.Upload.Key, e.Upload.ID, 0, 1000)
		if err != nil {
			return err
		}
		for _, p := range parts {
			fmt.Fprintf(out, "    part %d %d %s\n", p.Number, p.Size, p.ETag)
		}
	}
	return nil
}

// drawSnapshots draws all but their roots, which they have sooner or later.
func drawSnapshots(ctx context.Context, out *strings.Builder, b *segment.Bucket) error {
	all, err := b.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, i := range all {
		fmt.Fprintf(out, "  snapshot %v %s of %v\n", i.ID, i.Name, i.Created)
		f, err := b.At(ctx, i.Name)
		if err != nil {
			return err
		}
		sum, err := drawKeys(ctx, out, f)
		if err == nil {
			err = drawVersions(ctx, out, f, &sum)
		}
		if err != nil {
			return fmt.Errorf("snapshot %s: %w", i.Name, err)
		}
		if sum.Objects != i.Objects || sum.Bytes != i.Bytes || sum.Versions != i.Versions {
			return fmt.Errorf("snapshot %s: figures are %+v, counted %+v", i.Name, i, sum)
		}
	}
	return nil
}

func readAll(ctx context.Context, b *segment.Bucket, key string, ref segment.VersionRef) ([]byte, error) {
	o, err := b.Open(ctx, key, ref)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	v := o.Version()
	if _, err := o.ReadRange(ctx, &data, 0, v.Size()); err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	return data.Bytes(), nil
}

// proveRoots has a second site take in all that this one feeds or, where the log is cut, offers: folded, both must have equal roots. A
// bucket's root is then a function of its writes, whatever way its trees were made here.
func (s *site) proveRoots(ctx context.Context) error {
	chunks := stage.New(memory.New())
	r, err := segment.Open(ctx, segment.Config{FS: vfs.NewCrash(), Dir: "/twin", ID: 3, Name: "twin", Secret: secret, Chunks: chunks, Clock: s.clock.now, Rand: s.clock})
	if err != nil {
		return err
	}
	err = errors.Join(s.feed(ctx, r), r.Close(ctx))
	return err
}

func (s *site) feed(ctx context.Context, r *segment.Segment) error {
	next := segment.Cursor{Inc: s.Origin().Inc}
	for pos := uint64(1); pos < s.LogEnd(); {
		items, end, err := s.FeedFrom(ctx, pos, 1<<20)
		if errors.Is(err, segment.ErrLogCut) {
			if err := s.offerAll(ctx, r); err != nil {
				return err
			}
			break
		}
		if err != nil {
			return err
		}
		next.Pos = end
		for done := 0; ; {
			n, err := r.Receive(ctx, s.ID(), items[done:], next)
			var doubt *segment.DoubtError
			if !errors.As(err, &doubt) {
				if err != nil {
					return err
				}
				break
			}
			done += n
			if err := s.offer(ctx, r, doubt.Bucket); err != nil {
				return err
			}
		}
		pos = end
	}
	for id := range s.LinkedBuckets() {
		mine, err := root(ctx, s.Segment, id)
		if err != nil {
			return err
		}
		theirs, err := root(ctx, r, id)
		if err != nil {
			return err
		}
		if id != segment.FederationBucket && mine != theirs { // there the other one has introduced itself
			return fmt.Errorf("bucket %v has root %v, made anew it is %v", id, mine, theirs)
		}
	}
	return nil
}

func (s *site) offerAll(ctx context.Context, r *segment.Segment) error {
	if err := s.offer(ctx, r, segment.FederationBucket); err != nil {
		return err
	}
	for id := range s.LinkedBuckets() {
		if err := s.offer(ctx, r, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) offer(ctx context.Context, r *segment.Segment, id segment.BucketID) error {
	o, err := s.Offer(ctx, id)
	if err != nil {
		return err
	}
	return r.Adopt(ctx, s.ID(), id, o, s.chunks.Open(s.Domain(), chunk.Meta))
}

func root(ctx context.Context, s *segment.Segment, id segment.BucketID) (chunk.ID, error) {
	b, err := s.BucketByID(id)
	if err != nil {
		return chunk.ID{}, err
	}
	return b.Fold(ctx)
}
