package segment

import (
	"hash/maphash"
	"sync"
)

// Applied is news of a version that became part of the state.
type Applied struct {
	Bucket  BucketID
	Version Version
	Local   bool // written here
	// Lost says that news of the bucket were dropped, because they came too fast or by a sync: whoever needs all looks for himself.
	// Version is then empty. A zero Bucket stands for all.
	Lost bool
}

// news tells watchers without ever waiting for one.
type news struct {
	mu   sync.Mutex
	subs map[*watcher]struct{}
}

type watcher struct {
	ch   chan Applied
	lost bool
}

const newsBuffer = 1024

// Watch tells of what is applied from now on, until stop is called. A slow watcher loses news, and is told that it did.
func (s *Segment) Watch() (applied <-chan Applied, stop func()) {
	w := &watcher{ch: make(chan Applied, newsBuffer)}
	s.news.mu.Lock()
	defer s.news.mu.Unlock()
	if s.news.subs == nil {
		s.news.subs = map[*watcher]struct{}{}
	}
	s.news.subs[w] = struct{}{}
	return w.ch, func() {
		s.news.mu.Lock()
		defer s.news.mu.Unlock()
		delete(s.news.subs, w)
	}
}

func (n *news) tell(w *write, local bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for sub := range n.subs {
		if len(w.record.effects) > newsBuffer { // there would be more than a watcher is told at once
			sub.send(Applied{Bucket: w.bucket, Lost: true})
			continue
		}
		for _, e := range w.record.effects {
			if e.hold != nil && !e.hold.Marker {
				sub.send(Applied{Bucket: w.bucket, Version: *e.hold, Local: local})
			}
		}
		if w.record.settings != nil {
			sub.send(Applied{Bucket: w.bucket, Lost: true})
		}
	}
}

func (n *news) lost(bucket BucketID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for sub := range n.subs {
		sub.send(Applied{Bucket: bucket, Lost: true})
	}
}

func (w *watcher) send(a Applied) {
	if w.lost {
		select {
		case w.ch <- Applied{Lost: true}:
			w.lost = false
		default:
			return
		}
	}
	select {
	case w.ch <- a:
	default:
		w.lost = true
	}
}

// latches make the writers of one key at this segment take turns, from the look at what is there until the write is applied.
type latches struct {
	seed   maphash.Seed
	once   sync.Once
	shards [1024]sync.Mutex
}

func (l *latches) lock(b BucketID, key string) (unlock func()) {
	m := l.of(b, key)
	m.Lock()
	return m.Unlock
}

// of is the latch of a key, which others share.
func (l *latches) of(b BucketID, key string) *sync.Mutex { return &l.shards[l.shard(b, key)] }

func (l *latches) shard(b BucketID, key string) uint64 {
	l.once.Do(func() { l.seed = maphash.MakeSeed() })
	return (maphash.Bytes(l.seed, b[:]) ^ maphash.String(l.seed, key)) % uint64(len(l.shards))
}
