package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"time"

	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

const (
	// editedShare is one of how many files the second version changes: 1 %.
	editedShare = 100
	// Most of the second version that may cost anything, in percent of its size: as files, and as one archive, where a changed file costs
	// the chunks of 64 KiB around it, too.
	maxFilesShare   = 10.0
	maxArchiveShare = 30.0
)

// version is step 4.
func (d *demo) version(ctx context.Context, st *story.Step) error {
	st.Say("%d of %s files are edited: lines replaced, inserted, deleted", len(d.edited), count(len(d.second.Files)))
	if err := d.versionAsFiles(ctx, st); err != nil {
		return err
	}
	return d.versionAsArchive(ctx, st)
}

func (d *demo) versionAsFiles(ctx context.Context, st *story.Step) error {
	before, err := d.stored(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	wrong, err := d.put(ctx, st, d.hawaii, secondPrefix, d.second.Files)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	after, err := d.stored(ctx)
	if err != nil {
		return err
	}
	st.Measured("as files:    %s uploaded in %s, %s stored: %.1f %%", size(d.second.Bytes), story.Duration(took), size(after-before),
		percent(after-before, d.second.Bytes))
	st.Check(wrong == 0, "each answer has the file's MD5 as its ETag")
	st.Check(percent(after-before, d.second.Bytes) <= maxFilesShare, "the second version is stored in less than %.0f %% of its size", maxFilesShare)
	return nil
}

func (d *demo) versionAsArchive(ctx context.Context, st *story.Step) error {
	var archives [2]archive
	for i, t := range []*tree.Tree{d.first, d.second} {
		a := &archives[i]
		a.key = tarPrefix + []string{"v1.tar", "v2.tar"}[i]
		if err := d.putArchive(ctx, st, a, t); err != nil {
			return err
		}
	}
	right := true
	for i := range archives {
		same, err := d.getArchive(ctx, st, &archives[i])
		if err != nil {
			return err
		}
		right = right && same
	}
	next := archives[1]
	st.Measured("as archive:  %s uploaded in %s, %s stored: %.1f %% (of the first version %.0f %%)", size(next.size), story.Duration(next.put), size(next.stored),
		percent(next.stored, next.size), percent(archives[0].stored, archives[0].size))
	st.Measured("read at tokyo, which has the first: %s shipped: %.1f %%, in %s", size(next.shipped), percent(next.shipped, next.size), story.Duration(next.got))
	st.Check(right, "tokyo read both archives right")
	st.Check(percent(next.stored, next.size) <= maxArchiveShare, "the second archive is stored in less than %.0f %% of its size", maxArchiveShare)
	st.Check(percent(next.shipped, next.size) <= maxArchiveShare, "and shipped in less than %.0f %%", maxArchiveShare)
	return nil
}

// archive is a tree as one object, and what it cost.
type archive struct {
	key             string
	size            int64
	md5             string
	stored, shipped int64
	put, got        time.Duration
}

// stored is the bytes of all chunks that hawaii holds, each once, metadata included.
func (d *demo) stored(ctx context.Context) (int64, error) {
	s, err := d.hawaii.Admin.Status(ctx)
	return s.Storage.Bytes + s.Storage.StagedBytes, err
}

func (d *demo) putArchive(ctx context.Context, st *story.Step, a *archive, t *tree.Tree) error {
	before, err := d.stored(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	a.size = t.TarSize()
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(t.WriteTar(w))
	}()
	defer func() {
		r.Close() // ends the writer, should the upload have failed
		<-written
	}()
	sum := md5.New()
	bar := st.BytesBar("put "+a.key, a.size)
	defer bar.Done()
	etag, err := d.hawaii.PutFrom(ctx, bucket, a.key, io.TeeReader(io.TeeReader(r, sum), progress{bar}), a.size)
	if err != nil {
		return err
	}
	a.put, a.md5 = time.Since(begun), hex.EncodeToString(sum.Sum(nil))
	st.Check(etag == a.md5, "the ETag of %s is its MD5", a.key)
	d.acknowledged.add(a.key, entry{a.size, a.md5})
	after, err := d.stored(ctx)
	a.stored = after - before
	return err
}

// getArchive reads an archive at tokyo, and says whether it is the one that was put.
func (d *demo) getArchive(ctx context.Context, st *story.Step, a *archive) (bool, error) {
	before, err := d.shipped(ctx)
	if err != nil {
		return false, err
	}
	begun := time.Now()
	sum := md5.New()
	bar := st.BytesBar("get "+a.key, a.size)
	defer bar.Done()
	n, err := d.tokyo.Copy(ctx, io.MultiWriter(sum, progress{bar}), bucket, a.key)
	if err != nil {
		return false, err
	}
	a.got = time.Since(begun)
	after, err := d.shipped(ctx)
	a.shipped = after - before
	return n == a.size && hex.EncodeToString(sum.Sum(nil)) == a.md5, err
}

// progress moves a bar by what is written to it.
type progress struct{ bar *story.Bar }

func (p progress) Write(b []byte) (int, error) {
	p.bar.Add(int64(len(b)))
	return len(b), nil
}
