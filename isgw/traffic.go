package isgw

import (
	"sync/atomic"

	"github.com/edgefs/edgefs/isgw/transport"
)

// kind is what the bytes of a stream are for.
type kind int

const (
	controlBytes kind = iota
	feedBytes
	syncBytes
	payloadBytes
	kinds
)

// String is the kind's name in status and metrics.
func (k kind) String() string {
	return [kinds]string{"control", "feed", "sync", "payload"}[k]
}

// Bytes counts what streams carried.
type Bytes struct{ Sent, Received uint64 }

// traffic counts a link by kind, over all its sessions.
type traffic struct {
	sent, received [kinds]atomic.Uint64
	fetches        atomic.Uint64 // requests for payload that peers of ours answered
	fetched        atomic.Uint64 // chunks that came
	served         atomic.Uint64 // chunks given
	missed         atomic.Uint64 // chunks asked for that did not come
	repaired       atomic.Uint64 // chunks that were held and damaged, and came from the peer
	syncs          atomic.Uint64 // buckets synced from the peer
	records        atomic.Uint64 // received that were not known
}

func (t *traffic) bytes(k kind) Bytes { return Bytes{t.sent[k].Load(), t.received[k].Load()} }

// meter counts a stream as of a kind.
func (t *traffic) meter(s transport.Stream, k kind) *metered {
	return &metered{Stream: s, t: t, kind: k}
}

// metered is a stream that is counted.
type metered struct {
	transport.Stream
	t     *traffic
	kind  kind
	wrote uint64 // by the one goroutine that writes
}

// become counts what follows as of another kind. It is called before reading and writing go apart.
func (m *metered) become(k kind) { m.kind = k }

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Stream.Read(p)
	m.t.received[m.kind].Add(uint64(n))
	return n, err
}

func (m *metered) Write(p []byte) (int, error) {
	n, err := m.Stream.Write(p)
	m.t.sent[m.kind].Add(uint64(n))
	m.wrote += uint64(n)
	return n, err
}
