package kill

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/history"
	"github.com/edgefs/edgefs/test/process"
)

var rounds = flag.Int("kill.jobs", 1, "how often the segment is killed in each of its background jobs")

// job is something that a segment does beside serving. It calls kill when it is known to be running, and returns when it has ended for that.
type job struct {
	name string
	run  func(c *campaign, kill func()) error
}

func jobs() []job {
	all := []job{{"draining", (*campaign).drain}, {"rebuilding the index", (*campaign).rebuild}, {"scrubbing", (*campaign).scrub}}
	for _, phase := range []string{"folding", "marking", "condemning", "marking again", "expunging", "compacting"} {
		all = append(all, job{phase, func(c *campaign, kill func()) error { return c.collect(phase, kill) }})
	}
	return all
}

// TestNothingIsLostByAKillInABackgroundJob kills the real binary under load while it is known to fold, mark, condemn, expunge, compact, scrub, drain a device, or
// make an index again. What was acknowledged is there after each; in the end a collection gives the room back of all that nothing reaches.
func TestNothingIsLostByAKillInABackgroundJob(t *testing.T) {
	todo := jobs()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	rng.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	if testing.Short() {
		todo = todo[:2]
	}
	c := &campaign{t: t, binary: process.Build(t), rng: rng}
	defer c.end()
	c.begin()
	for i := range *rounds {
		for _, j := range todo {
			if c.roundOf(i, j); t.Failed() {
				return
			}
		}
	}
	if err := c.wantNoGarbage(); err != nil {
		t.Error(err)
	}
}

// roundOf has the segment do a job under load, kills it in its midst, starts it again and checks.
func (c *campaign) roundOf(i int, j job) {
	c.t.Helper()
	err := c.litter(uint64(i))
	var put history.PutReport
	if err == nil {
		put, err = c.work(j)
	}
	if err != nil {
		c.t.Errorf("round %d: %s: %v\n%s", i, j.name, err, c.server.Words())
		return
	}
	c.server = process.Serve(c.t, c.binary, c.data())
	c.check(fmt.Sprintf("round %d: killed while %s", i, j.name), put, 0)
	if err := c.settle(); err != nil {
		c.t.Errorf("round %d: %s: %v\n%s", i, j.name, err, c.server.Words())
	}
}

// work runs a job and the load until the job has the segment killed.
func (c *campaign) work(j job) (history.PutReport, error) {
	done := c.beginLoad()
	c.soon()
	killed := false
	err := j.run(c, func() {
		if !killed {
			killed = true
			if err := c.server.Kill(); err != nil {
				c.t.Error(err)
			}
		}
	})
	if !killed {
		return history.PutReport{}, errors.Join(fmt.Errorf("it never ran: %w", err), c.server.Kill())
	}
	o := <-done
	return o.report, o.err
}

// litter puts and deletes what is collected some time.
func (c *campaign) litter(round uint64) error {
	content := loadtest.NewContent(c.rng.Uint64(), loadtest.Sizes{}, 0)
	session := c.client().Session()
	defer session.Close()
	for i := range 3 {
		key := fmt.Sprint("litter/", i)
		if err := session.Put(c.t.Context(), content.Sized(key, round, 2<<20)); err != nil {
			return err
		}
		if err := session.Delete(c.t.Context(), key); err != nil {
			return err
		}
		c.littered += 2 << 20
	}
	return nil
}

// soon is after a moment of the load, or of a job.
func (c *campaign) soon() { <-time.After(time.Duration(c.rng.Int64N(int64(200 * time.Millisecond)))) }

func (c *campaign) collect(phase string, kill func()) error {
	err := c.server.Admin(c.t).Collect(c.t.Context(), admin.CollectRequest{Dead: 1, Rate: 1 << 20}, func(e admin.CollectEvent) error {
		if e.Phase == phase {
			kill()
		}
		return nil
	})
	return err
}

// scrub reads what there is, so slowly that it takes a while.
func (c *campaign) scrub(kill func()) error {
	ctx, client := c.t.Context(), c.server.Admin(c.t)
	rate := int64(256 << 10)
	if err := client.StartScrub(ctx, admin.ScrubRequest{Rate: &rate}); err != nil {
		return err
	}
	return client.FollowScrub(ctx, func(s admin.Scrub) error {
		if s.Running {
			c.soon()
			kill()
		}
		return nil
	})
}

// drain adds a device and moves to it what another one has.
func (c *campaign) drain(kill func()) error {
	ctx, client := c.t.Context(), c.server.Admin(c.t)
	all, err := client.Devices(ctx)
	if err != nil {
		return err
	}
	c.devices++
	if _, err := client.AddDevice(ctx, filepath.Join(c.dir, fmt.Sprint("device-", c.devices))); err != nil {
		return err
	}
	if err := client.DrainDevice(ctx, all[0].ID); err != nil {
		return err
	}
	return client.FollowDevice(ctx, all[0].ID, func(d admin.Device) error {
		c.soon()
		kill()
		return nil
	})
}

// rebuild kills the segment, takes its indexes away, and kills it again when it has begun to make them anew.
func (c *campaign) rebuild(kill func()) error {
	kill()
	var gone []string
	for _, pattern := range []string{"data/*/device/index", "data/*/indexes/*"} {
		names, err := filepath.Glob(filepath.Join(c.data(), pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
		gone = append(gone, names...)
	}
	if len(gone) == 0 {
		return errors.New("there is no index")
	}
	s, ready, err := process.Launch(c.binary, c.data())
	if err != nil {
		return err
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for begun := false; !begun; {
		select {
		case <-ready: // too late
			begun = true
		case <-look.C:
			_, err := os.Stat(filepath.Join(gone[0], "MANIFEST"))
			begun = err == nil
		}
	}
	return s.Kill()
}

// settle lets a drain that was interrupted come to its end, and takes the device out.
func (c *campaign) settle() error {
	ctx, client := c.t.Context(), c.server.Admin(c.t)
	all, err := client.Devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.State != admin.DeviceDraining && d.State != admin.DeviceDrained {
			continue
		}
		if err := client.FollowDevice(ctx, d.ID, func(now admin.Device) error { d = now; return nil }); err != nil {
			return err
		}
		if d.State != admin.DeviceDrained {
			return fmt.Errorf("the drain ended as %s: %s", d.State, d.Why)
		}
		if err := client.RemoveDevice(ctx, d.ID, false); err != nil {
			return err
		}
	}
	return nil
}

// wantNoGarbage collects, and compares what devices hold with what there is.
func (c *campaign) wantNoGarbage() error {
	ctx, client := context.Background(), c.server.Admin(c.t)
	var last admin.CollectEvent
	if err := client.Collect(ctx, admin.CollectRequest{Dead: 1}, func(e admin.CollectEvent) error { last = e; return nil }); err != nil {
		return err
	}
	if last.BrokenOff != "" {
		return fmt.Errorf("the collection was broken off: %s", last.BrokenOff)
	}
	bucket, err := client.Bucket(ctx, "history", false)
	if err != nil {
		return err
	}
	devices, err := client.Devices(ctx)
	if err != nil {
		return err
	}
	held := int64(0)
	for _, d := range devices {
		held += d.Bytes
	}
	live := bucket.Stats.Bytes
	c.t.Logf("in the end: %d bytes in the bucket, %d on devices; %d bytes were deleted beside the load", live, held, c.littered)
	if most := live + live/8 + c.littered/2; held > most {
		return fmt.Errorf("devices hold %d bytes, at most %d are of use", held, most)
	}
	return nil
}
