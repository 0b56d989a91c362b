package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/internal/admin"
)

// place is what "bucket/key" on the command line names. An empty key is the bucket.
type place struct{ bucket, key string }

func (p place) String() string { return word(p.bucket + "/" + p.key) }

// parsePlace reads bucket/key; a key may hold any further slashes.
func parsePlace(s string) (place, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	if bucket == "" {
		return place{}, usagef("%q names no bucket: want BUCKET/KEY", s)
	}
	return place{bucket, key}, nil
}

// parseKey reads bucket/key and wants a key.
func parseKey(s string) (place, error) {
	p, err := parsePlace(s)
	if err == nil && p.key == "" {
		return p, usagef("%q names a bucket only: want BUCKET/KEY", s)
	}
	return p, err
}

// applyRange reads a range as HTTP writes it into what to get: "0-99" is the first 100 bytes, "100-" all from byte 100 on, "-100" the last 100.
func applyRange(g *admin.GetRequest, s string) error {
	if s == "" {
		return nil
	}
	first, last, ok := strings.Cut(s, "-")
	from, errFirst := strconv.ParseInt("0"+first, 10, 64)
	to, errLast := strconv.ParseInt("0"+last, 10, 64)
	switch {
	case !ok || errFirst != nil || errLast != nil || first == "" && (last == "" || to == 0) || first != "" && last != "" && to < from:
		return usagef("range %q: want FIRST-LAST, FIRST- or -LAST, counted in bytes from 0", s)
	case first == "":
		g.Offset = -to
	case last == "":
		g.Offset = from
	default:
		g.Offset, g.Length = from, to-from+1
	}
	return nil
}

// counted is a number of things in words.
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "ry"); ok {
		return fmt.Sprintf("%d %sries", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
