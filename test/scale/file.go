package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/test/measure"
)

// largeFile changes a little of a large file. What it stores is thrown away: it is in a store of its own.
func (b *bench) largeFile(ctx context.Context) (_ []measure.Result, err error) {
	dir := b.dir + ".file"
	if err := os.RemoveAll(dir); err != nil { // of a run that was stopped
		return nil, err
	}
	s, err := open(ctx, dir, b.overlay)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(), os.RemoveAll(dir)) }()
	bucket, err := s.bucket(ctx, "files", segment.Settings{})
	if err != nil {
		return nil, err
	}
	if err := b.upload(ctx, bucket, "large", ""); err != nil {
		return nil, err
	}
	before := s.device.Stats().Chunks
	if err := b.upload(ctx, bucket, "large", "+"); err != nil {
		return nil, err
	}
	after := s.device.Stats().Chunks
	stored := after[chunk.Data].Bytes - before[chunk.Data].Bytes + after[chunk.Meta].Bytes - before[chunk.Meta].Bytes
	what := fmt.Sprintf("1 byte inserted at the front of %d MiB by a new upload, stored", b.file>>20)
	inserted := measure.AtMost(2, measure.Result{Name: "file-insert", What: what, Value: float64(stored) / (1 << 20), Unit: "MiB"})
	overwritten, err := b.overwrite(ctx, bucket, "large")
	return append([]measure.Result{inserted}, overwritten...), err
}

// overwrite changes 4 KiB in the middle of a file, time and again.
func (b *bench) overwrite(ctx context.Context, bucket *segment.Bucket, name string) ([]measure.Result, error) {
	h, err := bucket.Files().Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	data := make([]byte, 4<<10)
	rng := rand.NewChaCha8([32]byte{6})
	const n = 21
	wrote := measure.Written()
	took, err := measure.Timed(n, func(i int) error {
		_, _ = rng.Read(data)
		if _, err := h.WriteAt(ctx, data, b.file/2+int64(i)<<20); err != nil {
			return err
		}
		_, err := h.Flush(ctx, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	what := "4 KiB overwritten in the middle of it, durable"
	each := float64(measure.Written()-wrote) / n / (1 << 20)
	r := measure.AtMost(20, measure.Result{Name: "file-overwrite", What: what + ", p50", Value: took.At(0.5), Unit: "ms"})
	r.Detail = fmt.Sprintf("most %.1f ms", took.At(1))
	return []measure.Result{r, measure.AtMost(1, measure.Result{Name: "file-overwrite-written", What: what + ", written", Value: each, Unit: "MiB"})}, nil
}

// upload writes the file, which never repeats itself, behind some bytes.
func (b *bench) upload(ctx context.Context, bucket *segment.Bucket, name, front string) error {
	body := io.MultiReader(strings.NewReader(front), io.LimitReader(rand.NewChaCha8([32]byte{5}), b.file))
	_, err := bucket.Put(ctx, name, segment.Attrs{}, segment.Cond{}, body)
	return err
}
