// Package admin is the administration of a segment as a protocol: HTTP with JSON, version 1, over the unix socket in the data directory
// or over TLS with the administrator's credential. It holds the documents, the error codes and the client; package admin/server answers.
//
// The command line, and whatever else manages segments, uses nothing but this client. The package imports nothing of the data path.
package admin
