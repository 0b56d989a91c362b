package measure

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is one figure.
type Result struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Raw    float64 `json:"raw,omitempty"`   // the limit in the same run and unit; 0 where there is none
	Ratio  float64 `json:"ratio,omitempty"` // of both
	Goal   string  `json:"goal"`
	Met    bool    `json:"met"`
	Detail string  `json:"detail"`
}

// String is the figure beside its raw limit.
func (r Result) String() string {
	s := fmt.Sprintf("%s %s", number(r.Value), r.Unit)
	if r.Raw > 0 {
		s += fmt.Sprintf(", raw %s, ratio %.2f", number(r.Raw), r.Ratio)
	}
	return s
}

// AtMost judges a figure; a goal of 0 is none.
func AtMost(goal float64, r Result) Result {
	if r.Met = goal == 0 || r.Value <= goal; goal != 0 {
		r.Goal = fmt.Sprintf("<= %s", number(goal))
	}
	return r
}

// AtLeast judges a figure; a goal of 0 is none.
func AtLeast(goal float64, r Result) Result {
	if r.Met = goal == 0 || r.Value >= goal; goal != 0 {
		r.Goal = fmt.Sprintf(">= %s", number(goal))
	}
	return r
}

// Beside judges a figure by its ratio to the raw limit of the same run.
func Beside(raw, goal float64, r Result) Result {
	r.Raw, r.Ratio = raw, r.Value/raw
	r.Met, r.Goal = r.Ratio >= goal, fmt.Sprintf("ratio >= %s", number(goal))
	return r
}

// Within judges a figure that is better the smaller it is by its ratio to the raw limit of the same run.
func Within(raw, goal float64, r Result) Result {
	r.Raw, r.Ratio = raw, r.Value/raw
	r.Met, r.Goal = r.Ratio <= goal, fmt.Sprintf("ratio <= %s", number(goal))
	return r
}

// PrintTable prints figures as a table, and on what they were measured.
func PrintTable(results []Result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "figure\tmeasured\traw limit\tratio\tgoal\tmet\tdetail\n")
	for _, r := range results {
		met := "yes"
		switch {
		case r.Goal == "":
			met = "-"
		case !r.Met:
			met = "NO"
		}
		raw, ratio := "", ""
		if r.Raw > 0 {
			raw, ratio = number(r.Raw), fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", r.What, number(r.Value), r.Unit, raw, ratio, r.Goal, met, r.Detail)
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

// Times are how long something took each time, in order.
type Times []time.Duration

// Timed does something n times.
func Timed(n int, do func(i int) error) (Times, error) {
	took := make(Times, n)
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

// At is a quantile in milliseconds.
func (t Times) At(q float64) float64 { return MS(t[min(len(t)-1, int(q*float64(len(t))))]) }

// MS is a duration in milliseconds.
func MS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Sorted puts times in order, in place.
func Sorted(t Times) Times {
	slices.Sort(t)
	return t
}

// Count is a number of keys as people say it.
func Count(n uint64) string {
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
