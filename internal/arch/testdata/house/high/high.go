// Package high is as it should be.
package high

// One is one.
const One = 1
