package s3

import (
	"fmt"
	"strconv"
	"strings"
)

// span is a range of an object's bytes.
type span struct{ off, n int64 }

// contentRange is the header of an answer with the span of an object of a size.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, size)
}

// parseSpan reads a Range header for an object of a size. A header that is not one range of bytes is ignored, as HTTP has it (RFC 9110,
// section 14.2) and S3 does: ok is false. A range with nothing in it is an error.
func parseSpan(header string, size int64) (s span, ok bool, err error) {
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if !ok || !dash || strings.Contains(text, ",") {
		return span{}, false, nil
	}
	if first == "" {
		return parseSuffix(last, size)
	}
	from, ok1 := parseOffset(first)
	to := int64(1<<63 - 1)
	ok2 := true
	if last != "" {
		to, ok2 = parseOffset(last)
	}
	if !ok1 || !ok2 || to < from {
		return span{}, false, nil
	}
	if from >= size {
		return span{}, false, unsatisfiable(header, size)
	}
	return span{from, min(to, size-1) - from + 1}, true, nil
}

// parseSuffix reads the last n bytes.
func parseSuffix(last string, size int64) (span, bool, error) {
	n, ok := parseOffset(last)
	if !ok {
		return span{}, false, nil
	}
	if n == 0 || size == 0 {
		return span{}, false, unsatisfiable("bytes=-"+last, size)
	}
	n = min(n, size)
	return span{size - n, n}, true, nil
}

func parseOffset(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func unsatisfiable(header string, size int64) error {
	return errInvalidRange.with("RangeRequested", header).with("ActualObjectSize", strconv.FormatInt(size, 10)).
		withHeader("Content-Range", fmt.Sprintf("bytes */%d", size))
}
