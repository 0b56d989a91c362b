package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsAreDueAtTheRateWhateverTheWorkersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &pacer{start: start, duration: time.Second, rate: 100}
		var workers sync.WaitGroup
		var late, taken atomic.Int64
		for range 4 {
			workers.Go(func() {
				for {
					n, due, ok := p.turn(t.Context())
					if !ok {
						return
					}
					taken.Add(1)
					if want := start.Add(time.Duration(n) * 10 * time.Millisecond); !due.Equal(want) {
						t.Errorf("turn %d is due at %v, want %v", n, due.Sub(start), want.Sub(start))
					}
					if time.Since(due) > 0 {
						late.Add(1)
					}
					if n == 50 {
						time.Sleep(200 * time.Millisecond) // virtual: one stalled answer
					}
				}
			})
		}
		workers.Wait()
		if taken.Load() != 100 || late.Load() != 0 || p.unsent(time.Now()) != 0 {
			t.Errorf("%d turns taken, %d late, %d unsent; want 100, 0, 0", taken.Load(), late.Load(), p.unsent(time.Now()))
		}
	})
}

func TestTurnsWithoutAFreeWorkerAreUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacer{start: time.Now(), duration: time.Second, rate: 100}
		var taken uint64
		for {
			if _, _, ok := p.turn(t.Context()); !ok {
				break
			}
			taken++
			time.Sleep(30 * time.Millisecond) // virtual: an answer takes three turns
		}
		if unsent := p.unsent(time.Now()); taken != 34 || unsent != 66 {
			t.Errorf("%d taken, %d unsent; want 34 and 66", taken, unsent)
		}
	})
}

func TestTurnsEndByCountAndByContext(t *testing.T) {
	p := &pacer{start: time.Now(), count: 3}
	for want := range uint64(3) {
		if n, _, ok := p.turn(t.Context()); !ok || n != want {
			t.Fatalf("turn %d, %v, want %d", n, ok, want)
		}
	}
	if _, _, ok := p.turn(t.Context()); ok {
		t.Error("a fourth turn of three")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, ok := (&pacer{start: time.Now()}).turn(ended); ok {
		t.Error("a turn after the end")
	}
}
