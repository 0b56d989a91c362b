// Package crash shows that a whole segment keeps what it has acknowledged: log, state, stage, packs and trees on one file system that forgets what
// was not synced and tears what was being written, that is cut off after every operation of a scripted workload, gets full, or fails to sync.
//
//	go test ./test/crash                            some crash points, in under a minute; -short: fewer
//	go test ./test/crash -timeout 1h -crash.all     all of them
//	go test ./test/crash -crash.point 117 -v        one, several times
package crash
