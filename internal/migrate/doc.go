// Package migrate copies objects from any store of S3 into a bucket of a segment, by its admin API: what is there already is passed over, and what was copied is checked
// against what its store says of it.
package migrate
