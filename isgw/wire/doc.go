// Package wire is what two segments say to each other: messages, their frames and their bounds. docs/format/isgw.md is its schema.
//
// Messages are protocol buffers; fields that a build does not know are passed over. Decoders take the bytes of an enemy: they do not panic,
// and allocate no more than a small multiple of what was sent.
package wire
