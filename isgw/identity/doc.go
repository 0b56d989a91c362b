// Package identity says who a segment is: its federation, its certificate, and how an invitation makes a segment a member.
//
// A federation is a certificate authority, a secret of 32 bytes from which the keys of its dedup domains derive, and a random id. Every
// segment begins as a federation of one. Whoever founded a federation holds the authority's key and is the one who can invite.
package identity
