package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/test/measure"
)

const (
	versions  = 10
	tarRatio  = 5.91 // measured with other implementations of the same cutters: docs/performance.md
	pageRatio = 5.91
)

// ratios stores ten versions of a source tree, and of a file of pages, each a hundredth other than the one before.
func (b *bench) ratios(ctx context.Context) ([]measure.Result, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	tree, err := readTree(filepath.Join(strings.TrimSpace(string(root)), "src"))
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	pages := make([]byte, 128<<20)
	fillRandom(pages, 1)
	var results []measure.Result
	for _, f := range []struct {
		name, what string
		params     string
		ratio      float64
		next       func(version int) io.Reader
	}{
		{"dedup-tar", "ten versions of a tar of Go's source, content:64KiB", "content:64KiB", tarRatio, func(v int) io.Reader {
			if v > 0 {
				tree.edit(rng)
			}
			return tree.tar()
		}},
		{"dedup-pages", "ten versions of a file of pages, fixed:64KiB", "fixed:64KiB", pageRatio, func(v int) io.Reader {
			if v > 0 {
				editPages(pages, rng)
			}
			return bytes.NewReader(pages)
		}},
	} {
		r, err := b.ratio(ctx, f.params, f.ratio, f.next)
		if err != nil {
			return nil, err
		}
		r.Name, r.What = f.name, f.what
		results = append(results, r)
	}
	return results, nil
}

// ratio stores the versions and compares what came with what is stored, manifests included.
func (b *bench) ratio(ctx context.Context, params string, want float64, next func(version int) io.Reader) (measure.Result, error) {
	p, err := dedup.ParseParams(params)
	if err != nil {
		return measure.Result{}, err
	}
	d, err := b.device(ctx)
	if err != nil {
		return measure.Result{}, err
	}
	defer d.Close()
	domain, before := domainOf(uint64(len(params))), stored(d)
	logical := int64(0)
	for v := range versions {
		w := dedup.NewWriter(ctx, dedup.Stores{Data: d.Open(domain, chunk.Data), Meta: d.Open(domain, chunk.Meta)}, domain, p, dedup.Options{})
		n, err := w.ReadFrom(next(v))
		if err == nil {
			_, err = w.Finish()
		}
		w.Abort()
		if err != nil {
			return measure.Result{}, err
		}
		logical += n
	}
	mine := stored(d) - before
	r := measure.Beside(want, 0.97, measure.Result{Value: float64(logical) / float64(mine), Unit: "times"})
	r.Detail = fmt.Sprintf("%d MiB stored of %d", mine>>20, logical>>20)
	return r, nil
}

// stored is what a device holds durably, in bytes.
func stored(d *pack.Device) (n int64) {
	for class, c := range d.Stats().Chunks {
		if class.Durable() {
			n += c.Bytes
		}
	}
	return n
}

// tree is a folder of source files in memory.
type tree struct{ files []source }

type source struct {
	name  string
	lines [][]byte
	mtime time.Time
}

func readTree(dir string) (*tree, error) {
	t := &tree{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(dir, name)
		t.files = append(t.files, source{short, bytes.SplitAfter(data, []byte("\n")), time.Unix(1_700_000_000, 0)})
		return err
	})
	return t, err
}

// edit is a day's work: a hundredth of the files change in some lines, three come, two go.
func (t *tree) edit(rng *rand.Rand) {
	for range len(t.files) / 100 {
		f := &t.files[rng.IntN(len(t.files))]
		f.mtime = f.mtime.Add(time.Duration(1+rng.IntN(86400)) * time.Second)
		lines := make([][]byte, 0, len(f.lines)+1)
		at := rng.IntN(len(f.lines))
		lines = append(lines, f.lines[:at]...)
		switch rng.IntN(3) {
		case 0:
			lines = append(append(lines, newLine(rng)), f.lines[at+1:]...)
		case 1:
			lines = append(append(lines, newLine(rng)), f.lines[at:]...)
		case 2:
			lines = append(lines, f.lines[min(at+1, len(f.lines)-1):]...)
		}
		f.lines = lines
	}
	for range 3 {
		at := rng.IntN(len(t.files))
		fresh := source{fmt.Sprintf("%s.%d", t.files[at].name, rng.Uint32()), nil, time.Unix(1_700_000_000, 0)}
		for range 200 {
			fresh.lines = append(fresh.lines, newLine(rng))
		}
		t.files = append(t.files[:at], append([]source{fresh}, t.files[at:]...)...)
	}
	for range 2 {
		at := rng.IntN(len(t.files))
		t.files = append(t.files[:at], t.files[at+1:]...)
	}
}

func newLine(rng *rand.Rand) []byte {
	return fmt.Appendf(nil, "\tx%d := compute(%d)\n", rng.Uint32(), rng.Uint64())
}

// tar streams the tree.
func (t *tree) tar() io.Reader {
	r, w := io.Pipe()
	go func() {
		to := tar.NewWriter(w)
		for _, f := range t.files {
			data := bytes.Join(f.lines, nil)
			err := to.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(data)), ModTime: f.mtime})
			if err == nil {
				_, err = to.Write(data)
			}
			if err != nil {
				_ = w.CloseWithError(err)
				return
			}
		}
		_ = w.CloseWithError(to.Close())
	}()
	return r
}

// editPages overwrites a hundredth of the pages of 8 KiB.
func editPages(pages []byte, rng *rand.Rand) {
	const page = 8 << 10
	n := len(pages) / page
	for range n / 100 {
		fillRandom(pages[rng.IntN(n)*page:][:page], rng.Uint64())
	}
}
