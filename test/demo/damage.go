package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	// lonely is the bucket of which only hawaii holds the content: so many objects of that size, which is several chunks.
	lonely    = "lonely"
	loneCount = 20
	loneSize  = 300 << 10
	// loneHead is within an object's first chunk.
	loneHead   = 4 << 10
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
	bar := st.BytesBar("copy to tokyo", before)
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

// spoil damages hawaii's packs, while it runs.
func (d *demo) spoil(ctx context.Context, targets []rot.Target) (map[string]int, error) {
	devices, err := filepath.Glob(filepath.Join(d.hawaii.Dir(), "data", "*", "device"))
	if err != nil {
		return nil, err
	}
	if len(devices) != 1 {
		return nil, fmt.Errorf("hawaii's chunks are looked for in data/*/device of %s, where %d folders are", d.hawaii.Dir(), len(devices))
	}
	return rot.Spoil(ctx, devices[0], targets)
}

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
	copies, err := d.spoil(ctx, targets)
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
	st.Measured("a bit is flipped in each of %s places of hawaii's packs, where content of %s files lies", count(places), count(len(copies)))
	st.Measured("reads at hawaii: %v", first)
	st.Measured("%s chunks found damaged, %s repaired from tokyo", count(between.damaged-before.damaged), count(between.repaired-before.repaired))
	st.Check(len(copies) == len(files) && len(files) > 0, "content of each of %d files was found on disk and damaged", len(files))
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

// victims chooses files by whose middle they can be found: other files may hold the same, but nothing that is no payload does.
func (d *demo) victims(n int) (files []tree.File, targets []rot.Target, err error) {
	for _, f := range d.pick(len(d.first.Files), 7, d.first.Files) {
		if len(files) == n {
			break
		}
		content, err := f.Content()
		if err != nil {
			return nil, nil, err
		}
		if t := (rot.Target{Name: f.Name, Content: content}); t.Telling() {
			files, targets = append(files, f), append(targets, t)
		}
	}
	return files, targets, nil
}

// rotAlone damages what nobody else holds.
func (d *demo) rotAlone(ctx context.Context, st *story.Step) error {
	if err := d.hawaii.CLI(ctx, nil, "bucket", "create", lonely, "--data", "lazy", "--eager", "0"); err != nil {
		return err
	}
	objects := d.loneObjects()
	for _, f := range objects {
		content, err := f.Content()
		if err != nil {
			return err
		}
		if _, err := d.hawaii.Put(ctx, lonely, f.Name, content); err != nil {
			return err
		}
	}
	exposed, err := d.exposed(ctx)
	if err != nil {
		return err
	}
	targets, err := loneTargets(objects)
	if err != nil {
		return err
	}
	if err := d.spoilAll(ctx, targets); err != nil {
		return err
	}
	t, err := d.readAlone(ctx, objects)
	if err != nil {
		return err
	}
	st.Measured("%d objects that only hawaii holds (%s exposed) are damaged: %v", loneCount, size(exposed), t)
	st.Check(exposed == loneCount*loneSize, "edgefs status shows what only hawaii holds as exposed")
	if !st.Check(t.refused >= loneCount/2 && t.refused+t.broken == loneCount, "what is damaged at the start is answered 503, the rest is broken off before the damage") {
		st.Say("%v", t.why)
	}
	return d.putAgain(ctx, st, objects)
}

// loneObjects is content that nobody has seen.
func (d *demo) loneObjects() (objects []tree.File) {
	r := rand.NewChaCha8([32]byte{byte(d.seed)})
	for i := range loneCount {
		content := make([]byte, loneSize)
		_, _ = r.Read(content) // never fails
		objects = append(objects, tree.Made(fmt.Sprintf("object-%02d", i), content))
	}
	return objects
}

// loneTargets is the start of half the objects, and the middle of the others.
func loneTargets(objects []tree.File) (targets []rot.Target, err error) {
	for i, f := range objects {
		content, err := f.Content()
		if err != nil {
			return nil, err
		}
		if i < len(objects)/2 {
			content = content[:loneHead]
		}
		targets = append(targets, rot.Target{Name: f.Name, Content: content})
	}
	return targets, nil
}

// answers is what reads of damaged objects were answered.
type answers struct {
	refused int   // 503
	broken  int   // the connection ended after some bytes, all of them right
	wrong   int   // any other bytes, or an end as if it were whole
	why     error // of any other failure
}

func (a answers) String() string {
	return fmt.Sprintf("503 from %d, %d broken off, wrong bytes from %d", a.refused, a.broken, a.wrong)
}

func (d *demo) readAlone(ctx context.Context, objects []tree.File) (a answers, err error) {
	for _, f := range objects {
		want, err := f.Content()
		if err != nil {
			return a, err
		}
		got, err := d.hawaii.Get(ctx, lonely, f.Name, "")
		switch {
		case ctx.Err() != nil:
			return a, ctx.Err()
		case err == nil || !bytes.HasPrefix(want, got):
			a.wrong++ // nobody could have had all of the right bytes
		case site.Unavailable(err):
			a.refused++
		case errors.Is(err, io.ErrUnexpectedEOF):
			a.broken++
		default:
			a.why = errors.Join(a.why, err)
		}
	}
	return a, nil
}

// spoilAll damages all targets, waiting until they are on disk.
func (d *demo) spoilAll(ctx context.Context, targets []rot.Target) error {
	left := targets
	_, err := until(ctx, "all objects are in packs", func(ctx context.Context) (bool, error) {
		copies, err := d.spoil(ctx, left)
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
func (d *demo) putAgain(ctx context.Context, st *story.Step, objects []tree.File) error {
	healed := 0
	for _, f := range objects {
		content, err := f.Content()
		if err != nil {
			return err
		}
		if _, err := d.hawaii.Put(ctx, lonely, f.Name, content); err != nil {
			return err
		}
		got, err := d.hawaii.Get(ctx, lonely, f.Name, "")
		if err == nil && bytes.Equal(got, content) {
			healed++
		}
	}
	st.Check(healed == len(objects), "put again, all are read again")
	return nil
}
