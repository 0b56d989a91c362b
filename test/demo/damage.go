package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/test/demo/rot"
	"github.com/edgefs/edgefs/test/demo/site"
	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

const (
	// rotten is how many files are damaged.
	rotten = 400
	// lonely is the bucket of which only hawaii holds the content, of so many objects of that size.
	lonely     = "lonely"
	loneCount  = 20
	loneSize   = 100 << 10
	copiesTime = 2 * time.Minute
)

// damage is step 7.
func (d *demo) damage(ctx context.Context, st *story.Step) error {
	if err := d.copyAll(ctx, st); err != nil {
		return err
	}
	if err := d.rotAndRepair(ctx, st); err != nil {
		return err
	}
	return d.rotAlone(ctx, st)
}

// copyAll makes tokyo hold everything.
func (d *demo) copyAll(ctx context.Context, st *story.Step) error {
	before, err := d.exposed(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := d.hawaii.CLI(ctx, nil, "bucket", "set", bucket, "--data", "full"); err != nil {
		return err
	}
	bar := st.Bar("copy to tokyo", before)
	defer bar.Done()
	ctx, cancel := context.WithTimeoutCause(ctx, copiesTime, fmt.Errorf("tokyo does not hold all of the bucket after %v", copiesTime))
	defer cancel()
	var now int64
	err = site.Until(ctx, 200*time.Millisecond, func() (bool, error) {
		if now, err = d.exposed(ctx); err != nil {
			return false, err
		}
		bar.Set(before - now)
		return now == 0, nil
	})
	if err != nil {
		return err
	}
	st.Measured("bucket set to full: edgefs status of hawaii shows %s exposed before, %s after %s", size(before), size(now), since(begun))
	missing, err := d.notAtTokyo(ctx)
	if err != nil {
		return err
	}
	st.Check(missing == 0, "edgefs verify at tokyo read everything, from its own disk")
	return nil
}

// exposed is what only hawaii is known to hold, as a person sees it.
func (d *demo) exposed(ctx context.Context) (int64, error) {
	var s admin.Status
	err := d.hawaii.CLI(ctx, &s, "status")
	return s.Storage.ExposedBytes, err
}

// notAtTokyo is how many versions tokyo holds not all of.
func (d *demo) notAtTokyo(ctx context.Context) (int64, error) {
	var v admin.VerifyEvent
	if err := d.tokyo.CLI(ctx, &v, "verify", bucket); err != nil {
		return 0, err
	}
	return v.NotHere + v.Damaged, nil
}

// health is what hawaii counts of its own damage.
type health struct{ damaged, repaired int64 }

func (d *demo) health(ctx context.Context) (health, error) {
	s, err := d.hawaii.Admin.Status(ctx)
	if err != nil {
		return health{}, err
	}
	h := health{damaged: s.Storage.DamagedChunks}
	for _, l := range s.Links {
		h.repaired += int64(l.Repaired)
	}
	return h, nil
}

// device is where hawaii keeps its chunks.
func (d *demo) device() string { return filepath.Join(d.hawaii.Dir(), "data") }

// rotAndRepair damages what tokyo holds too, and reads it at hawaii.
func (d *demo) rotAndRepair(ctx context.Context, st *story.Step) error {
	files, targets, err := d.victims(rotten)
	if err != nil {
		return err
	}
	before, err := d.health(ctx)
	if err != nil {
		return err
	}
	copies, err := rot.Spoil(ctx, d.device(), targets)
	if err != nil {
		return err
	}
	places := 0
	for _, n := range copies {
		places += n
	}
	first, err := d.get(ctx, st, d.hawaii, firstPrefix, files, readers)
	if err != nil {
		return err
	}
	between, err := d.health(ctx)
	if err != nil {
		return err
	}
	second, err := d.get(ctx, st, d.hawaii, firstPrefix, files, readers)
	if err != nil {
		return err
	}
	after, err := d.health(ctx)
	if err != nil {
		return err
	}
	st.Measured("a bit flipped in %s places of hawaii's files, which hold content of %s files, while it runs", count(places), count(len(copies)))
	st.Measured("reads at hawaii: %v; %s chunks found damaged, %s repaired from tokyo", first, count(between.damaged-before.damaged),
		count(between.repaired-before.repaired))
	st.Check(len(copies) == len(files), "content of each of %d files was found on disk and damaged", len(files))
	st.Check(first.right(), "hawaii answers all reads, with the right bytes")
	st.Check(between.repaired > before.repaired && between.damaged > before.damaged, "damage and repair are counted")
	st.Check(second.right() && after == between, "the second read finds nothing damaged: %v", second)
	return d.verifyHawaii(ctx, st)
}

// verifyHawaii has hawaii look for what else was damaged.
func (d *demo) verifyHawaii(ctx context.Context, st *story.Step) error {
	var v admin.VerifyEvent
	begun := time.Now()
	if err := d.hawaii.CLI(ctx, &v, "verify", bucket); err != nil {
		return err
	}
	st.Measured("edgefs verify at hawaii: %s versions, %s read in %s, %s more places repaired", count(v.Versions), size(v.Bytes), since(begun), count(v.Repaired))
	st.Check(v.Damaged == 0, "nothing is damaged any more")
	return nil
}

// victims chooses files whose middle can be looked for.
func (d *demo) victims(n int) (files []tree.File, targets []rot.Target, err error) {
	for _, f := range d.pick(len(d.first.Files), 7, d.first.Files) {
		if len(files) == n {
			break
		}
		if f.Size < 4*rot.Window {
			continue
		}
		content, err := f.Content()
		if err != nil {
			return nil, nil, err
		}
		files, targets = append(files, f), append(targets, rot.Target{Name: f.Name, Content: content})
	}
	return files, targets, nil
}

// rotAlone damages what nobody else holds.
func (d *demo) rotAlone(ctx context.Context, st *story.Step) error {
	if err := d.hawaii.CLI(ctx, nil, "bucket", "create", lonely, "--data", "lazy", "--eager", "0"); err != nil {
		return err
	}
	targets := make([]rot.Target, loneCount)
	r := rand.NewChaCha8([32]byte{byte(d.seed)})
	for i := range targets {
		targets[i] = rot.Target{Name: fmt.Sprintf("object-%02d", i), Content: make([]byte, loneSize)}
		_, _ = r.Read(targets[i].Content)
		if _, err := d.hawaii.Put(ctx, lonely, targets[i].Name, targets[i].Content); err != nil {
			return err
		}
	}
	exposed, err := d.exposed(ctx)
	if err != nil {
		return err
	}
	if err := d.spoilAll(ctx, targets); err != nil {
		return err
	}
	refused, wrong, why := 0, 0, error(nil)
	for _, t := range targets {
		_, err := d.hawaii.Get(ctx, lonely, t.Name, "")
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			wrong++ // nobody could have had the right bytes
		case site.Unavailable(err):
			refused++
		default:
			why = errors.Join(why, err)
		}
	}
	after, err := d.exposed(ctx)
	if err != nil {
		return err
	}
	st.Measured("%d objects that only hawaii holds, damaged: 503 for %d, content for %d; exposed %s before, %s after", loneCount, refused, wrong, size(exposed), size(after))
	st.Check(exposed == loneCount*loneSize, "edgefs status shows what only hawaii holds: %s", size(exposed))
	if !st.Check(refused == loneCount && wrong == 0, "each read is answered 503, none with content") && why != nil {
		st.Say("%v", why)
	}
	return d.putAgain(ctx, st, targets)
}

// spoilAll damages all targets, waiting until they are on disk.
func (d *demo) spoilAll(ctx context.Context, targets []rot.Target) error {
	left := targets
	_, err := until(ctx, "all objects are in packs", func(ctx context.Context) (bool, error) {
		copies, err := rot.Spoil(ctx, d.device(), left)
		if err != nil {
			return false, err
		}
		var next []rot.Target
		for _, t := range left {
			if copies[t.Name] == 0 {
				next = append(next, t)
			}
		}
		left = next
		return len(left) == 0, nil
	})
	return err
}

// putAgain writes what was lost once more.
func (d *demo) putAgain(ctx context.Context, st *story.Step, targets []rot.Target) error {
	healed := 0
	for _, t := range targets {
		if _, err := d.hawaii.Put(ctx, lonely, t.Name, t.Content); err != nil {
			return err
		}
		got, err := d.hawaii.Get(ctx, lonely, t.Name, "")
		if err == nil && tree.ETag(got) == tree.ETag(t.Content) {
			healed++
		}
	}
	st.Check(healed == len(targets), "put again, all are read again")
	return nil
}
