package identity

import "time"

const (
	failuresOfOne = 10 // per minute
	failuresOfAll = 100
	limiterSize   = 1024
)

// limiter counts failed attempts to join in minutes, of each source and of all. The zero limiter is ready.
type limiter struct {
	minute int64
	all    int
	of     map[string]int
}

// allow says whether a source may try.
func (l *limiter) allow(now time.Time, from string) bool {
	l.turn(now)
	return l.all < failuresOfAll && l.of[from] < failuresOfOne
}

// failed counts an attempt.
func (l *limiter) failed(now time.Time, from string) {
	l.turn(now)
	l.all++
	if len(l.of) < limiterSize {
		l.of[from]++
	}
}

func (l *limiter) turn(now time.Time) {
	if m := now.Unix() / 60; m != l.minute || l.of == nil {
		*l = limiter{minute: m, of: map[string]int{}}
	}
}
