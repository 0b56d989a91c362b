package story

import (
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// plainEvery is how often progress is told where no bar can move.
const plainEvery = 5 * time.Second

// Bar shows how far something has come: as a bar on a terminal, where it vanishes at the end; elsewhere as a line from time to time. It
// is safe for concurrent use.
type Bar struct {
	step  *Step
	bar   *progressbar.ProgressBar // nil without a terminal
	what  string
	total int64
	write func(int64) string // a count as people read it
	done  atomic.Int64
	tell  atomic.Int64 // when to tell next, in Unix nanoseconds
}

// Bar begins to show progress of what towards a total count.
func (st *Step) Bar(what string, total int64) *Bar { return st.bar(what, total, humanize.Comma) }

// BytesBar is a [Step.Bar] that counts bytes.
func (st *Step) BytesBar(what string, total int64) *Bar {
	return st.bar(what, total, func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }, progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true), progressbar.OptionShowTotalBytes(true))
}

func (st *Step) bar(what string, total int64, write func(int64) string, more ...progressbar.Option) *Bar {
	b := &Bar{step: st, what: what, total: total, write: write}
	b.tell.Store(time.Now().Add(plainEvery).UnixNano())
	if st.s.live {
		b.bar = progressbar.NewOptions64(total, append(more,
			progressbar.OptionSetWriter(st.s.out),
			progressbar.OptionSetDescription("         "+what),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(80*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionUseANSICodes(true),
		)...)
	}
	return b
}

// Add counts n more.
func (b *Bar) Add(n int64) { b.show(b.done.Add(n)) }

// Set says that n of the total are done.
func (b *Bar) Set(n int64) {
	b.done.Store(n)
	b.show(n)
}

func (b *Bar) show(n int64) {
	if b.bar != nil {
		_ = b.bar.Set64(min(n, b.total))
		return
	}
	now, due := time.Now(), b.tell.Load()
	if now.UnixNano() >= due && b.tell.CompareAndSwap(due, now.Add(plainEvery).UnixNano()) {
		b.step.Say("... %s: %s of %s", b.what, b.write(n), b.write(b.total))
	}
}

// Done takes the bar off the terminal.
func (b *Bar) Done() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
	}
}
