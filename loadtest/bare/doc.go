// Package bare holds servers that do nothing but the physical work behind one figure: take the bytes, hash them, make them durable,
// give them back. They answer the S3 requests of the load generator, whoever signs them, and are what a real server's figures in the same run are
// compared with. They keep no names across restarts and are no storage.
package bare
