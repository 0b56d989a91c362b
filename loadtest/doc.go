// Package loadtest drives any S3 endpoint and says how fast and how right it was: it writes objects whose every byte is known, reads them
// back, and reports latency, throughput, errors and what the server spent.
//
// It talks to endpoints only and imports nothing of the project, so that it measures another S3 server with the same ruler.
// Package history below it is the checker of crash tests, package bare holds the bare servers that figures are compared with.
package loadtest
