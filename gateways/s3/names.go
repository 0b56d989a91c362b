package s3

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edgefs/edgefs/segment"
)

// maxKey is the length of the longest key, in bytes.
const maxKey = 1024

// owner is who owns buckets and objects.
type owner struct{ ID, DisplayName string }

// theOwner owns everything: there are no accounts yet.
var theOwner = owner{"a2caa410bfcedf828c8ec23f274ab6597464ff2829b67aebf6bfecfb02bbc1a1", "edgefs"}

// checkKey refuses keys that S3 does not know, and that are not listed as the names of losers: these may be longer.
func checkKey(key string) error {
	switch {
	case len(key) > maxKey && segment.CheckName(key) != nil:
		return errKeyTooLong.with("Size", strconv.Itoa(len(key))).with("MaxSizeAllowed", strconv.Itoa(maxKey))
	case !utf8.ValidString(key):
		return errInvalidURI.say("The key is not valid UTF-8.")
	}
	return nil
}

// snapshotName is the name as the segment knows it, of a snapshot too: bucket@snapshot may be said as bucket__snapshot, for clients that
// refuse the former before they ask. No bucket's own name has an underscore.
func snapshotName(bucket string) string { return strings.Replace(bucket, "__", "@", 1) }

// checkBucketName refuses names that a bucket cannot be made with.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func checkBucketName(name string) error {
	if validBucketName(name) {
		return nil
	}
	return errInvalidBucketName
}

func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") || strings.HasPrefix(name, "xn--") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		inside := i > 0 && i < len(name)-1 && (c == '-' || c == '.')
		if !letter && !inside {
			return false
		}
	}
	if strings.Contains(name, ".-") || strings.Contains(name, "-.") {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}
