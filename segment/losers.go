package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Open losers are bounded by the bucket's settings (LoserBounds). The bucket's home alone takes away what is beyond: its records say which
// versions go, as any record does, so that every segment comes to the same state, whatever clocks and settings it has.

const (
	losersPage = 256  // keys in conflict that are looked at under one snapshot
	crowdedMax = 1024 // keys with too many losers that wait to be looked at; more are found by the next look at all
)

// bounding is what goes on about the bounds of losers.
type bounding struct {
	mu      sync.Mutex // one look at a time
	crowded chan crowd
}

// crowd is a key that has got more losers than its bucket keeps. The bucket is told by its id: what saw that may be one that is made anew aside
// ([Segment.revive]), and would give names to writes that the segment's own gives too.
type crowd struct {
	bucket BucketID
	key    string
}

// crowds tells that a write left the key with too many losers. The caller holds the bucket's mu.
func (b *Bucket) crowds(key string, h head) {
	set := b.settings.Load()
	keep := set.Losers.Keep
	if keep == 0 || reserved(key) || len(h.versions) <= keep || len(h.losers()) <= keep || !b.isHome(set.Settings) {
		return
	}
	select {
	case b.s.bounding.crowded <- crowd{b.id, key}:
	default:
	}
}

// boundingLosers keeps the losers of the buckets whose home this is within their bounds: of a key at once when it gets too many, of all every
// so often.
func (s *Segment) boundingLosers(ctx context.Context) {
	if s.cfg.alone {
		return
	}
	t := time.NewTicker(s.cfg.LosersEvery)
	defer t.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case c := <-s.bounding.crowded:
			_, err = s.disperse(ctx, c)
		case <-t.C:
			err = s.boundAll(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("losers of conflicts could not be bounded, trying again", "error", err)
		}
	}
}

// disperse takes away the losers of a crowd.
func (s *Segment) disperse(ctx context.Context, c crowd) (int64, error) {
	b := s.bucket(c.bucket)
	if b == nil || b.Err() != nil { // it is looked at again when it can be
		return 0, nil
	}
	return b.boundKey(ctx, c.key, b.Settings().Losers)
}

func (s *Segment) boundAll(ctx context.Context) error {
	for _, b := range s.allBuckets() {
		if b.id == FederationBucket || b.id == localBucket {
			continue
		}
		if _, err := b.BoundLosers(ctx); err != nil {
			return fmt.Errorf("bound the losers of bucket %v: %w", b.id, err)
		}
	}
	return nil
}

// BoundLosers takes away the losers that are beyond the bucket's bounds, now and not when the segment gets to it, and says how many they were.
// Elsewhere than at the bucket's home it does nothing.
func (b *Bucket) BoundLosers(ctx context.Context) (dropped int64, err error) {
	set := b.Settings()
	if set.Losers == (LoserBounds{}) || b.frozen != "" || b.Err() != nil || !b.isHome(set) {
		return 0, nil
	}
	for after := ""; ; {
		page, err := b.Conflicts(ctx, after, losersPage)
		if err != nil {
			return dropped, err
		}
		for _, c := range page {
			n, err := b.boundKey(ctx, c.Key, set.Losers)
			if dropped += n; err != nil {
				return dropped, err
			}
			after = c.Key
		}
		if len(page) < losersPage {
			break
		}
	}
	return dropped, b.forgetLosses(ctx)
}

// boundKey takes away the losers of one key that are beyond the bounds: of those that are too many the oldest.
func (b *Bucket) boundKey(ctx context.Context, key string, bounds LoserBounds) (int64, error) {
	b.s.bounding.mu.Lock()
	defer b.s.bounding.mu.Unlock()
	var old map[VersionID]bool
	if bounds.Days > 0 {
		var err error
		if old, err = b.lostBefore(ctx, key, hlcAt(b.s.cfg.Clock().AddDate(0, 0, -bounds.Days))); err != nil {
			return 0, err
		}
	}
	in, err := b.enter(ctx, key)
	if err != nil {
		return 0, err
	}
	defer in.leave()
	var beyond []*Version
	p, err := b.planned(ctx, key, func(h head, v keyView) (effect, error) {
		for i, l := range h.losers() { // the newest first
			if bounds.Keep > 0 && i >= bounds.Keep || old[l.VersionID] {
				beyond = append(beyond, l)
			}
		}
		if len(beyond) == 0 || !b.isHome(v.settings.Settings) {
			return effect{}, errStop
		}
		return h.dismissal(key, v.settings.Versioning, beyond...), nil
	})
	if err == errStop {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	count, err := b.s.planDropped(ctx, b.id, int64(len(beyond)))
	if err != nil {
		return 0, err
	}
	return int64(len(beyond)), b.s.submit(p, count) // one step: what goes is counted
}

// DroppedLosers is how many losers were taken away because of a bucket's bounds, by all the homes that it has had, and when the last was.
type DroppedLosers struct {
	Count int64
	Last  time.Time
}

// docDropped + bucket id + "/" + segment id -> droppedDoc: each home counts for itself.
const docDropped = "dropped/"

type droppedDoc struct {
	count uint64
	last  HLC
}

const droppedDocFormat = 1

func (d droppedDoc) appendTo(b []byte) []byte {
	return putFixed(putUint(putUint(b, 1, droppedDocFormat), 2, d.count), 3, uint64(d.last))
}

func parseDroppedDoc(b []byte) (d droppedDoc, err error) {
	format := uint64(0)
	err = eachField("count of dropped losers", b, func(f field) error {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			d.count = f.n
		case 3:
			d.last = HLC(f.n)
		}
		return nil
	})
	if err == nil && (format != droppedDocFormat || d.count >= 1<<62) {
		err = badFormat("count of dropped losers")
	}
	return d, err
}

func droppedKey(b BucketID, by ID) string { return docDropped + b.String() + "/" + by.String() }

// planDropped counts n more. The caller holds bounding's mu: nobody else writes the document.
func (s *Segment) planDropped(ctx context.Context, id BucketID, n int64) (plan, error) {
	key := droppedKey(id, s.cfg.ID)
	return s.federation.planned(ctx, key, func(h head, _ keyView) (effect, error) {
		var d droppedDoc
		if v := h.content(); v != nil {
			var err error
			if d, err = parseDroppedDoc(v.Data); err != nil {
				return effect{}, err
			}
		}
		d.count, d.last = d.count+uint64(n), hlcAt(s.cfg.Clock())
		e := h.address(key, Unversioned, true) // also what a life of ours counted that a backup did not know
		e.hold = &Version{Key: key, Null: true, Data: d.appendTo(nil)}
		return e, nil
	})
}

// takeDropped takes such a document in. The caller holds mu.
func (n *names) takeDropped(rest string, v *Version) error {
	bucket, by, err := parseDroppedKey(rest)
	if err != nil || v == nil {
		return err
	}
	d, err := parseDroppedDoc(v.Data)
	if err != nil {
		return err
	}
	if n.dropped[bucket] == nil {
		n.dropped[bucket] = map[ID]droppedDoc{}
	}
	n.dropped[bucket][by] = d
	return nil
}

func parseDroppedKey(rest string) (id BucketID, by ID, err error) {
	if len(rest) != 2*len(id)+1+16 {
		return id, by, badFormat("count of dropped losers")
	}
	if id, err = ParseBucketID(rest[:2*len(id)]); err == nil {
		by, err = ParseID(rest[2*len(id)+1:])
	}
	return id, by, err
}

// Dropped is how many losers the bucket's bounds have cost, as far as this segment knows.
func (b *Bucket) Dropped() (d DroppedLosers) {
	b.s.names.mu.RLock()
	defer b.s.names.mu.RUnlock()
	var last HLC
	for _, doc := range b.s.names.dropped[b.id] {
		d.Count += int64(doc.count)
		last = max(last, doc.last)
	}
	if d.Count > 0 {
		d.Last = last.Time()
	}
	return d
}

// A loser's days begin when the home first saw that it lost: by its stamp it can be old when it comes, from a site that was cut off for long.
// So the home notes it, in a document of its own for each key: loss/ + bucket id + "/" + key -> the losers and when they were noted. What is
// here is never linked; another home begins anew.
const docLoss = "loss/"

type loss struct {
	version VersionID
	noted   HLC
}

const lossDocFormat = 1

func appendLosses(b []byte, all []loss) []byte {
	b = putUint(b, 1, lossDocFormat)
	for _, l := range all {
		b = putPart(b, 2, func(b []byte) []byte { return putFixed(putPart(b, 1, l.version.appendTo), 2, uint64(l.noted)) })
	}
	return b
}

func parseLosses(b []byte) (all []loss, err error) {
	format := uint64(0)
	err = eachField("losses", b, func(f field) error {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			var l loss
			err := eachField("loss", f.b, func(f field) (err error) {
				switch f.num {
				case 1:
					l.version, err = parseVersionID(f.b)
				case 2:
					l.noted = HLC(f.n)
				}
				return err
			})
			all = append(all, l)
			return err
		}
		return nil
	})
	if err == nil && format != lossDocFormat {
		err = badFormat("losses")
	}
	return all, err
}

func (b *Bucket) lossPrefix() string { return docLoss + b.id.String() + "/" }

// lostBefore notes which losers a key has, and says which were noted before a moment. The caller holds bounding's mu.
func (b *Bucket) lostBefore(ctx context.Context, key string, moment HLC) (map[VersionID]bool, error) {
	h, err := b.view(key).head(ctx, key)
	if err != nil {
		return nil, err
	}
	noted, err := b.losses(ctx, key)
	if err != nil {
		return nil, err
	}
	var now []loss
	old := map[VersionID]bool{}
	for _, l := range h.losers() {
		i := slices.IndexFunc(noted, func(n loss) bool { return n.version == l.VersionID })
		n := loss{l.VersionID, hlcAt(b.s.cfg.Clock())}
		if i >= 0 {
			n.noted = noted[i].noted
		}
		now = append(now, n)
		old[n.version] = n.noted < moment
	}
	if slices.Equal(now, noted) {
		return old, nil
	}
	return old, b.note(ctx, key, now)
}

func (b *Bucket) losses(ctx context.Context, key string) ([]loss, error) {
	v, err := b.s.local.Stat(ctx, b.lossPrefix()+key, VersionRef{})
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLosses(v.Data)
}

func (b *Bucket) note(ctx context.Context, key string, all []loss) error {
	if len(all) == 0 {
		_, err := b.s.local.Delete(ctx, b.lossPrefix()+key, Cond{})
		return err
	}
	_, err := b.s.local.put(ctx, Cond{}, Version{Key: b.lossPrefix() + key, Data: appendLosses(nil, all)}, nil)
	return err
}

// forgetLosses takes the notes away of keys that are in conflict no more.
func (b *Bucket) forgetLosses(ctx context.Context) error {
	b.s.bounding.mu.Lock()
	defer b.s.bounding.mu.Unlock()
	prefix := b.lossPrefix()
	for v, err := range b.s.local.eachCurrent(ctx, prefix) {
		if err != nil {
			return err
		}
		key, ok := strings.CutPrefix(v.Key, prefix)
		if !ok {
			return nil
		}
		h, err := b.view(key).head(ctx, key)
		if err != nil {
			return err
		}
		if h.conflicted() {
			continue
		}
		if err := b.note(ctx, key, nil); err != nil {
			return err
		}
	}
	return nil
}
