package s3

import (
	"net/url"
	"strconv"
	"strings"
)

// query is a request's parameters, decoded, in the order sent. Most requests have none or a few, so it is a list.
type query []attribute

// parseQuery reads a raw query. Unlike net/url it takes a semicolon for a character, as S3 does.
func parseQuery(raw string) (query, error) {
	if raw == "" {
		return nil, nil
	}
	q := make(query, 0, strings.Count(raw, "&")+1)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errInvalidURI
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, errInvalidURI
		}
		q = append(q, attribute{name, value})
	}
	return q, nil
}

// get is the first value of name, or nothing.
func (q query) get(name string) string {
	v, _ := q.lookup(name)
	return v
}

func (q query) has(name string) bool {
	_, ok := q.lookup(name)
	return ok
}

func (q query) lookup(name string) (string, bool) {
	for _, p := range q {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// limit reads a page size of 0..most; absent it is most, and more than that is cut to it.
func (q query) limit(name string, most int) (int, error) {
	text, ok := q.lookup(name)
	if !ok || text == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, errInvalidArgument.say("Provided %s not an integer or within integer range", name).with("ArgumentName", name).with("ArgumentValue", text)
	}
	if n < 0 {
		return 0, errInvalidArgument.say("Argument %s must be an integer between 0 and 2147483647", name).with("ArgumentName", name).with("ArgumentValue", text)
	}
	return min(int(n), most), nil
}
