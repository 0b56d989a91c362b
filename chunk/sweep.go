package chunk

import "context"

// Sweeper is a place that gives chunks up. Only collection receives it: it is no part of [Store].
type Sweeper interface {
	// Condemn begins a cycle: all chunks of the domains for which keep says false are condemned where they lie. From when it returns they are absent for Missing and
	// Put, which writes them anew elsewhere, and are still read. It is a guess: nothing is lost by one that is wrong. There is one cycle at a time; [Sweep.End]
	// must be called. keep is called by one goroutine at a time, of each chunk at least once.
	Condemn(ctx context.Context, domains []Domain, keep func(ID) bool) (Sweep, error)
}

// Sweep is a cycle of collection of one place. It is not safe for concurrent use.
type Sweep interface {
	// Condemned is how much was.
	Condemned() Swept
	// Expunge removes what was condemned, lies where it lay then, and for which keep says false: for good, a crash included, when it returns. keep must be
	// true of whatever was answered to be held before Condemn returned, and may be named by somebody.
	Expunge(ctx context.Context, keep func(ID) bool) (Swept, error)
	// Compact gives the room back that removed chunks took, of this cycle and before.
	Compact(ctx context.Context, o Compaction) (Compacted, error)
	// End ends the cycle. What was condemned and not removed is held again.
	End()
}

// Swept is a number of chunks, and of their bytes as they were stored.
type Swept struct {
	Chunks int64 `json:"chunks"`
	Bytes  int64 `json:"bytes"`
}

// Add is the sum of both.
func (s Swept) Add(o Swept) Swept { return Swept{s.Chunks + o.Chunks, s.Bytes + o.Bytes} }

// Compaction says how room is given back: what is left of a file of chunks is copied, and the file removed.
type Compaction struct {
	// Dead is the part of a file that must be of no use, in percent, for the rest to be copied; 0 stands for 30. With 100 only files that are of no
	// use at all go.
	Dead int
	// Rate bounds what is copied, in bytes a second; 0: nothing does.
	Rate int64
	// Done is told after each file, unless nil.
	Done func(Compacted)
}

// Compacted is what a compaction did.
type Compacted struct {
	Files   int   `json:"files"`   // that are gone
	Freed   int64 `json:"freed"`   // bytes that they took
	Copied  int64 `json:"copied"`  // bytes of them that were still of use
	Dead    int64 `json:"dead"`    // bytes of no use that are left
	Skipped int   `json:"skipped"` // files that were to go and could not
}

// Add is the sum of both.
func (c Compacted) Add(o Compacted) Compacted {
	return Compacted{c.Files + o.Files, c.Freed + o.Freed, c.Copied + o.Copied, c.Dead + o.Dead, c.Skipped + o.Skipped}
}
