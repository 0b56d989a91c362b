// Package datadir is the directory in which one segment lives: what tells it from any other directory, what keeps two processes off it,
// and the secrets of the daemon in it.
//
//	EDGEFS                    says that this is a data directory, and of which format
//	lock                      held by the process that uses the directory
//	keys/                     secrets, readable by the owner only
//	links                     the segments that this one is linked with
//	data/FEDERATION/segment/  the segment's log and state
//	data/FEDERATION/device/   packs and their index, unless the configuration puts them elsewhere
//	data/FEDERATION/devices   the segment's devices, once there were two
//	data/FEDERATION/indexes/  where chunks lie on those that were added
//	admin.sock                the admin API
package datadir
