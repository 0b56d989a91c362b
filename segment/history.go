package segment

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// EventKind says what happened to a bucket.
type EventKind string

const (
	EventCreated  EventKind = "created"  // the bucket was made, of another as a branch perhaps
	EventRoot     EventKind = "root"     // it was remembered at this segment as it was: it can be read as of then
	EventSnapshot EventKind = "snapshot" // a snapshot was made
	EventBranch   EventKind = "branch"   // a branch of it was made
	EventMerged   EventKind = "merged"   // another bucket was merged into it
	EventMerge    EventKind = "merge"    // it was merged into another
)

// Event is one thing that happened to a bucket.
type Event struct {
	Time     time.Time         `json:"time"`
	Kind     EventKind         `json:"kind"`
	Segment  string            `json:"segment,omitempty"` // where
	Name     string            `json:"name,omitempty"`    // of the snapshot, or the other bucket
	Root     *chunk.ID         `json:"root,omitempty"`
	Objects  int64             `json:"objects"`
	Bytes    int64             `json:"bytes"`
	Writes   map[string]uint64 `json:"writes,omitempty"`   // of a root: since the one before, by segment
	Settings *Settings         `json:"settings,omitempty"` // of a root: that were set since the one before
	Merged   *Merged           `json:"merged,omitempty"`

	stamp HLC
}

// Events is a page of what happened, the newest first.
type Events struct {
	Events []Event
	Next   HLC // Before of the next page; 0 at the end
}

// Log tells what happened to the bucket before a time, 0 for now: what the federation's documents say, and the roots that are remembered here. It
// costs about what the page holds.
func (b *Bucket) Log(ctx context.Context, before HLC, limit int) (Events, error) {
	if before == 0 {
		before = ^HLC(0)
	}
	var all []Event
	roots, err := b.rootEvents(ctx, before-1, limit+1)
	if err != nil {
		return Events{}, err
	}
	for _, e := range append(roots, b.documentEvents()...) {
		if e.stamp < before {
			e.Time = e.stamp.Time()
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(x, y Event) int { return cmp.Compare(y.stamp, x.stamp) })
	page := Events{Events: all}
	if len(all) > limit {
		page.Events, page.Next = all[:limit], all[limit-1].stamp
	}
	return page, nil
}

// rootEvents are remembered roots, the newest first, each with what came since the one before it.
func (b *Bucket) rootEvents(ctx context.Context, from HLC, limit int) (out []Event, _ error) {
	was := root{seen: Vector{}}
	if o := b.doc.Load().origin; o != nil {
		was.seen = o.seen
	}
	var lastRoot root
	for e, err := range b.roots(ctx, from) {
		if err != nil {
			return nil, err
		}
		r, err := parseRoot(e.root)
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 {
			b.whatIsNew(&out[n-1], lastRoot, r)
		}
		if len(out) == limit {
			return out, nil
		}
		id := b.domain.Name(e.root)
		out = append(out, Event{Kind: EventRoot, stamp: e.time, Segment: b.s.Name(), Root: &id, Objects: e.stats.objects, Bytes: e.stats.bytes})
		lastRoot = r
	}
	if n := len(out); n > 0 {
		b.whatIsNew(&out[n-1], lastRoot, was)
	}
	return out, nil
}

// whatIsNew says what is in one root and not in the one before.
func (b *Bucket) whatIsNew(e *Event, r, was root) {
	e.Writes = map[string]uint64{}
	for origin, n := range r.seen {
		if n > was.seen[origin] {
			e.Writes[b.s.SegmentName(origin.Segment)] += n - was.seen[origin]
		}
	}
	if r.settings.by != was.settings.by {
		set := r.settings.Settings
		e.Settings = &set
	}
}

// documentEvents are those that all segments know.
func (b *Bucket) documentEvents() []Event {
	s, doc := b.s, b.doc.Load()
	all := s.view()
	names := map[BucketID]string{}
	for _, v := range all {
		names[v.doc.id] = v.name
	}
	made := Event{Kind: EventCreated, stamp: doc.created, Segment: s.SegmentName(doc.home)}
	if o := doc.origin; o != nil {
		made.Name, made.Objects, made.Bytes = names[o.parent], o.stats.objects, o.stats.bytes
	}
	out := []Event{made}
	for _, v := range b.shownSnapshots() {
		d := v.doc
		out = append(out, Event{Kind: EventSnapshot, stamp: d.created, Segment: s.SegmentName(d.by), Name: v.name, Objects: d.stats.objects, Bytes: d.stats.bytes})
	}
	for _, v := range all {
		o := v.doc.origin
		if o == nil {
			continue
		}
		if o.parent == b.id {
			out = append(out, Event{Kind: EventBranch, stamp: v.doc.created, Segment: s.SegmentName(v.doc.home), Name: v.name, Objects: o.stats.objects, Bytes: o.stats.bytes})
		}
		for _, m := range s.names.mergesOf(v.doc.id) {
			e := Event{stamp: m.created, Segment: s.SegmentName(m.by), Merged: &m.merged}
			switch b.id {
			case m.into:
				e.Kind, e.Name = EventMerged, names[m.from]
			case m.from:
				e.Kind, e.Name = EventMerge, names[m.into]
			default:
				continue
			}
			out = append(out, e)
		}
	}
	return out
}

// KeyVersion is a version in the story of a key.
type KeyVersion struct {
	Version
	Current bool
	Open    bool // in conflict with the current one
}

// KeyLog are the versions of a key that are held, the newest first, after one, nil for all, at most limit. Of a bucket that keeps no versions it is
// what is there now. The name of a loser, while that is shown there, has one version.
func (b *Bucket) KeyLog(ctx context.Context, key string, after *VersionID, limit int) (out []KeyVersion, more bool, _ error) {
	loser, err := b.loserShown(ctx, key, VersionRef{})
	if err != nil {
		return nil, false, err
	}
	if loser != nil {
		if after == nil {
			out = []KeyVersion{{*loser, false, true}}
		}
		return out, false, nil
	}
	h, err := b.view(key).head(ctx, key)
	if err != nil {
		return nil, false, err
	}
	losers := h.losers()
	for v, err := range b.eachVersion(ctx, key, after) {
		if err != nil {
			return nil, false, err
		}
		if v.Key != key {
			break
		}
		if after != nil && v.VersionID == *after {
			continue
		}
		if len(out) == limit {
			return out, true, nil
		}
		open := slices.ContainsFunc(losers, func(l *Version) bool { return l.VersionID == v.VersionID })
		out = append(out, KeyVersion{h.told(v), v.VersionID == h.current().VersionID, open})
	}
	return out, false, nil
}
