// Package stream is a bucket as one sequence of bytes, to be kept in a file or carried elsewhere: each chunk of its content once, before the versions that
// consist of it, so that who writes and who reads it need no seek and little memory.
//
// It knows frames, checksums and numbers. What a version or a bucket's settings are, package segment knows. docs/format/stream.md has the bytes.
package stream
