package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/test/measure"
)

// markObjects is how many the chunks belong to, a million in all.
const (
	markObjects = 16
	markSize    = 256 << 20
	markPiece   = 4 << 10
)

// claimed is a store of payload that nobody reads: it says that it holds everything.
type claimed struct{ chunk.Store }

func (claimed) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) { return nil, nil }

// mark finds all that manifests reach, as a collection does, whose nodes are on the device.
func (b *bench) mark(ctx context.Context) ([]measure.Result, error) {
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	domain := domainOf(1)
	meta := d.Open(domain, chunk.Meta)
	p := dedup.Params{Kind: dedup.Fixed, Average: markPiece}
	manifests := make([]dedup.Manifest, markObjects)
	err = each(2, len(manifests), func(i int) error {
		w := dedup.NewWriter(ctx, dedup.Stores{Data: claimed{}, Meta: meta}, domain, p, dedup.Options{})
		defer w.Abort()
		if _, err := w.ReadFrom(io.LimitReader(newPieces(uint64(i)), markSize)); err != nil {
			return err
		}
		manifests[i], err = w.Finish()
		return err
	})
	if err != nil {
		return nil, err
	}
	var named idset.Set
	m := dedup.Marker{Nodes: meta, Walked: new(idset.Set), Name: func(id chunk.ID, _ string) { named.Add(idset.Of(id)) }}
	began, cpu := time.Now(), measure.Processor()
	for _, content := range manifests {
		if err := m.Mark(ctx, content, ""); err != nil {
			return nil, err
		}
	}
	if err := m.Flush(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began)
	r := measure.AtLeast(1_000_000, measure.Result{Name: "mark", What: "chunks marked that manifests reach", Value: float64(named.Len()) / took.Seconds(), Unit: "chunks/s"})
	r.Detail = fmt.Sprintf("%d chunks, %.2f µs of processors each", named.Len(), float64((measure.Processor()-cpu).Microseconds())/float64(named.Len()))
	return []measure.Result{r}, nil
}

// pieces are an object's bytes of which no piece is like another.
type pieces struct {
	buf []byte
	at  int
	n   int64
}

func newPieces(seed uint64) *pieces {
	p := &pieces{buf: make([]byte, markPiece), n: int64(seed) << 32}
	fillRandom(p.buf, seed)
	numbered(p.buf, p.n)
	return p
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.at == len(p.buf) {
		p.n++
		numbered(p.buf, p.n)
		p.at = 0
	}
	n := copy(b, p.buf[p.at:])
	p.at += n
	return n, nil
}
