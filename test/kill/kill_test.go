package kill

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/history"
	"github.com/edgefs/edgefs/test/process"
)

var (
	count = flag.Int("kill.count", 10, "how often the segment is killed")
	renew = flag.Int("kill.renew", 25, "kills after which another directory begins, so that the disk does not get full")
	most  = flag.Duration("kill.load", 1500*time.Millisecond, "the longest time between the first write and the kill")
)

// TestNothingAcknowledgedIsLostByAKill kills the real binary at random moments of a load of puts, overwrites and deletes; sometimes it is killed
// again while it starts.
func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	n := *count
	if testing.Short() && n > 3 {
		n = 3
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &campaign{t: t, binary: process.Build(t), rng: rand.New(rand.NewPCG(seed, 1))}
	defer c.end()
	for i := range n {
		if i%*renew == 0 {
			c.begin()
		}
		c.round(i)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills under load, %d during a start; %d writes acknowledged, %d of unknown outcome, %d keys checked, nothing lost", n, c.early, c.acked, c.unknown, c.keys)
}

// campaign is a series of rounds.
type campaign struct {
	t      *testing.T
	binary string
	rng    *rand.Rand
	dir    string
	server *process.Server

	early          int
	acked, unknown uint64
	keys           int
	devices        int   // that were added
	littered       int64 // bytes that were deleted beside the load
}

// begin makes a new segment, with a new history.
func (c *campaign) begin() {
	c.end()
	var err error
	if c.dir, err = os.MkdirTemp("", "edgefs-kill-"); err != nil {
		c.t.Fatal(err)
	}
	c.server = process.Serve(c.t, c.binary, c.data())
}

func (c *campaign) end() {
	if c.server == nil {
		return
	}
	if err := c.server.Kill(); err != nil {
		c.t.Error(err)
	}
	c.server = nil
	if c.t.Failed() {
		c.t.Logf("data and history are kept in %s", c.dir)
		return
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.t.Error(err)
	}
}

func (c *campaign) client() *loadtest.Client { c.t.Helper(); return c.server.Client(c.t, "history") }

func (c *campaign) data() string { return filepath.Join(c.dir, "data") }

// round loads, kills, starts again and checks.
func (c *campaign) round(i int) {
	c.t.Helper()
	after := time.Duration(c.rng.Int64N(int64(*most)))
	put, err := c.load(after)
	if err != nil {
		c.t.Errorf("round %d: load: %v\n%s", i, err, c.server.Words())
		return
	}
	early := 0
	for c.rng.IntN(4) == 0 {
		c.killDuringStart()
		early++
	}
	c.early += early
	c.server = process.Serve(c.t, c.binary, c.data())
	c.check(fmt.Sprintf("round %d: killed after %v", i, after.Round(time.Millisecond)), put, early)
}

// check compares what there is with what was acknowledged.
func (c *campaign) check(what string, put history.PutReport, early int) {
	c.t.Helper()
	report, err := history.Check(c.t.Context(), c.client(), history.CheckOptions{State: c.state(), Bucket: "history", Workers: 8})
	if err != nil {
		c.t.Errorf("%s: check: %v\n%s", what, err, c.server.Words())
		return
	}
	c.acked, c.unknown, c.keys = c.acked+put.Acknowledged, c.unknown+put.Unknown, c.keys+report.Keys
	c.t.Logf("%s: %d acknowledged, %d unknown, %d killed while starting; started in %v; %d keys: %d as acknowledged, %d as in flight, %d listed, %d wrong",
		what, put.Acknowledged, put.Unknown, early, c.server.Took.Round(time.Millisecond), report.Keys, report.Acked, report.InFlight, report.Listed, report.Failures)
	for _, example := range report.Examples {
		c.t.Errorf("%s: %s", what, example)
	}
}

func (c *campaign) state() string { return filepath.Join(c.dir, "history") }

// outcome is that of a load.
type outcome struct {
	report history.PutReport
	err    error
}

// beginLoad writes until the server is killed, and tells then what it did.
func (c *campaign) beginLoad() <-chan outcome {
	c.t.Helper()
	sizes, err := loadtest.ParseSizes("4KiB:85,64KiB:12,1MiB:3")
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan outcome, 1)
	client := c.client()
	go func() {
		r, err := history.Put(context.Background(), client, history.PutOptions{
			State: c.state(), Bucket: "history", Workers: 16, Keys: 16, Sizes: sizes, Deletes: 0.1, UntilDown: true,
		})
		done <- outcome{r, err}
	}()
	return done
}

// load writes for a while, and kills the server.
func (c *campaign) load(after time.Duration) (history.PutReport, error) {
	done := c.beginLoad()
	select {
	case <-time.After(after):
	case o := <-done: // it has failed
		return o.report, fmt.Errorf("the load ended before the kill: %w", o.err)
	}
	err := c.server.Kill()
	o := <-done
	if err == nil {
		err = o.err
	}
	return o.report, err
}

// killDuringStart starts the server and kills it before, or just after, it serves.
func (c *campaign) killDuringStart() {
	c.t.Helper()
	s, ready, err := process.Launch(c.binary, c.data())
	if err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-time.After(time.Duration(c.rng.Int64N(int64(80 * time.Millisecond)))):
	case <-ready:
	}
	if err := s.Kill(); err != nil {
		c.t.Fatal(err)
	}
}
