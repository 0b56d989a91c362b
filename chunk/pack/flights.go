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
	landed chan struct{} // closed when nothing of it is open; nil while nobody waits
}

// claim takes those keys that nobody has, and returns their indices, with those of the others and what to wait for.
func (f *flights) claim(keys []Key) (mine, theirs []int, wait map[*flight]chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[Key]*flight{}
	}
	own := &flight{}
	mine = make([]int, 0, len(keys))
	for i, k := range keys {
		if other := f.open[k]; other != nil {
			if wait == nil {
				wait = map[*flight]chan struct{}{}
			}
			if other.landed == nil {
				other.landed = make(chan struct{})
			}
			wait[other] = other.landed
			theirs = append(theirs, i)
			continue
		}
		f.open[k] = own
		own.left++
		mine = append(mine, i)
	}
	return mine, theirs, wait
}

// land gives up claims: the chunks are in the index, or will not be.
func (f *flights) land(keys ...Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		own := f.open[k]
		delete(f.open, k)
		if own.left--; own.left == 0 && own.landed != nil {
			close(own.landed)
		}
	}
}
