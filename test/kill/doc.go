// Package kill ends a segment by SIGKILL under load, again and again, also while it is known to collect, to scrub, to drain a device or to make an index again, and checks after
// each restart that it has forgotten nothing that it acknowledged, shows nothing that was refused, and lists what it holds.
//
//	go test ./test/kill                                                        a few times
//	go test ./test/kill -v -timeout 1h -kill.count 200 -kill.jobs 20           as make kill does
package kill
