package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Snapshots that a schedule takes are told by their names, which nobody else can give: "auto-", how often, and the moment of the schedule that
// they are of.
const autoPrefix = "auto-"

const autoFormat = "20060102T150405Z"

func autoName(every time.Duration, slot time.Time) string {
	return autoPrefix + SpanText(every) + "-" + slot.UTC().Format(autoFormat)
}

// parseAuto reads what autoName writes.
func parseAuto(name string) (every time.Duration, slot time.Time, ok bool) {
	rest, ok := strings.CutPrefix(name, autoPrefix)
	if !ok {
		return 0, slot, false
	}
	span, at, _ := strings.Cut(rest, "-")
	every, ok = ParseSpan(span)
	slot, err := time.Parse(autoFormat, at)
	return every, slot, ok && err == nil && autoName(every, slot) == name
}

// docExpire + bucket id + "/" + snapshot id -> until when it is kept, as fixed64 HLC in field 1: the bucket's home deletes it then.
const docExpire = "expire/"

func (d *snapshotDoc) expireKey() string { return docExpire + d.bucket.String() + "/" + d.id.String() }

// takeExpire takes an end of a snapshot in. The caller holds mu.
func (n *names) takeExpire(rest string, v *Version) error {
	bucket, id, _ := strings.Cut(rest, "/")
	b, err := ParseBucketID(bucket)
	if err != nil {
		return err
	}
	sid, err := ParseSnapshotID(id)
	if err != nil {
		return err
	}
	r := SnapshotRef{b, sid}
	if v == nil {
		delete(n.expire, r)
		return nil
	}
	return eachField("end of a snapshot", v.Data, func(f field) error {
		if f.num != 1 {
			return fmt.Errorf("end of a snapshot, field %d: %w", f.num, ErrForeign)
		}
		n.expire[r] = HLC(f.n)
		return nil
	})
}

// ends are when snapshots of a bucket are deleted by its home.
func (n *names) ends(b BucketID) map[SnapshotID]time.Time {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var out map[SnapshotID]time.Time
	for r, until := range n.expire {
		if r.Bucket != b {
			continue
		}
		if out == nil {
			out = map[SnapshotID]time.Time{}
		}
		out[r.ID] = until.Time()
	}
	return out
}

// CreateSnapshotFor is [Bucket.CreateSnapshot] of one that the bucket's home deletes after a time.
func (b *Bucket) CreateSnapshotFor(ctx context.Context, name string, keep time.Duration) (SnapshotInfo, error) {
	if keep <= 0 || keep > 100*maxSnapshotEvery {
		return SnapshotInfo{}, fmt.Errorf("keep a snapshot for %v: %w", keep, ErrInvalidArgument)
	}
	i, err := b.CreateSnapshot(ctx, name)
	if err != nil {
		return i, err
	}
	d := snapshotDoc{bucket: b.id, id: i.ID}
	until := i.Created.Add(keep)
	if err := b.s.putDoc(ctx, d.expireKey(), putFixed(nil, 1, uint64(hlcAt(until)))); err != nil {
		return i, fmt.Errorf("snapshot %q is kept for ever: %w", name, err)
	}
	i.Until = until.UTC()
	return i, nil
}

const (
	scheduleLook  = time.Second // how often schedules are looked at
	scheduleAgain = time.Minute // after something failed
)

// scheduling takes and deletes snapshots as the settings of the buckets say whose home this is.
func (s *Segment) scheduling(ctx context.Context) {
	if s.cfg.sealsWait {
		return
	}
	tick := time.NewTicker(scheduleLook)
	defer tick.Stop()
	after := map[BucketID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-tick.C:
		}
		for _, b := range s.allBuckets() {
			if time.Now().Before(after[b.id]) {
				continue
			}
			if err := b.keepSchedule(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("scheduled snapshots wait, trying again", "bucket", b.id, "error", err)
				after[b.id] = time.Now().Add(scheduleAgain)
			}
		}
	}
}

// keepSchedule does what is due now. Moments that were missed are made up for by the last of them alone.
func (b *Bucket) keepSchedule(ctx context.Context) error {
	set := b.Settings()
	ends := b.s.names.ends(b.id)
	if set.Snapshots == "" && len(ends) == 0 || !b.Linked() || b.id == FederationBucket || b.Err() != nil || !b.isHome(set) || b.gone() {
		return nil
	}
	now := b.s.cfg.Clock().UTC()
	var failed error
	for _, r := range set.Snapshots.Rules() {
		failed = errors.Join(failed, b.takeDue(ctx, r, now), b.deleteSurplus(ctx, r))
	}
	return errors.Join(failed, b.deleteEnded(ctx, ends, now))
}

// auto is a snapshot that a schedule took.
type auto struct {
	name string // as listed
	slot time.Time
}

// autos are those of a rule, the newest first.
func (b *Bucket) autos(r SnapshotRule) (out []auto) {
	for _, s := range b.shownSnapshots() {
		if every, slot, ok := parseAuto(s.doc.name); ok && every == r.Every {
			out = append(out, auto{s.name, slot})
		}
	}
	slices.SortStableFunc(out, func(x, y auto) int { return y.slot.Compare(x.slot) })
	return out
}

// takeDue takes the snapshot of the last moment of a rule, unless there is one.
func (b *Bucket) takeDue(ctx context.Context, r SnapshotRule, now time.Time) error {
	slot := now.Truncate(r.Every)
	b.taken.Lock()
	defer b.taken.Unlock()
	if last, ok := b.took[r.Every]; ok && !slot.After(last) { // or it was deleted since
		return nil
	}
	if all := b.autos(r); len(all) == 0 || slot.After(all[0].slot) {
		if _, err := b.createSnapshot(ctx, autoName(r.Every, slot)); err != nil {
			return err
		}
	}
	if b.took == nil {
		b.took = map[time.Duration]time.Time{}
	}
	b.took[r.Every] = slot
	return nil
}

// deleteSurplus deletes what a rule keeps no longer.
func (b *Bucket) deleteSurplus(ctx context.Context, r SnapshotRule) error {
	all := b.autos(r)
	for _, a := range all[min(len(all), r.Keep):] {
		if err := b.DeleteSnapshot(ctx, a.name); err != nil && !errors.Is(err, ErrNoSuchSnapshot) {
			return err
		}
	}
	return nil
}

// lateSnapshot is for how long a snapshot that is to be deleted and is not known here may be on its way.
const lateSnapshot = 30 * 24 * time.Hour

// deleteEnded deletes snapshots that were to be kept until now, and what says so.
func (b *Bucket) deleteEnded(ctx context.Context, ends map[SnapshotID]time.Time, now time.Time) error {
	for id, until := range ends {
		if now.Before(until) {
			continue
		}
		known := false
		for _, s := range b.shownSnapshots() {
			if s.doc.id != id {
				continue
			}
			known = true
			if err := b.DeleteSnapshot(ctx, s.name); err != nil && !errors.Is(err, ErrNoSuchSnapshot) {
				return err
			}
		}
		if !known && now.Sub(until) < lateSnapshot {
			continue
		}
		d := snapshotDoc{bucket: b.id, id: id}
		if _, err := b.s.federation.Delete(ctx, d.expireKey(), Cond{Resolve: true}); err != nil {
			return err
		}
	}
	return nil
}
