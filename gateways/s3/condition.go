package s3

import (
	"net/http"
	"strings"
	"time"

	"github.com/edgefs/edgefs/segment"
)

// preconditions are those of a read, with their headers' names: a copy's source has its own.
type preconditions struct {
	match, noneMatch               string
	modifiedSince, unmodifiedSince string
}

func readPreconditions(h http.Header) preconditions {
	return preconditions{h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Modified-Since"), h.Get("If-Unmodified-Since")}
}

func sourcePreconditions(h http.Header) preconditions {
	const prefix = "X-Amz-Copy-Source-If-"
	return preconditions{h.Get(prefix + "Match"), h.Get(prefix + "None-Match"), h.Get(prefix + "Modified-Since"), h.Get(prefix + "Unmodified-Since")}
}

// check is nil, errPreconditionFailed or errNotModified. The order is that of RFC 9110, section 13.2.2: an ETag is stronger than a date.
func (p preconditions) check(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second)
	if p.match != "" {
		if !matches(p.match, etag) {
			return errPreconditionFailed.with("Condition", "If-Match")
		}
	} else if t, err := http.ParseTime(p.unmodifiedSince); err == nil && modified.After(t) {
		return errPreconditionFailed.with("Condition", "If-Unmodified-Since")
	}
	if p.noneMatch != "" {
		if matches(p.noneMatch, etag) {
			return errNotModified
		}
	} else if t, err := http.ParseTime(p.modifiedSince); err == nil && !modified.After(t) {
		return errNotModified
	}
	return nil
}

// matches says whether a list of ETags, quoted or not, or "*", has the one.
func matches(list, etag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = cleanETag(t); t == etag || t == "*" {
			return true
		}
	}
	return false
}

// cleanETag is an ETag without quotes, spaces and the mark of a weak one.
func cleanETag(s string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(s), "W/"), `"`)
}

// writeCondition reads the conditions of a write. S3 knows If-None-Match only for a key that must not be there.
func writeCondition(h http.Header) (c segment.Cond, err error) {
	if v := h.Get("If-None-Match"); v != "" {
		if cleanETag(v) != "*" {
			return c, errNotImplemented.say("If-None-Match on a write supports only \"*\".").with("Header", "If-None-Match")
		}
		c.Absent = true
	}
	if v := h.Get("If-Match"); v != "" {
		if c.Absent {
			return c, errNotImplemented.say("If-Match and If-None-Match cannot be used together.")
		}
		for t := range strings.SplitSeq(v, ",") {
			c.Match = append(c.Match, cleanETag(t))
		}
	}
	return c, nil
}
