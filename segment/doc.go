// Package segment is a site: buckets of versioned keys over immutable chunks, that survive alone and merge with other sites.
//
// Everything that changes is one committed entry of the segment's log; a bucket's state is its last tree plus the records since
// ([Bucket], overlay and fold). What two sites know of a bucket merges by a pure function, so both come to the same root. Gateways stand
// on [Segment] and [Bucket]; package isgw joins segments by the feed, offer and adopt methods; both know nothing of the trees below.
package segment
