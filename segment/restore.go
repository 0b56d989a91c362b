package segment

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Restored is what a restore has done.
type Restored struct {
	Put, Deleted int64
	Skipped      int64 // keys that were written meanwhile, and left alone
	Differed     int64 // keys that there were to do
}

// restoringAtOnce is how many keys of a restore are written at a time: the log makes one batch of them.
const restoringAtOnce = 32

// restoreTells is after how many keys that are counted it tells of that.
const restoreTells = 1 << 12

// Restore makes what the bucket lists under a prefix what from, a snapshot of it or its state at a time, lists there: by ordinary writes, one for
// each key that differs, which move no payload. Where both list losers, one that came since is ended, and one that the bucket has no more becomes a key of
// its name. Keys that are written at the same time are left as their writer wants them.
//
// at, unless nil, is called with what was done so far: now and then while the keys that differ are counted, which is first, when that is done, and
// after each key; by one at a time.
//
// One that ends early has done what it returns. It can be done again, from the same state, and does what is left: what is as it should be is not
// written.
func (b *Bucket) Restore(ctx context.Context, from *Bucket, prefix string, at func(Restored)) (Restored, error) {
	r := restoring{b: b, from: from, tell: at}
	if at == nil {
		r.tell = func(Restored) {}
	}
	now, then, err := bothNow(ctx, b, from)
	defer runtime.KeepAlive(then) // what is put shares its content
	if err == nil {
		err = r.count(listedDiff(ctx, now, then, prefix))
	}
	if err == nil {
		err = r.run(ctx, listedDiff(ctx, now, then, prefix))
	}
	return r.done, err
}

// restoring is one restore.
type restoring struct {
	b, from *Bucket

	mu   sync.Mutex
	done Restored
	tell func(Restored)
}

func (r *restoring) count(differences iter.Seq2[Difference, error]) error {
	for d, err := range differences {
		if err != nil {
			return err
		}
		if reserved(d.Key) {
			continue
		}
		if r.done.Differed++; r.done.Differed%restoreTells == 0 {
			r.tell(r.done)
		}
	}
	r.tell(r.done)
	return nil
}

func (r *restoring) run(ctx context.Context, differences iter.Seq2[Difference, error]) error {
	keys, ctx := errgroup.WithContext(ctx)
	keys.SetLimit(restoringAtOnce)
	var failed error
	for d, err := range differences {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			failed = err
			break
		}
		keys.Go(func() error { return r.one(ctx, d) })
	}
	if err := keys.Wait(); err != nil {
		return err
	}
	return failed
}

func (r *restoring) one(ctx context.Context, d Difference) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := r.b.restore(ctx, r.from, d)
	skipped := errors.Is(err, ErrPrecondition) || errors.Is(err, ErrNoSuchKey)
	if err != nil && !skipped {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case skipped:
		r.done.Skipped++
	case reserved(d.Key):
	case d.To == nil:
		r.done.Deleted++
	default:
		r.done.Put++
	}
	r.tell(r.done)
	return nil
}

func (b *Bucket) restore(ctx context.Context, from *Bucket, d Difference) error {
	if reserved(d.Key) {
		return b.restoreReserved(ctx, d)
	}
	cond := Cond{Absent: d.From == nil}
	if d.From != nil {
		cond.Version = &d.From.VersionID
	}
	if d.To == nil {
		_, err := b.Delete(ctx, d.Key, cond)
		return err
	}
	if d.From != nil && d.From.VersionID == d.To.VersionID {
		return b.restoreAttributes(ctx, d, cond)
	}
	if checkKey(d.Key) != nil { // the name of a loser, which no key can have
		return ErrPrecondition
	}
	a := d.To.Attrs
	a.Tags = d.To.Tags()
	_, err := b.Copy(ctx, from.object(*d.To), d.Key, a, cond)
	return err
}

// restoreAttributes gives a version that stayed what was changed of it since.
func (b *Bucket) restoreAttributes(ctx context.Context, d Difference, cond Cond) error {
	for _, name := range attributes {
		was := d.To.Attribute(name)
		if bytes.Equal(was, d.From.Attribute(name)) {
			continue
		}
		if _, err := b.SetAttribute(ctx, d.Key, VersionRef{ID: d.To.VersionID}, name, was, cond); err != nil {
			return err
		}
	}
	return nil
}
