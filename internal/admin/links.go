package admin

import "time"

// LinkUp is the state of a link that works; every other state comes with a reason.
const LinkUp = "up"

// Link is the federation with one other segment, as this one sees it.
type Link struct {
	Peer        string    `json:"peer"` // the other segment
	Name        string    `json:"name"`
	State       string    `json:"state"`         // up, connecting, paused ...
	Why         string    `json:"why,omitempty"` // why it is not up
	Since       time.Time `json:"since,omitzero"`
	Addresses   []string  `json:"addresses,omitempty"`
	LagSeconds  float64   `json:"lagSeconds"` // age of the oldest write of the peer that is known to be missing here
	LagRecords  int64     `json:"lagRecords"`
	BytesIn     int64     `json:"bytesIn"`    // since the daemon started
	BytesOut    int64     `json:"bytesOut"`   //
	FetchedIn   int64     `json:"fetchedIn"`  // chunks that came on demand
	FetchedOut  int64     `json:"fetchedOut"` // chunks given on demand
	RoundTripMS float64   `json:"roundTripMs,omitempty"`
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
}

// Join accepts an invitation.
type Join struct {
	Invitation string `json:"invitation"`
}
