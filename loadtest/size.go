package loadtest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// MaxObjectSize is the largest size of one PUT, as in S3: 5 GiB.
const MaxObjectSize = 5 << 30

// Sizes says how large objects are: one size, or several by weight. The zero value makes empty objects.
type Sizes struct {
	choices []sizeChoice
	total   uint64
}

type sizeChoice struct {
	size   int64
	weight uint64
}

// ParseSizes reads "4KiB", or a mix by number of objects such as "4KiB:70,1MiB:30".
func ParseSizes(text string) (Sizes, error) {
	var s Sizes
	for part := range strings.SplitSeq(text, ",") {
		sizeText, weightText, mixed := strings.Cut(strings.TrimSpace(part), ":")
		size, err := humanize.ParseBytes(sizeText)
		if err != nil || size > MaxObjectSize {
			return Sizes{}, fmt.Errorf("size %q: want something like 4KiB, at most 5GiB", sizeText)
		}
		weight := uint64(1)
		if mixed {
			weight, err = strconv.ParseUint(weightText, 10, 32)
			if err != nil || weight == 0 {
				return Sizes{}, fmt.Errorf("weight %q of size %s: want a whole number above 0", weightText, sizeText)
			}
		}
		s.choices = append(s.choices, sizeChoice{int64(size), weight})
		s.total += weight
	}
	return s, nil
}

// String is what ParseSizes reads.
func (s Sizes) String() string {
	var parts []string
	for _, c := range s.choices {
		part := exactSize(c.size)
		if len(s.choices) > 1 {
			part += ":" + strconv.FormatUint(c.weight, 10)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// exactSize writes a size in the largest unit that holds it without a fraction.
func exactSize(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := int64(1) << (30 - 10*i); n > 0 && n%size == 0 {
			return strconv.FormatInt(n/size, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// Pick chooses by a random word: equal words, equal sizes.
func (s Sizes) Pick(random uint64) int64 {
	if s.total == 0 {
		return 0
	}
	at := random % s.total
	for _, c := range s.choices {
		if at < c.weight {
			return c.size
		}
		at -= c.weight
	}
	panic("loadtest: weights of sizes do not sum up")
}

// Max is the largest size that Pick may return.
func (s Sizes) Max() int64 {
	var largest int64
	for _, c := range s.choices {
		largest = max(largest, c.size)
	}
	return largest
}

// Min is the smallest size that Pick may return.
func (s Sizes) Min() int64 {
	if len(s.choices) == 0 {
		return 0
	}
	smallest := s.choices[0].size
	for _, c := range s.choices {
		smallest = min(smallest, c.size)
	}
	return smallest
}

// Has says whether Pick may return size.
func (s Sizes) Has(size int64) bool {
	for _, c := range s.choices {
		if c.size == size {
			return true
		}
	}
	return s.total == 0 && size == 0
}
