package segment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Schedule says how often snapshots of a bucket are taken by themselves, and how many of them are kept: rules as "1h:24,1d:30", the shortest first.
// It is a text so that settings compare with ==; empty is none.
type Schedule string

// SnapshotRule takes a snapshot at each multiple of Every, counted in UTC, and keeps the newest Keep of these.
type SnapshotRule struct {
	Every time.Duration
	Keep  int
}

const (
	maxSnapshotRules = 8
	minSnapshotEvery = time.Minute
	maxSnapshotEvery = 366 * 24 * time.Hour
	maxSnapshotsKept = 10_000 // of a rule
)

// ParseSchedule reads rules, each as EVERY:KEEP with EVERY as 15m, 1h, 1d or 1w, separated by commas or spaces; "off" and nothing are none.
func ParseSchedule(text string) (Schedule, error) {
	if text == "off" {
		return "", nil
	}
	var rules []SnapshotRule
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		every, keep, _ := strings.Cut(part, ":")
		d, ok := ParseSpan(every)
		n, err := strconv.Atoi(keep)
		if !ok || err != nil {
			return "", fmt.Errorf("snapshots %q: want EVERY:KEEP, as 1h:24 or 1d:30: %w", part, ErrInvalidArgument)
		}
		rules = append(rules, SnapshotRule{d, n})
	}
	return scheduleOf(rules)
}

// scheduleOf is the one text of rules.
func scheduleOf(rules []SnapshotRule) (Schedule, error) {
	slices.SortFunc(rules, func(a, b SnapshotRule) int { return cmp.Compare(a.Every, b.Every) })
	if len(rules) > maxSnapshotRules {
		return "", fmt.Errorf("%d rules for snapshots, more than %d: %w", len(rules), maxSnapshotRules, ErrInvalidArgument)
	}
	var parts []string
	for i, r := range rules {
		switch {
		case r.Every < minSnapshotEvery || r.Every > maxSnapshotEvery || r.Every%time.Second != 0:
			return "", fmt.Errorf("snapshots every %v: want from %v to a year: %w", r.Every, minSnapshotEvery, ErrInvalidArgument)
		case r.Keep < 1 || r.Keep > maxSnapshotsKept:
			return "", fmt.Errorf("keep %d snapshots: want from 1 to %d: %w", r.Keep, maxSnapshotsKept, ErrInvalidArgument)
		case i > 0 && rules[i-1].Every == r.Every:
			return "", fmt.Errorf("two rules for snapshots every %s: %w", SpanText(r.Every), ErrInvalidArgument)
		}
		parts = append(parts, fmt.Sprintf("%s:%d", SpanText(r.Every), r.Keep))
	}
	return Schedule(strings.Join(parts, ",")), nil
}

// Rules are the schedule's, the shortest first.
func (s Schedule) Rules() (out []SnapshotRule) {
	for _, part := range strings.FieldsFunc(string(s), func(r rune) bool { return r == ',' }) {
		every, keep, _ := strings.Cut(part, ":")
		d, ok := ParseSpan(every)
		n, err := strconv.Atoi(keep)
		if ok && err == nil {
			out = append(out, SnapshotRule{d, n})
		}
	}
	return out
}

type ruleJSON struct {
	Every string `json:"every"`
	Keep  int    `json:"keep"`
}

// MarshalJSON writes a list of rules: every and keep.
func (s Schedule) MarshalJSON() ([]byte, error) {
	out := []ruleJSON{}
	for _, r := range s.Rules() {
		out = append(out, ruleJSON{SpanText(r.Every), r.Keep})
	}
	return json.Marshal(out)
}

// spanUnits are the units of spans of time, the largest first.
func spanUnits() []struct {
	letter string
	span   time.Duration
} {
	return []struct {
		letter string
		span   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
}

// ParseSpan reads a number and a unit: 90s, 15m, 2h, 3d, 1w.
func ParseSpan(s string) (time.Duration, bool) {
	for _, u := range spanUnits() {
		text, ok := strings.CutSuffix(s, u.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 31)
		return time.Duration(n) * u.span, err == nil && n <= uint64(1<<62/u.span)
	}
	return 0, false
}

// SpanText writes a span in the largest unit that divides it.
func SpanText(d time.Duration) string {
	for _, u := range spanUnits() {
		if d%u.span == 0 {
			return strconv.FormatInt(int64(d/u.span), 10) + u.letter
		}
	}
	return d.String()
}

func (s Schedule) appendTo(b []byte) []byte {
	for _, r := range s.Rules() {
		b = putPart(b, 1, func(b []byte) []byte {
			return putUint(putUint(b, 1, uint64(r.Every/time.Second)), 2, uint64(r.Keep))
		})
	}
	return b
}

func parseScheduleField(b []byte) (Schedule, error) {
	var rules []SnapshotRule
	err := eachField("schedule", b, func(f field) error {
		if f.num != 1 || f.typ != protowire.BytesType {
			return badFormat("schedule")
		}
		var r SnapshotRule
		err := eachField("rule", f.b, func(f field) error {
			switch {
			case f.num == 1 && f.typ == protowire.VarintType && f.n <= uint64(maxSnapshotEvery/time.Second):
				r.Every = time.Duration(f.n) * time.Second
			case f.num == 2 && f.typ == protowire.VarintType && f.n <= maxSnapshotsKept:
				r.Keep = int(f.n)
			default:
				return badFormat("rule")
			}
			return nil
		})
		rules = append(rules, r)
		return err
	})
	if err != nil {
		return "", err
	}
	return scheduleOf(rules)
}
