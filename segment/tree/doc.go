// Package tree keeps a sorted map of byte strings in chunks: a prolly tree, a B-tree whose shape depends on nothing but its content and salt.
//
// Equal maps have equal roots, whatever the order in which they were written and at whichever site. So comparing two ids compares two
// buckets, and what differs is found in time proportional to the difference ([Diff]). A [Tree] is a value: [Tree.Apply] makes another
// one that shares with the first what did not change.
//
// Where nodes end is decided by their keys alone, hashed with the bucket's salt: who does not know the salt cannot choose keys that make
// the tree degenerate. The layout of the bytes is docs/format/tree.md. The idea of boundaries taken from a hash of the content is that
// of Noms' prolly trees, https://github.com/attic-labs/noms/blob/master/doc/intro.md.
package tree
