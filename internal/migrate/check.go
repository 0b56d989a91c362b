package migrate

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"net/http"
	"regexp"
	"strings"

	"github.com/minio/crc64nvme"
)

// Proof is what content was checked against.
type Proof string

// The proofs, the weakest last.
const (
	ByETag     Proof = "etag"     // it is, or is made of, the MD5 of the content
	ByChecksum Proof = "checksum" // one that S3 calls additional
	Unverified Proof = "none"     // the store said nothing that can be computed; the length is right
)

// check computes of content what its store says of it.
type check struct {
	size int64
	n    int64

	tag      string // the ETag, without quotes
	simple   bool   // it is the MD5 of the whole
	sum      hash.Hash
	part     int64 // length of a part, all but the last; 0 where it was not uploaded in parts, or that is not known
	inPart   int64
	partSums []byte
	parts    int

	extra hash.Hash // another checksum; nil: there is none
	want  string
	what  string
}

var etagForm = regexp.MustCompile(`^[0-9a-f]{32}(-[1-9][0-9]{0,4})?$`)

// newCheck is of content of a GET's answer. part is the length of a part, 0 where it is not known.
func newCheck(h http.Header, tag string, size, part int64) *check {
	c := &check{size: size, tag: tag, sum: md5.New()}
	c.simple = etagForm.MatchString(tag) && !strings.Contains(tag, "-") && !encrypted(h)
	if strings.Contains(tag, "-") && etagForm.MatchString(tag) {
		c.part = part
	}
	for _, a := range []struct {
		name string
		make func() hash.Hash
	}{
		{"crc64nvme", func() hash.Hash { return crc64nvme.New() }},
		{"crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
		{"crc32", func() hash.Hash { return crc32.NewIEEE() }},
		{"sha256", sha256.New},
		{"sha1", sha1.New},
	} {
		v := h.Get("x-amz-checksum-" + a.name)
		if v != "" && !strings.Contains(v, "-") && !strings.EqualFold(h.Get("x-amz-checksum-type"), "COMPOSITE") {
			c.extra, c.want, c.what = a.make(), v, a.name
			break
		}
	}
	return c
}

// encrypted says whether the ETag is no MD5, since the store encrypts by a key that is not its own.
func encrypted(h http.Header) bool {
	return strings.HasPrefix(h.Get("x-amz-server-side-encryption"), "aws:kms") || h.Get("x-amz-server-side-encryption-customer-algorithm") != ""
}

// Write takes content.
func (c *check) Write(p []byte) (int, error) {
	n := len(p)
	c.n += int64(n)
	if c.extra != nil {
		_, _ = c.extra.Write(p)
	}
	if c.part == 0 {
		_, _ = c.sum.Write(p)
		return n, nil
	}
	for len(p) > 0 {
		k := min(int64(len(p)), c.part-c.inPart)
		_, _ = c.sum.Write(p[:k])
		p = p[k:]
		if c.inPart += k; c.inPart == c.part {
			c.endPart()
		}
	}
	return n, nil
}

func (c *check) endPart() {
	c.partSums = c.sum.Sum(c.partSums)
	c.sum.Reset()
	c.inPart = 0
	c.parts++
}

// verdict says, behind the last byte, what the content was checked against, or that it is other content than its store says.
func (c *check) verdict() (Proof, error) {
	if c.n != c.size {
		return Unverified, fmt.Errorf("%d bytes came, the source has %d: %w", c.n, c.size, errDiffers)
	}
	got := c.etag()
	if c.extra != nil {
		if sum := base64.StdEncoding.EncodeToString(c.extra.Sum(nil)); sum != c.want {
			return Unverified, fmt.Errorf("its %s is %s, the source says %s: %w", c.what, sum, c.want, errDiffers)
		}
		if got != c.tag {
			return ByChecksum, nil
		}
	}
	switch {
	case got == c.tag:
		return ByETag, nil
	case c.simple:
		return Unverified, fmt.Errorf("its MD5 is %s, the source says %s: %w", got, c.tag, errDiffers)
	}
	return Unverified, nil
}

func (c *check) etag() string {
	if c.part == 0 {
		return hex.EncodeToString(c.sum.Sum(nil))
	}
	if c.inPart > 0 || c.parts == 0 {
		c.endPart()
	}
	all := md5.Sum(c.partSums)
	return fmt.Sprintf("%x-%d", all, c.parts)
}
