package measure

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// WatchMemory samples this process' anonymous memory, until stop is called. stop may be called again.
func WatchMemory() (peak *atomic.Int64, stop func()) {
	peak = new(atomic.Int64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			peak.Store(max(peak.Load(), Anonymous()))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	var stopped atomic.Bool
	return peak, func() {
		if stopped.CompareAndSwap(false, true) {
			close(end)
		}
		<-ended
	}
}

// Written is how many bytes this process has sent towards a disk.
func Written() int64 { return field("/proc/self/io", "write_bytes:") }

// Asked is how many bytes it has asked for, of files and others.
func Asked() int64 { return field("/proc/self/io", "rchar:") }

// Anonymous is the memory that this process holds for itself, RssAnon, in bytes.
func Anonymous() int64 { return 1024 * field("/proc/self/status", "RssAnon:") }

// Processor is the time that this process has had of processors.
func Processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// field is a number in a file of /proc; 0 where there is none.
func field(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), name)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(words[0], 10, 64)
	return n
}
