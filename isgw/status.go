package isgw

import (
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
)

// LinkStatus is a link at one moment, as this segment sees it. Counts are since the links were opened.
type LinkStatus struct {
	Peer      Peer
	State     State
	Why       string    // why it is not up
	Since     time.Time // in this state
	LastError string    // also of what did not end the link
	Address   string    // of the peer, when connected
	Dialed    bool      // by this side
	RTT       time.Duration
	Skew      time.Duration // the peer's clock minus this one's

	Out Lag // how far the peer is behind this segment
	In  Lag // how far this segment is behind the peer, as the peer said last

	Bytes    map[string]Bytes // by kind: control, feed, sync, payload
	Records  uint64           // taken from the peer's feed
	Syncs    uint64           // buckets synced from the peer
	Fetches  uint64           // requests for payload to the peer
	Fetched  uint64           // chunks that came
	Missed   uint64           // chunks that did not
	Served   uint64           // chunks given to the peer
	Repaired uint64           // chunks that were damaged here and came from the peer
	Stopped  []StoppedBucket  // not received, the longest first
}

// Lag is how far one side is behind the other. While a link is cut it grows by what the log of the side ahead grows, its housekeeping too.
type Lag struct {
	Known   bool   // false until the peer was connected since the links were opened: nothing else is said then
	Entries uint64 // of the log
	Bytes   uint64 // sent and not acknowledged
	Age     time.Duration
}

// Status says how each link is, by name of the peer.
func (l *Links) Status() []LinkStatus {
	var out []LinkStatus
	for _, k := range l.all() {
		out = append(out, k.status())
	}
	return out
}

func (k *link) status() LinkStatus {
	st := LinkStatus{Peer: k.peer(), Bytes: map[string]Bytes{}, Out: lagOf(k.lag(), k.gap.isKnown())}
	for i := range kinds {
		st.Bytes[i.String()] = k.traffic.bytes(i)
	}
	st.Stopped = k.stoppedBuckets()
	t := &k.traffic
	st.Records, st.Syncs, st.Fetches, st.Fetched = t.records.Load(), t.syncs.Load(), t.fetches.Load(), t.fetched.Load()
	st.Missed, st.Served, st.Repaired = t.missed.Load(), t.served.Load(), t.repaired.Load()
	k.mu.Lock()
	defer k.mu.Unlock()
	st.State, st.Why, st.Since = k.state, k.why, k.since
	if k.last != nil {
		st.LastError = k.last.Error()
	}
	st.In = lagOf(k.behind, !k.heard.IsZero())
	if s := k.current; s != nil {
		st.Address, st.Dialed = s.conn.Addr(), s.conn.Dialed()
		st.RTT, st.Skew = s.roundTrip(), time.Duration(s.skew.Load())
	} else if !k.heard.IsZero() {
		st.In.Age += k.l.cfg.Clock().Sub(k.heard) // what the peer has written since is not known
	}
	return st
}

func lagOf(l wire.Lag, known bool) Lag { return Lag{known, l.Positions, l.Bytes, l.Since} }

// LazyStatus counts reads of what is elsewhere.
type LazyStatus struct {
	Lost     uint64 // chunks that no peer had while all could be asked
	Refused  uint64 // groups of chunks that a peer refused
	Timeouts uint64
	Waiting  int64 // bytes of fetched chunks that wait for their readers now
}

// Status says how lazy reading fares.
func (l *Lazy) Status() LazyStatus {
	return LazyStatus{l.counters.lost.Load(), l.counters.refused.Load(), l.counters.timeouts.Load(), l.waiting.Load()}
}
