//go:build !race

package dedup

// unlessRace is the size of a test: the first, or the second under the race detector, which makes all of it ten times slower.
func unlessRace(n, _ int) int { return n }
