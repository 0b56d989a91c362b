package chunk

import (
	"context"
	"time"
)

// Scrubber is a place that reads all that it holds, and compares it with its names. Only the scrub receives it: it is no part of [Store].
type Scrubber interface {
	// Scrub reads everything on each device of the place once: it goes on with passes that are under way, and begins one where the last began before o.Since. What is damaged
	// is dropped, as by Get, and is then among Lost. It returns when no pass is under way any more, or, with the context's error, when ctx ends: the next call, after a
	// restart too, goes on there. There is one at a time.
	Scrub(ctx context.Context, o Scrubbing) error
	// Scrubbed is how far each device is. It asks no disk.
	Scrubbed() []Scrubbed
	// Lost are durable chunks of the domains that the place held, and has no copy of any more that can be read: what scrubs and readers found damaged, and what a disk does not give.
	// What has come back since is not among them. They are remembered across restarts, as far as they are not very many.
	Lost(ctx context.Context, domains []Domain) ([]Lost, error)
	// Forget forgets that chunks were lost, since nobody needs them.
	Forget(ctx context.Context, lost []Lost) error
}

// Scrubbing says how a scrub goes.
type Scrubbing struct {
	Domains []Domain
	Since   time.Time
	Rate    int64            // bytes a second that are read of each device at the most; 0: nothing bounds it
	Clock   func() time.Time // the wall's; nil: time.Now
	// Tell is told after each file of chunks, unless nil. Calls may overlap.
	Tell func()
}

// Scrubbed is how far the pass of a device is, or how its last one went.
type Scrubbed struct {
	Device   string    `json:"device"` // its folder
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"` // zero while it is under way
	Files    int       `json:"files"`          // of chunks, that are done
	AllFiles int       `json:"allFiles"`
	ScrubCount
	Lost int    `json:"lost"`          // chunks that have not come back, of this pass and before
	Why  string `json:"why,omitempty"` // the device is not scrubbed at present
}

// ScrubCount is what a pass found.
type ScrubCount struct {
	Chunks     int64 `json:"chunks"`     // that were read
	Bytes      int64 `json:"bytes"`      // of these, as they are stored
	Damaged    int64 `json:"damaged"`    // copies that were not what their names say
	Rewritten  int64 `json:"rewritten"`  // of these, that were whole but for what surrounds them: they were written once more
	Unreadable int64 `json:"unreadable"` // that the disk did not give
	Unknown    int64 `json:"unknown"`    // that are stored in a form which this build does not know: their checksums are right
	Unnamed    int64 `json:"unnamed"`    // of domains that are not known: their checksums are right
	Footers    int64 `json:"footers"`    // lists at the ends of files that were damaged
}

// Lost is a durable chunk that was held.
type Lost struct {
	Domain Domain
	ID     ID
	Class  Class
}
