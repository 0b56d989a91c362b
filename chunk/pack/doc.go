// Package pack keeps chunks on a device: in append-only files, with an index that is a cache and can be made again from them.
//
// Writers of all domains and classes fill one batch while the one before is written and synced; it is acknowledged when it is durable, and
// indexed after that. docs/format/pack.md describes the files.
package pack
