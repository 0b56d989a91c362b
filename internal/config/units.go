package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as people write it: 64MiB, 1.5GB, 4096.
type Size int64

// sizeUnits are tried in this order, so that MiB is not taken for B.
var sizeUnits = [...]struct {
	suffix string
	bytes  float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40},
	{"b", 1}, {"", 1},
}

// ParseSize reads a size: a number, then B, KiB, MiB, GiB or TiB (powers of 1024; K, M, G, T are short for them), or kB, MB, GB, TB (powers
// of 1000). Letter case and spaces do not matter.
func ParseSize(s string) (Size, error) {
	text := strings.ToLower(strings.ReplaceAll(s, " ", ""))
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || math.IsNaN(n) || n*u.bytes >= math.MaxInt64 {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("size %q: want a number of bytes such as 64MiB, 1.5GB or 4096", s)
}

// String is the shortest exact form: 64MiB, 1000.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		bytes  Size
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Set is ParseSize for command-line flags.
func (s *Size) Set(text string) (err error) {
	*s, err = ParseSize(text)
	return err
}

// Type is what help calls the value of such a flag.
func (*Size) Type() string { return "size" }

// MarshalJSON writes the text of String.
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads a size as text or as a plain number of bytes.
func (s *Size) UnmarshalJSON(b []byte) error {
	text, err := textOrNumber(b)
	if err != nil {
		return err
	}
	return s.Set(text)
}

// Duration is a time.Duration written as 30s or 1h30m.
type Duration time.Duration

// ParseDuration reads what time.ParseDuration does, and refuses negative ones.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q: want a time such as 500ms, 30s or 1h30m", s)
	}
	return Duration(d), nil
}

// Std is the duration for the standard library.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the form that ParseDuration reads.
func (d Duration) String() string { return time.Duration(d).String() }

// Set is ParseDuration for command-line flags.
func (d *Duration) Set(text string) (err error) {
	*d, err = ParseDuration(text)
	return err
}

// Type is what help calls the value of such a flag.
func (*Duration) Type() string { return "duration" }

// MarshalJSON writes the text of String.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a duration as text; a bare number has no unit and is refused.
func (d *Duration) UnmarshalJSON(b []byte) error {
	text, err := textOrNumber(b)
	if err != nil {
		return err
	}
	return d.Set(text)
}

// textOrNumber is a JSON string's content, or the digits of a JSON number.
func textOrNumber(b []byte) (string, error) {
	var text string
	if json.Unmarshal(b, &text) == nil {
		return text, nil
	}
	var number json.Number
	if json.Unmarshal(b, &number) == nil {
		return number.String(), nil
	}
	return "", errors.New("want text or a number")
}
