package dedup

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/chunk"
)

// ErrParams says that cutting parameters are not among those that exist.
var ErrParams = errors.New("invalid cutting parameters")

// Kind is how a stream is cut.
type Kind uint8

const (
	// Content cuts where the content says so: an insertion moves few boundaries.
	Content Kind = 1 + iota
	// Fixed cuts at multiples of one size: for images that are overwritten in place.
	Fixed
)

const (
	minAverage = 4 << 10
	// A content cutter's longest chunk is four times the average, and must still be a chunk.
	maxContentAverage = chunk.MaxSize / 4
	maxFixedAverage   = chunk.MaxSize
)

// Params says how a bucket's content is cut. They are fixed with the bucket and alike at all segments: the same bytes cut by other
// parameters share nothing.
type Params struct {
	Kind    Kind
	Average int // bytes, a power of two
}

// Default is content:64KiB.
func Default() Params { return Params{Content, 64 << 10} }

// ParseParams reads the text form: a kind, a colon, a size, as in content:64KiB, content:1MiB or fixed:64KiB.
func ParseParams(s string) (Params, error) {
	kind, size, ok := strings.Cut(s, ":")
	if !ok {
		return Params{}, fmt.Errorf("%q: want kind:size, as in %v: %w", s, Default(), ErrParams)
	}
	var p Params
	switch kind {
	case "content":
		p.Kind = Content
	case "fixed":
		p.Kind = Fixed
	default:
		return Params{}, fmt.Errorf("%q: the kind is content or fixed: %w", s, ErrParams)
	}
	var err error
	if p.Average, err = parseSize(size); err != nil {
		return Params{}, fmt.Errorf("%q: %w", s, err)
	}
	return p, p.Validate()
}

func parseSize(s string) (int, error) {
	digits, shift := strings.TrimSuffix(s, "B"), 0
	switch {
	case strings.HasSuffix(s, "KiB"):
		digits, shift = strings.TrimSuffix(s, "KiB"), 10
	case strings.HasSuffix(s, "MiB"):
		digits, shift = strings.TrimSuffix(s, "MiB"), 20
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("size %q: want a number of KiB or MiB: %w", s, ErrParams)
	}
	if n > chunk.MaxSize>>shift {
		return 0, fmt.Errorf("size %q exceeds the longest chunk, %d bytes: %w", s, chunk.MaxSize, ErrParams)
	}
	return int(n) << shift, nil
}

// Validate says, as [ErrParams], what is wrong with p.
func (p Params) Validate() error {
	limit := maxContentAverage
	switch p.Kind {
	case Content:
	case Fixed:
		limit = maxFixedAverage
	default:
		return fmt.Errorf("kind %d: the kind is content or fixed: %w", p.Kind, ErrParams)
	}
	if p.Average < minAverage || p.Average > limit || bits.OnesCount(uint(p.Average)) != 1 {
		return fmt.Errorf("size %d: want a power of two from %d to %d: %w", p.Average, minAverage, limit, ErrParams)
	}
	return nil
}

// MaxSize is the longest chunk, in bytes, that the parameters make.
func (p Params) MaxSize() int {
	if p.Kind == Fixed {
		return p.Average
	}
	return 4 * p.Average
}

// String is the text form.
func (p Params) String() string {
	kind := "unknown"
	switch p.Kind {
	case Content:
		kind = "content"
	case Fixed:
		kind = "fixed"
	}
	switch a := p.Average; {
	case a >= 1<<20 && a%(1<<20) == 0:
		return fmt.Sprintf("%s:%dMiB", kind, a>>20)
	case a >= 1<<10 && a%(1<<10) == 0:
		return fmt.Sprintf("%s:%dKiB", kind, a>>10)
	default:
		return fmt.Sprintf("%s:%dB", kind, a)
	}
}

// MarshalText writes the text form of valid parameters.
func (p Params) MarshalText() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads the text form.
func (p *Params) UnmarshalText(b []byte) (err error) {
	*p, err = ParseParams(string(b))
	return err
}
