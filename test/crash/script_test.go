package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment"
)

// step is one act of a client, an administrator or a link: wholly done when it returns nil.
type step struct {
	name string
	do   func(ctx context.Context, s *site) error
}

func cutter(t testing.TB) dedup.Params {
	p, err := dedup.ParseParams("content:4KiB")
	must(t, err)
	return p
}

// content is data that is made again from its seed.
func content(seed, size int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, size)
	_, _ = rng.Read(b)
	return b
}

// script is the workload: what a segment does, in little.
func script(t testing.TB) []step {
	small := cutter(t)
	photos := []step{
		create("photos", segment.BucketOptions{Cutter: small}),
		put("photos", "small", 1, 5),
		put("photos", "page", 2, 3000),
		put("photos", "large", 3, 90_000),
		put("photos", "small", 4, 700), // replaces
		put("photos", "twin", 3, 90_000),
		remove("photos", "page"),
		copyTo("photos", "large", "copy"),
		putIf("photos", "small", segment.Cond{Absent: true}, segment.ErrPrecondition),
		snapshot("photos", "first"),
		fold("photos"),
		put("photos", "empty", 0, 0),
		snapshot("photos", "second"),
		put("photos", "small", 5, 60),
		remove("photos", "twin"),
		snapshot("photos", "third"),
		forget("photos", "second"),
	}
	papers := []step{
		create("papers", segment.BucketOptions{Cutter: small, Settings: &segment.Settings{Versioning: segment.Versioned}}),
		put("papers", "draft", 10, 100),
		put("papers", "draft", 11, 200),
		put("papers", "draft", 12, 20_000),
		remove("papers", "draft"),
		removeVersion("papers", "draft", 0), // the marker: uncovers
		removeVersion("papers", "draft", 1),
		fold("papers"),
		remove("papers", "draft"),
		versioning("papers", segment.Suspended),
		put("papers", "draft", 13, 300),
		put("papers", "draft", 14, 400),
		remove("papers", "draft"),
		removeVersion("papers", "draft", 0),
	}
	parts := []step{
		begin("photos", "film"),
		part("photos", "film", 1, 20, 30_000),
		part("photos", "film", 2, 21, 500),
		part("photos", "film", 2, 22, 9000), // replaces
		copyPart("photos", "film", 3, "large", 1000, 40_000),
		complete("photos", "film", 3),
		begin("photos", "never"),
		part("photos", "never", 1, 23, 2000),
		abort("photos", "never"),
		begin("photos", "later"),
		part("photos", "later", 7, 24, 100),
	}
	links := []step{
		receive(0),
		receive(1),
		put(shared, "both", 30, 600),
		put(shared, "from-here", 31, 80),
		receive(2),
		put(shared, "both", 32, 40),
		read(shared, "from-peer-2"),
		remove(shared, "from-peer-4"),
		adopt(federation),
		put(shared, "from-here", 33, 5000),
		adopt(archive),
		snapshot(shared, "merging"),
		adopt(shared),
		put(archive, "07", 34, 100),
		setCursor(),
		fold(shared),
	}
	var burst []step
	for i := range 40 {
		burst = append(burst, put("photos", fmt.Sprint("burst-", i%17), 100+i, 1000+29*i))
	}
	end := []step{
		create("nothing", segment.BucketOptions{}),
		drop("nothing"),
		remove("photos", "burst-3"),
		put("papers", "last", 40, 4500),
		remove("photos", "large"),
		create("nothing", segment.BucketOptions{}),
	}
	var all []step
	chunks := [][]step{
		{collect(), addDevice("/site/second")},
		{drain(firstDevice), removeDevice(firstDevice), collectAll()}, // from the first feed on a peer keeps everything
		{addDevice("/site/third")},
		{drain("/site/second"), removeDevice("/site/second")},
	}
	for i, part := range [][]step{
		photos, papers, chunks[0], parts, burst[:20], chunks[1], links[:5], chunks[2], links[5:], burst[20:], chunks[3], end,
	} {
		if i%3 == 2 {
			all = append(all, restart())
		}
		all = append(all, part...)
	}
	return all
}

// in makes a step of a bucket.
func in(bucket, name string, do func(ctx context.Context, s *site, b *segment.Bucket) error) step {
	return step{name + " in " + bucket, func(ctx context.Context, s *site) error {
		b, err := s.Bucket(bucket)
		if err != nil {
			return err
		}
		return do(ctx, s, b)
	}}
}

func create(bucket string, o segment.BucketOptions) step {
	return step{"create " + bucket, func(ctx context.Context, s *site) error {
		_, err := s.CreateBucket(ctx, bucket, o)
		return err
	}}
}

func drop(bucket string) step {
	return step{"drop " + bucket, func(ctx context.Context, s *site) error { return s.DeleteBucket(ctx, bucket) }}
}

func restart() step {
	return step{"restart", func(_ context.Context, s *site) error {
		if !s.closed { // else it is tried again
			if err := s.close(); err != nil {
				return err
			}
		}
		next, err := openSite(s.disk, s.clock, s.peer)
		if err == nil {
			*s = *next
		}
		return err
	}}
}

func attrs(seed int) segment.Attrs {
	return segment.Attrs{ETag: fmt.Sprint("tag", seed), Meta: map[string]string{"content-type": fmt.Sprint("x/", seed)}}
}

func put(bucket, key string, seed, size int) step {
	return in(bucket, fmt.Sprintf("put %s, %d bytes,", key, size), func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.Put(ctx, key, attrs(seed), segment.Cond{}, bytes.NewReader(content(seed, size)))
		return err
	})
}

func putIf(bucket, key string, c segment.Cond, want error) step {
	return in(bucket, "put if, "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.Put(ctx, key, attrs(0), c, bytes.NewReader(nil))
		if !errors.Is(err, want) {
			return fmt.Errorf("got %w, want %w", err, want)
		}
		return nil
	})
}

func remove(bucket, key string) step {
	return in(bucket, "delete "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.Delete(ctx, key, segment.Cond{})
		return err
	})
}

// removeVersion takes away the i-th newest version of a key.
func removeVersion(bucket, key string, i int) step {
	return in(bucket, fmt.Sprintf("remove version %d of %s", i, key), func(ctx context.Context, _ *site, b *segment.Bucket) error {
		page, err := b.ListVersions(ctx, segment.ListVersionsOptions{Prefix: key, Limit: 100})
		if err != nil {
			return err
		}
		v := page.Entries[i].Version
		_, err = b.Remove(ctx, key, segment.VersionRef{ID: v.VersionID, Null: v.Null}, segment.Cond{})
		return err
	})
}

func versioning(bucket string, v segment.Versioning) step {
	return in(bucket, "versioning "+v.String(), func(ctx context.Context, _ *site, b *segment.Bucket) error {
		return b.Configure(ctx, func(s *segment.Settings) error { s.Versioning = v; return nil })
	})
}

func snapshot(bucket, name string) step {
	return in(bucket, "snapshot "+name, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.CreateSnapshot(ctx, name)
		return err
	})
}

func forget(bucket, name string) step {
	return in(bucket, "delete snapshot "+name, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		return b.DeleteSnapshot(ctx, name)
	})
}

func fold(bucket string) step {
	return in(bucket, "fold", func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.Fold(ctx)
		return err
	})
}

func read(bucket, key string) step {
	return in(bucket, "read "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := readAll(ctx, b, key, segment.VersionRef{})
		return err
	})
}

func copyTo(bucket, from, to string) step {
	return in(bucket, "copy "+from+" to "+to, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		o, err := b.Open(ctx, from, segment.VersionRef{})
		if err != nil {
			return err
		}
		_, err = b.Copy(ctx, o, to, o.Version().Attrs, segment.Cond{})
		return err
	})
}

func begin(bucket, key string) step {
	return in(bucket, "begin upload "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		_, err := b.CreateUpload(ctx, key, attrs(0))
		return err
	})
}

// upload is the id of the upload of a key.
func upload(ctx context.Context, b *segment.Bucket, key string) (string, error) {
	page, err := b.Uploads(ctx, segment.UploadsOptions{Prefix: key, Limit: 1})
	if err == nil && len(page.Entries) == 0 {
		err = segment.ErrNoSuchUpload
	}
	if err != nil {
		return "", err
	}
	return page.Entries[0].Upload.ID, nil
}

func part(bucket, key string, number, seed, size int) step {
	return in(bucket, fmt.Sprintf("part %d of %s", number, key), func(ctx context.Context, _ *site, b *segment.Bucket) error {
		id, err := upload(ctx, b, key)
		if err != nil {
			return err
		}
		w, err := b.PartWriter(ctx, key, id, number, int64(size))
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(content(seed, size)); err != nil {
			return err
		}
		_, err = w.CommitPart(ctx, attrs(seed))
		return err
	})
}

func copyPart(bucket, key string, number int, from string, off, n int64) step {
	return in(bucket, fmt.Sprintf("copy part %d of %s", number, key), func(ctx context.Context, _ *site, b *segment.Bucket) error {
		id, err := upload(ctx, b, key)
		if err != nil {
			return err
		}
		o, err := b.Open(ctx, from, segment.VersionRef{})
		if err != nil {
			return err
		}
		_, err = b.CopyPart(ctx, key, id, number, o, off, n)
		return err
	})
}

func complete(bucket, key string, parts int) step {
	return in(bucket, "complete "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		id, err := upload(ctx, b, key)
		if err != nil {
			return err
		}
		all, _, err := b.Parts(ctx, key, id, 0, parts)
		if err != nil {
			return err
		}
		var refs []segment.PartRef
		for _, p := range all {
			refs = append(refs, segment.PartRef{Number: p.Number, ETag: p.ETag})
		}
		_, err = b.CompleteUpload(ctx, key, id, refs, segment.Completion{ETag: "whole"}, segment.Cond{})
		return err
	})
}

func abort(bucket, key string) step {
	return in(bucket, "abort upload "+key, func(ctx context.Context, _ *site, b *segment.Bucket) error {
		id, err := upload(ctx, b, key)
		if err != nil {
			return err
		}
		return b.AbortUpload(ctx, key, id)
	})
}

// receive takes in a part of the peer's feed.
func receive(part int) step {
	return step{fmt.Sprintf("receive part %d", part), func(ctx context.Context, s *site) error {
		f := s.peer.feed[part]
		_, err := s.Receive(ctx, s.peer.id, f.items, f.next)
		return err
	}}
}

func adopt(bucket string) step {
	return step{"adopt " + bucket, func(ctx context.Context, s *site) error {
		return s.Adopt(ctx, s.peer.id, s.peer.ids[bucket], s.peer.offers[bucket], s.peer.meta(s.Domain()))
	}}
}

func setCursor() step {
	return step{"set the cursor", func(ctx context.Context, s *site) error {
		return s.SetCursor(ctx, s.peer.id, s.peer.offers[archive].Cursor)
	}}
}
