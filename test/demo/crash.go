package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

const (
	// crashFiles is how many files are uploaded; hawaii is killed when one of so many is acknowledged.
	crashFiles = 3000
	crashShare = 3
)

// crash is step 6.
func (d *demo) crash(ctx context.Context, st *story.Step) error {
	files, err := d.unseen(crashFiles)
	if err != nil {
		return err
	}
	kept, failed, err := d.putUntilKilled(ctx, files)
	if err != nil {
		return err
	}
	st.Say("killed with %s of %s uploads acknowledged, and %d in flight", count(len(kept)), count(len(files)), failed)
	took, err := d.hawaii.Run(ctx)
	if err != nil {
		return err
	}
	stray, err := d.strays(ctx, files)
	if err != nil {
		return err
	}
	c, err := d.compare(ctx, d.hawaii)
	if err != nil {
		return err
	}
	crashed, err := d.get(ctx, st, d.hawaii, crashPrefix, kept, parallel)
	if err != nil {
		return err
	}
	all, err := d.get(ctx, st, d.hawaii, firstPrefix, d.first.Files, parallel)
	if err != nil {
		return err
	}
	st.Measured("%s acknowledged before the kill; hawaii serves again after %s", count(len(kept)), story.Duration(took))
	st.Check(failed > 0, "the kill hit uploads in flight")
	st.Check(c.same(), "all that was ever acknowledged is listed: %v", c)
	st.Check(crashed.right(), "the content of this upload is there, byte for byte: %v", crashed)
	st.Check(all.right(), "and that of the first: %v", all)
	st.Check(stray.wrong == 0, "%d uploads were kept whose acknowledgement was lost; they are whole", stray.whole)
	return d.resume(ctx, st, files)
}

// unseen is files that no chunk is held of: source files with a line in front that no other has.
func (d *demo) unseen(n int) ([]tree.File, error) {
	var files []tree.File
	for _, f := range d.pick(n, 6, d.first.Files) {
		content, err := f.Content()
		if err != nil {
			return nil, err
		}
		files = append(files, tree.Made(f.Name, append(fmt.Appendf(nil, "// copy of %s\n", f.Name), content...)))
	}
	return files, nil
}

// putUntilKilled uploads, kills hawaii in the middle, and returns what was acknowledged and how many uploads failed that had begun.
func (d *demo) putUntilKilled(ctx context.Context, files []tree.File) (kept []tree.File, failed int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var killed atomic.Bool
	half := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		select {
		case <-half:
			killed.Store(true)
			d.hawaii.Kill()
		case <-ctx.Done():
		}
	})
	err = each(ctx, parallel, files, func(ctx context.Context, f tree.File) error {
		if killed.Load() {
			return nil
		}
		content, err := f.Content()
		if err != nil {
			return err
		}
		_, err = d.hawaii.Put(ctx, bucket, crashPrefix+f.Name, content)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			d.acknowledged.add(crashPrefix+f.Name, entry{f.Size, f.ETag})
			if kept = append(kept, f); len(kept) == len(files)/crashShare+1 {
				close(half)
			}
			return nil
		case killed.Load():
			failed++
			return nil
		}
		return err
	})
	stop()
	killer.Wait()
	return kept, failed, err
}

// stray is what is listed and was not acknowledged: its answer was lost with the process.
type stray struct{ whole, wrong int }

// strays takes them into the ledger.
func (d *demo) strays(ctx context.Context, files []tree.File) (s stray, err error) {
	sent := map[string]tree.File{}
	for _, f := range files {
		sent[crashPrefix+f.Name] = f
	}
	err = d.hawaii.List(ctx, bucket, crashPrefix, func(o minio.ObjectInfo) error {
		f, known := sent[o.Key]
		if _, acknowledged := d.acknowledged.get(o.Key); acknowledged {
			return nil
		}
		if !known || f.ETag != o.ETag || f.Size != o.Size {
			s.wrong++
			return nil
		}
		s.whole++
		d.acknowledged.add(o.Key, entry{f.Size, f.ETag})
		return nil
	})
	return s, err
}

// resume uploads the rest, and waits until tokyo has heard of it.
func (d *demo) resume(ctx context.Context, st *story.Step, files []tree.File) error {
	var rest []tree.File
	for _, f := range files {
		if _, acknowledged := d.acknowledged.get(crashPrefix + f.Name); !acknowledged {
			rest = append(rest, f)
		}
	}
	if _, err := d.put(ctx, st, d.hawaii, crashPrefix, rest); err != nil {
		return err
	}
	took, err := until(ctx, "tokyo has all of it", d.agreed)
	if err != nil {
		return err
	}
	c, err := d.compare(ctx, d.tokyo)
	if err != nil {
		return err
	}
	st.Check(c.same(), "the upload goes on, and %s later tokyo lists all of it: %v", story.Duration(took), c)
	return nil
}
