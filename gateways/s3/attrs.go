package s3

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/edgefs/edgefs/segment"
)

const (
	// maxUserMeta bounds the names and values of x-amz-meta-* together, in bytes, as S3 does.
	maxUserMeta = 2 << 10
	// maxSystemMeta bounds the other stored headers.
	maxSystemMeta = 8 << 10
	metaPrefix    = "X-Amz-Meta-"
	metaName      = "x-amz-meta-" // as it is stored, and answered

	redirectHeader     = "X-Amz-Website-Redirect-Location"
	redirectName       = "x-amz-website-redirect-location" // as it is stored
	storageClassHeader = "X-Amz-Storage-Class"
	storageClassName   = "x-amz-storage-class"
	standardClass      = "STANDARD"

	maxTags     = 10
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// readAttrs takes from a request's headers what is stored with an object.
func readAttrs(h http.Header) (a segment.Attrs, err error) {
	if err := refuseHeaders(h); err != nil {
		return a, err
	}
	if a.Meta, err = readMeta(h); err != nil {
		return a, err
	}
	if a.Lock, err = readLock(h); err != nil {
		return a, err
	}
	a.Tags, err = parseTagHeader(h.Get("X-Amz-Tagging"))
	return a, err
}

// refuseHeaders refuses what would have to be kept and cannot be.
func refuseHeaders(h http.Header) error {
	if err := checkACL(h); err != nil {
		return err
	}
	switch h.Get(storageClassHeader) {
	case "", standardClass, "REDUCED_REDUNDANCY": // a name only: what a bucket's redundancy is, all of its objects have
	default:
		return errInvalidStorageClass
	}
	for _, name := range []string{"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"} {
		if h.Get(name) != "" {
			return errNotImplemented.say("Server side encryption (%s) is not supported.", strings.ToLower(name)).with("Header", strings.ToLower(name))
		}
	}
	if h.Get("X-Amz-Write-Offset-Bytes") != "" {
		return errNotImplemented.say("Appending to an object is not supported.").with("Header", "x-amz-write-offset-bytes")
	}
	return nil
}

// readMeta takes the stored headers, by lower-case name.
func readMeta(h http.Header) (map[string]string, error) {
	m := map[string]string{}
	user, system := 0, 0
	for name, values := range h {
		value := strings.Join(values, ",")
		switch {
		case strings.HasPrefix(name, metaPrefix) && len(name) > len(metaPrefix):
			user += len(name) - len(metaPrefix) + len(value)
		case name == "Content-Encoding":
			if value = withoutChunked(value); value == "" {
				continue
			}
			system += len(value)
		case name == storageClassHeader && value == standardClass:
			continue
		case storedHeader(name) && value != "":
			system += len(value)
		default:
			continue
		}
		m[strings.ToLower(name)] = value
	}
	if user > maxUserMeta || system > maxSystemMeta {
		return nil, errMetadataTooLarge
	}
	return m, nil
}

func storedHeader(name string) bool {
	switch name {
	case "Content-Type", "Cache-Control", "Content-Disposition", "Content-Language", "Expires", redirectHeader, storageClassHeader:
		return true
	}
	return false
}

// storageClass is the class that an object was given.
func storageClass(a *segment.Attrs) string { return cmp.Or(a.Meta[storageClassName], standardClass) }

// copiedMeta is the metadata of a copy that keeps its source's: S3 does not copy these two headers.
func copiedMeta(from, own map[string]string) map[string]string {
	m := maps.Clone(from)
	for _, name := range []string{redirectName, storageClassName} {
		delete(m, name)
		if v, ok := own[name]; ok {
			m[name] = v
		}
	}
	return m
}

// withoutChunked drops "aws-chunked", which is of the transfer, from a Content-Encoding.
func withoutChunked(v string) string {
	if !strings.Contains(v, "aws-chunked") {
		return v
	}
	var kept []string
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "aws-chunked" && e != "" {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

// parseTagHeader reads tags in the form of a query.
func parseTagHeader(v string) (map[string]string, error) {
	if v == "" {
		return nil, nil
	}
	tags := map[string]string{}
	for pair := range strings.SplitSeq(v, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(key)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, errInvalidArgument.say("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		}
		if err := addTag(tags, key, value); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// addTag adds a tag within S3's limits.
func addTag(tags map[string]string, key, value string) error {
	if _, twice := tags[key]; twice {
		return errInvalidTag.say("Cannot provide multiple Tags with the same key").with("TagKey", key)
	}
	if key == "" || utf8.RuneCountInString(key) > maxTagKey {
		return errInvalidTag.say("The TagKey you have provided is invalid").with("TagKey", key)
	}
	if utf8.RuneCountInString(value) > maxTagValue {
		return errInvalidTag.say("The TagValue you have provided is invalid").with("TagKey", key).with("TagValue", value)
	}
	if len(tags) == maxTags {
		return code{"BadRequest", http.StatusBadRequest, "Object tags cannot be greater than 10"}
	}
	tags[key] = value
	return nil
}
