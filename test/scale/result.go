package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// result is one figure. The fields are those that test/bench prints.
type result struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Goal   string  `json:"goal"`
	Met    bool    `json:"met"`
	Detail string  `json:"detail"`
}

// atMost and atLeast judge a figure; a goal of 0 is none.
func atMost(goal float64, r result) result {
	if r.Met = goal == 0 || r.Value <= goal; goal != 0 {
		r.Goal = fmt.Sprintf("<= %s", number(goal))
	}
	return r
}

func atLeast(goal float64, r result) result {
	r.Met, r.Goal = r.Value >= goal, fmt.Sprintf(">= %s", number(goal))
	return r
}

func printTable(results []result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "figure\tmeasured\tgoal\tmet\tdetail\n")
	for _, r := range results {
		met := "yes"
		switch {
		case r.Goal == "":
			met = "-"
		case !r.Met:
			met = "NO"
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\n", r.What, number(r.Value), r.Unit, r.Goal, met, r.Detail)
	}
	_ = w.Flush()
	fmt.Printf("%s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

func number(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// times are how long something took each time, in order.
type times []time.Duration

// timed does something n times.
func timed(n int, do func(i int) error) (times, error) {
	took := make(times, n)
	for i := range took {
		began := time.Now()
		if err := do(i); err != nil {
			return nil, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took, nil
}

// at is a quantile in milliseconds.
func (t times) at(q float64) float64 { return ms(t[min(len(t)-1, int(q*float64(len(t))))]) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func sorted(t times) times {
	slices.Sort(t)
	return t
}

// count is a number of keys as people say it.
func count(n uint64) string {
	for _, u := range []struct {
		of   uint64
		name string
	}{{1_000_000, " M"}, {1000, " k"}} {
		if n >= u.of && n%u.of == 0 {
			return fmt.Sprint(n/u.of) + u.name
		}
	}
	return fmt.Sprint(n)
}
