// Package isgw joins segments: it pulls what changed elsewhere, and fetches on demand what is not here.
//
// [Links] holds a link to each peer. Over it travel the feed of the peer's log, whole trees of buckets where the feed cannot serve (sync),
// and payload (fetch). [Lazy] makes a store of chunks that asks the peers for what is not here; prefetching uses the same path. No call of
// the segment waits for a link, except a read of payload that is elsewhere and a write that is to be elsewhere ([Copies]).
package isgw
