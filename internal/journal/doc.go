// Package journal is a durable sequence of records: what is appended is written in batches, one write and one fdatasync for all that arrived
// meanwhile, and is found again, whole and in order, after a crash.
//
// It is a segment's log. docs/format/journal.md describes the files, and why a torn tail can be told from damage.
package journal
