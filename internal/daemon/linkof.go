package daemon

import (
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/isgw"
)

// linkOf is a link as the admin API tells it.
func linkOf(s isgw.LinkStatus) admin.Link {
	l := admin.Link{
		Peer: s.Peer.Segment.String(), Name: s.Peer.Name, State: string(s.State), Why: s.Why, Since: s.Since, LastError: s.LastError,
		Addresses: s.Peer.Addresses, Connected: s.Address, Dialed: s.Dialed, RTT: s.RTT.Seconds(), Skew: s.Skew.Seconds(),
		Behind: lagOf(s.In), Ahead: lagOf(s.Out), Traffic: map[string]admin.Traffic{},
		Records: s.Records, Syncs: s.Syncs, Fetches: s.Fetches, Fetched: s.Fetched, Missed: s.Missed, Served: s.Served, Repaired: s.Repaired,
	}
	for kind, b := range s.Bytes {
		l.Traffic[kind] = admin.Traffic(b)
	}
	for _, b := range s.Stopped {
		l.Stopped = append(l.Stopped, admin.StoppedBucket{Bucket: b.Bucket.String(), Name: b.Name, Since: b.Since, Why: b.Why})
		if b.Quarantine {
			l.Quarantined = append(l.Quarantined, b.Bucket.String())
		}
	}
	return l
}

func lagOf(l isgw.Lag) admin.Lag {
	return admin.Lag{Known: l.Known, Seconds: l.Age.Seconds(), Entries: l.Entries, Bytes: l.Bytes}
}
