package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"

	"github.com/edgefs/edgefs/segment"
)

// Checksums that a client may send with an object and ask back.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html

// algorithm is one of the checksums; its text is its name in documents.
type algorithm string

const (
	crc32IEEE  algorithm = "CRC32"
	crc32C     algorithm = "CRC32C"
	crc64NVMe  algorithm = "CRC64NVME"
	sha1Sum    algorithm = "SHA1"
	sha256Sum  algorithm = "SHA256"
	sha512Sum  algorithm = "SHA512"
	md5Sum     algorithm = "MD5"
	xxHash64   algorithm = "XXHASH64"
	xxHash3    algorithm = "XXHASH3"
	xxHash128  algorithm = "XXHASH128"
	composite            = "COMPOSITE"
	fullObject           = "FULL_OBJECT"
)

// checksumPrefix begins the header, canonical, that carries a checksum.
const checksumPrefix = "X-Amz-Checksum-"

// algorithms are those that are known.
func algorithms() [10]algorithm {
	return [...]algorithm{crc32IEEE, crc32C, crc64NVMe, sha1Sum, sha256Sum, sha512Sum, md5Sum, xxHash64, xxHash3, xxHash128}
}

// parseAlgorithm reads a name in any case.
func parseAlgorithm(s string) (algorithm, bool) {
	for _, a := range algorithms() {
		if strings.EqualFold(s, string(a)) {
			return a, true
		}
	}
	return "", false
}

// unknownAlgorithm is the answer to any other name.
func unknownAlgorithm() error {
	return errInvalidRequest.say("Checksum algorithm provided is unsupported. Please try again with any of the valid types: %v", algorithms())
}

// header is the canonical name of the header that carries the checksum.
func (a algorithm) header() string {
	return checksumPrefix + string(a[:1]) + strings.ToLower(string(a[1:]))
}

// element is the name of the checksum in documents.
func (a algorithm) element() string { return "Checksum" + string(a) }

func (a algorithm) new() hash.Hash {
	switch a {
	case crc32IEEE:
		return crc32.NewIEEE()
	case crc32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case crc64NVMe:
		return crc64nvme.New()
	case sha1Sum:
		return sha1.New()
	case sha512Sum:
		return sha512.New()
	case md5Sum:
		return md5.New()
	case xxHash64:
		return xxhash.New()
	case xxHash3:
		return xxh3.New()
	case xxHash128:
		return xxh3.New128()
	}
	return sha256.New()
}

// linear says whether the checksum of a whole follows from those of its parts.
func (a algorithm) linear() bool { return a == crc32IEEE || a == crc32C || a == crc64NVMe }

// parse reads a checksum as headers carry it.
func (a algorithm) parse(s string) ([]byte, error) {
	sum, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(sum) != a.new().Size() {
		return nil, errInvalidRequest.say("Value for %s header is invalid.", strings.ToLower(a.header()))
	}
	return sum, nil
}

// mismatch is the answer to a checksum that is not that of the body.
func (a algorithm) mismatch() error {
	return errBadDigest.say("The %s you specified did not match the calculated checksum.", a)
}

// claim is a checksum that a request carries: its value, or the promise of one in the trailer.
type claim struct {
	algorithm
	sum     []byte // nil when the trailer brings it
	trailer bool
}

// parseClaim finds the checksum that comes with a body. Without one the claim's algorithm is empty.
func parseClaim(h http.Header) (c claim, err error) {
	a, v, err := sumHeader(h)
	if err != nil {
		return c, err
	}
	if a != "" {
		c.algorithm = a
		if c.sum, err = a.parse(v); err != nil {
			return c, err
		}
	}
	trailer, err := trailerAlgorithm(h)
	if err != nil || trailer == "" {
		return c, err
	}
	if c.algorithm != "" {
		return c, errInvalidRequest.say("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	return claim{algorithm: trailer, trailer: true}, nil
}

// sumHeader finds the one header that carries a checksum.
func sumHeader(h http.Header) (found algorithm, value string, err error) {
	for name, values := range h {
		suffix, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok {
			continue
		}
		a, known := parseAlgorithm(suffix)
		if !known {
			continue // X-Amz-Checksum-Mode and the like
		}
		if found != "" {
			return "", "", errInvalidRequest.say("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		found, value = a, values[0]
	}
	return found, value, nil
}

// trailerAlgorithm is the checksum that a request's X-Amz-Trailer announces.
func trailerAlgorithm(h http.Header) (algorithm, error) {
	name := strings.TrimSpace(h.Get("X-Amz-Trailer"))
	if name == "" {
		return "", nil
	}
	if len(name) > len(checksumPrefix) && strings.EqualFold(name[:len(checksumPrefix)], checksumPrefix) {
		if a, ok := parseAlgorithm(name[len(checksumPrefix):]); ok {
			return a, nil
		}
	}
	return "", errInvalidRequest.say("The value specified in the x-amz-trailer header is not supported")
}

// stored is the claim as an object keeps it.
func (c claim) stored() []segment.Checksum {
	if c.algorithm == "" || c.sum == nil {
		return nil
	}
	return []segment.Checksum{{Algorithm: string(c.algorithm), Value: base64.StdEncoding.EncodeToString(c.sum)}}
}

// checkSDKAlgorithm refuses a request that names an algorithm and then sends another, or none.
func (c claim) checkSDKAlgorithm(h http.Header) error {
	name := h.Get("X-Amz-Sdk-Checksum-Algorithm")
	if name == "" {
		return nil
	}
	a, ok := parseAlgorithm(name)
	switch {
	case !ok:
		return unknownAlgorithm()
	case c.algorithm == "":
		return errInvalidRequest.say("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case c.algorithm != a:
		return errInvalidRequest.say("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}

// checksumType is how a stored checksum was made.
func checksumType(c segment.Checksum) string {
	if c.Composite {
		return composite
	}
	return fullObject
}

// partSum is the checksum and the size of one part of an upload.
type partSum struct {
	sum  []byte
	size int64
}

// compose is the checksum of an upload's parts: that of their checksums, with their number.
func (a algorithm) compose(parts []partSum) segment.Checksum {
	h := a.new()
	for _, p := range parts {
		_, _ = h.Write(p.sum)
	}
	value := base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	return segment.Checksum{Algorithm: string(a), Value: value, Composite: true}
}

// concat is the checksum of the bytes of all parts, for a linear algorithm.
func (a algorithm) concat(parts []partSum) segment.Checksum {
	var crc uint64
	for _, p := range parts {
		crc = a.crc().combine(crc, bigEndian(p.sum), p.size)
	}
	sum := make([]byte, 8)
	for i := range sum {
		sum[7-i] = byte(crc >> (8 * i))
	}
	return segment.Checksum{Algorithm: string(a), Value: base64.StdEncoding.EncodeToString(sum[8-a.new().Size():])}
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
