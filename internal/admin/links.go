package admin

import "time"

// LinkUp is the state of a link that works; every other state comes with a reason.
const LinkUp = "up"

// Link is how this segment stands with another one. Counts are since the daemon started.
type Link struct {
	Peer      string    `json:"peer"` // the other segment
	Name      string    `json:"name"`
	State     string    `json:"state"`         // up; connecting, cut, clock, refused, version
	Why       string    `json:"why,omitempty"` // why it is not up
	Since     time.Time `json:"since"`
	LastError string    `json:"lastError,omitempty"` // also of what did not end the link
	Addresses []string  `json:"addresses,omitempty"` // where the peer can be dialled
	Connected string    `json:"connected,omitempty"` // the peer's address now
	Dialed    bool      `json:"dialed"`              // by this side
	RTT       float64   `json:"rtt"`                 // seconds to the peer and back
	Skew      float64   `json:"skew"`                // seconds that the peer's clock is ahead

	Behind Lag `json:"behind"` // what this segment lacks of the peer
	Ahead  Lag `json:"ahead"`  // what the peer lacks of this segment

	Traffic     map[string]Traffic `json:"traffic"`               // by kind: control, feed, sync, payload
	Records     uint64             `json:"records"`               // writes taken from the peer's feed
	Syncs       uint64             `json:"syncs"`                 // buckets synced from the peer
	Fetches     uint64             `json:"fetches"`               // requests for payload to the peer
	Fetched     uint64             `json:"fetched"`               // chunks that came
	Missed      uint64             `json:"missed"`                // chunks that did not
	Served      uint64             `json:"served"`                // chunks given to the peer
	Repaired    uint64             `json:"repaired"`              // chunks that were damaged here and came from the peer
	Stopped     []StoppedBucket    `json:"stopped,omitempty"`     // buckets not received from the peer, the longest first; the others are
	Quarantined []string           `json:"quarantined,omitempty"` // ids of those of them that contradict
}

// StoppedBucket is a bucket that is not received from a peer. It is tried again now and then, and at each start.
type StoppedBucket struct {
	Bucket string    `json:"bucket"`         // id
	Name   string    `json:"name,omitempty"` // as listed here; none when this segment cannot know it
	Since  time.Time `json:"since"`
	Why    string    `json:"why"`
}

// Lag is how far one side is behind the other.
type Lag struct {
	Known   bool    `json:"known"` // false until the two were connected since the daemon started; the rest is 0 then
	Seconds float64 `json:"seconds"`
	Entries uint64  `json:"entries"` // of the log
	Bytes   uint64  `json:"bytes"`   // sent and not acknowledged
}

// Traffic is bytes each way.
type Traffic struct {
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

// Links is what is linked.
type Links struct {
	Links []Link `json:"links"`
}

// InvitationRequest asks for an invitation.
type InvitationRequest struct {
	Valid     string   `json:"valid,omitempty"`     // how long it may be used, as 1h; empty: the default of an hour
	Addresses []string `json:"addresses,omitempty"` // HOST:PORT that the guest is to dial; empty: what the configuration advertises
}

// Invitation lets one segment join once. It is a secret.
type Invitation struct {
	Invitation string    `json:"invitation"`
	Expires    time.Time `json:"expires"`
	Addresses  []string  `json:"addresses"`        // that the guest dials
	Doubts     []string  `json:"doubts,omitempty"` // why nobody, or nobody on another machine, may reach them
}

// Join accepts an invitation.
type Join struct {
	Invitation string `json:"invitation"`
}
