// Package vfs is the seam between what EdgeFS keeps on disk and the disk.
//
// [OS] is the machine's file system. [Crash] is one in memory that keeps what was synced apart from what was merely written, so that a test
// can cut the power between any two operations and look at what is left. [Fault] makes either of them fail or hang.
package vfs
