package pack

import "sync"

// flights are the chunks that are being written, so that nobody writes the same one meanwhile.
type flights struct {
	mu   sync.Mutex
	open map[Key]*flight
}

// flight is what one Put has claimed.
type flight struct {
	left   int
	landed chan struct{} // closed when nothing of it is open
}

// claim takes those keys that nobody has, and returns their indices, with those of the others and the flights to wait for.
func (f *flights) claim(keys []Key) (mine, theirs []int, wait map[*flight]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[Key]*flight{}
	}
	own := &flight{landed: make(chan struct{})}
	for i, k := range keys {
		if other := f.open[k]; other != nil {
			if wait == nil {
				wait = map[*flight]bool{}
			}
			wait[other] = true
			theirs = append(theirs, i)
			continue
		}
		f.open[k] = own
		own.left++
		mine = append(mine, i)
	}
	return mine, theirs, wait
}

// land gives up a claim: the chunk is in the index, or will not be.
func (f *flights) land(k Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := f.open[k]
	delete(f.open, k)
	if own.left--; own.left == 0 {
		close(own.landed)
	}
}
