// Package chunk is the vocabulary of everything immutable: a piece of bytes, its name, and the contract of a place that keeps it.
//
// A [Chunk] is a proof. It can only be made by hashing bytes ([Domain.Make]) or by checking them against the name they are asked for by
// ([Domain.Verify]), so bytes that nobody has verified cannot travel as a chunk.
//
// The package imports nothing of the project: stores, wrappers, the tree and the links all speak it.
package chunk
