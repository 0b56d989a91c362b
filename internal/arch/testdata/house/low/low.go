// Package low imports what is above it, and keeps state.
package low

import (
	"errors"
	"sync"

	"example.com/house/high"
)

// ErrGood is a sentinel: allowed.
var ErrGood = errors.New("good")

var mu sync.Mutex

var count int

var table = map[string]int{"read": 1}

func init() { count = high.One }

func grow() { count++ }

func drop() { delete(table, "read") }

func share() *int { return &count }

func local() int {
	count := 0
	count++
	return count
}
