package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ticksPerSecond is USER_HZ, in which /proc counts CPU time: 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// samplePeriod is how often memory is looked at; a shorter peak may be missed.
const samplePeriod = 100 * time.Millisecond

// processWatch measures what processes here spend between its start and its end.
type processWatch struct {
	pids    []int
	before  time.Duration
	self    time.Duration
	done    chan struct{}
	sampler sync.WaitGroup
	peak    int64
}

// spending is what a watch has seen.
type spending struct {
	server, client time.Duration // CPU time
	peakAnon       int64         // bytes; the largest sum over the processes in one sample
}

// watchProcesses fails when a process is not there to be read.
func watchProcesses(pids []int) (*processWatch, error) {
	w := &processWatch{pids: pids, done: make(chan struct{}), self: selfCPU()}
	var err error
	if w.before, err = sumCPU(pids); err != nil {
		return nil, err
	}
	if len(pids) > 0 {
		w.sampler.Go(w.sample)
	}
	return w, nil
}

func (w *processWatch) sample() {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	for {
		w.look()
		select {
		case <-w.done:
			w.look()
			return
		case <-ticker.C:
		}
	}
}

func (w *processWatch) look() {
	var sum int64
	for _, pid := range w.pids {
		anon, err := rssAnon(pid)
		if err != nil {
			return // it ended; stop reports that
		}
		sum += anon
	}
	w.peak = max(w.peak, sum)
}

// stop ends the watch. An error means that a process was gone at the end, so that its figures are not known.
func (w *processWatch) stop() (spending, error) {
	close(w.done)
	w.sampler.Wait()
	s := spending{client: selfCPU() - w.self, peakAnon: w.peak}
	after, err := sumCPU(w.pids)
	if err != nil {
		return s, err
	}
	s.server = after - w.before
	return s, nil
}

func sumCPU(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		cpu, err := processCPU(pid)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += cpu
	}
	return sum, nil
}

// processCPU is the user and system time of a process, all threads, to 10 ms; proc(5).
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; what follows the last one are fields 3 and on.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has %d fields", len(fields))
	}
	var ticks uint64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// rssAnon is a process's resident memory that no file backs, in bytes.
func rssAnon(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no RssAnon in the status of process %d", pid)
}

func selfCPU() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
