// Package dedup turns bytes into chunks and back: it cuts a stream by its content, writes only the chunks that are missing, and describes
// the result by a [Manifest], from which any range is read again.
//
// It sits between a segment, which keeps manifests in its versions, and package chunk, whose stores keep the pieces. It knows nothing of
// buckets, keys or links.
package dedup
