package segment

import (
	"cmp"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// KeptHistory is what only states of a bucket keep that are remembered: [Config.RememberFor].
type KeptHistory struct {
	Bucket BucketID  `json:"bucket"`
	Name   string    `json:"name"`
	States int       `json:"states"`
	Chunks int64     `json:"chunks"` // payload that nothing else reaches
	Bytes  int64     `json:"bytes"`  // of these, before they are compressed
	Until  time.Time `json:"until"`  // when the last of it is forgotten by itself

	times []HLC // of the states
}

// pastOf is what is kept of a bucket's past.
func (r *reached) pastOf(b *Bucket) *KeptHistory {
	for _, k := range r.history {
		if k.Bucket == b.id {
			return k
		}
	}
	k := &KeptHistory{Bucket: b.id, Name: b.calledName()}
	r.history = append(r.history, k)
	return k
}

// state notes a remembered state, and says until when it is: until the next one is older than the segment remembers. The newest states come first.
func (k *KeptHistory) state(at HLC, now time.Time, keep time.Duration) (until time.Time) {
	next := now
	for _, t := range k.times {
		if t > at && t.Time().Before(next) {
			next = t.Time()
		}
	}
	if !slices.Contains(k.times, at) {
		k.times = append(k.times, at)
		k.States++
	}
	return next.Add(keep)
}

// sized counts payload that nothing named before a state that is remembered.
func (r *reached) sized(id chunk.ID, size int64) {
	k := r.past.kept
	if x := idset.Of(id); k == nil || !r.mine(x) || r.ids.Has(x) {
		return
	}
	k.Chunks++
	k.Bytes += size
	if r.past.until.After(k.Until) {
		k.Until = r.past.until
	}
}

// addHistory adds what a mark of one part of all names has found to what marks of others did, the most bytes first.
func addHistory(all []KeptHistory, found []*KeptHistory) []KeptHistory {
	for _, k := range found {
		i := slices.IndexFunc(all, func(o KeptHistory) bool { return o.Bucket == k.Bucket })
		if i < 0 {
			all = append(all, *k)
			continue
		}
		o := &all[i]
		o.Chunks, o.Bytes, o.States = o.Chunks+k.Chunks, o.Bytes+k.Bytes, max(o.States, k.States)
		if k.Until.After(o.Until) {
			o.Until = k.Until
		}
	}
	slices.SortFunc(all, func(a, b KeptHistory) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return all
}
