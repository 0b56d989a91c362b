package server

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// etag works out what S3 clients take an ETag for: the MD5 of content or, of an upload in parts, that of their MD5s. So what was copied from another store has the ETag
// that it had there.
type etag struct {
	sum   hash.Hash
	part  int64 // length of the parts; 0: none
	in    int64 // bytes of the part that has begun
	sums  []byte
	sizes []int64
}

// maxETagParts is how many parts an upload has.
const maxETagParts = 10_000

func newETag(part string) (*etag, error) {
	e := &etag{sum: md5.New()}
	if part == "" {
		return e, nil
	}
	var err error
	if e.part, err = strconv.ParseInt(part, 10, 64); err != nil || e.part < 1 {
		return nil, invalid("parts of %q bytes", part)
	}
	return e, nil
}

// Write takes content.
func (e *etag) Write(p []byte) (int, error) {
	if e.part == 0 {
		return e.sum.Write(p)
	}
	n := len(p)
	for len(p) > 0 {
		k := min(int64(len(p)), e.part-e.in)
		_, _ = e.sum.Write(p[:k])
		p = p[k:]
		if e.in += k; e.in < e.part {
			continue
		}
		if e.end(); len(e.sizes) > maxETagParts {
			return 0, invalid("more than %d parts of %d bytes", maxETagParts, e.part)
		}
	}
	return n, nil
}

func (e *etag) end() {
	e.sums = e.sum.Sum(e.sums)
	e.sizes = append(e.sizes, e.in)
	e.sum.Reset()
	e.in = 0
}

// etag is the ETag of all that was written, and the lengths of its parts.
func (e *etag) etag() (string, []int64) {
	if e.part == 0 {
		return hex.EncodeToString(e.sum.Sum(nil)), nil
	}
	if e.in > 0 || len(e.sizes) == 0 {
		e.end()
	}
	return fmt.Sprintf("%x-%d", md5.Sum(e.sums), len(e.sizes)), e.sizes
}
