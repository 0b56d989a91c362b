package segment

import "time"

// pressure decides, apart from the schedule, when chunks are collected: where room is short, or much may be of no use. What is of no use is only known to a collection, so this is a guess: what devices have taken
// up since the last one, less what buckets list more by now. It knows nothing of versions, nor of content that is shared.
type pressure struct {
	ended          time.Time // of the last collection, or the start
	stored, listed int64     // bytes on devices, and of the objects that buckets list, at that time
}

const (
	collectLook  = time.Minute      // between looks at whether a collection is due
	collectPause = 10 * time.Minute // between collections that are not of the schedule
	deadShare    = 3                // one part of so many of what is stored
	deadLeast    = 1 << 30          // bytes
)

// due says why chunks should be collected now; nothing: they need not be.
func (p pressure) due(now time.Time, every time.Duration, stored, listed int64, scarce bool) string {
	since := now.Sub(p.ended)
	dead := (stored - p.stored) - (listed - p.listed)
	switch {
	case since >= every:
		return "it is time"
	case since < min(collectPause, every):
		return ""
	case scarce:
		return "room is short"
	case dead >= deadLeast && dead >= stored/deadShare:
		return "much may be of no use"
	}
	return ""
}
