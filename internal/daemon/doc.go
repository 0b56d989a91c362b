// Package daemon is one segment as a process serves it: it opens what the segment stands on, wires it together in the open, serves S3, the
// admin API, links and metrics, and ends all of it in order. It keeps no global state: many daemons live in one test process.
package daemon
