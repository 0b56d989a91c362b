package s3

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// AWS Signature Version 4, the pure part. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
const (
	sigAlgorithm   = "AWS4-HMAC-SHA256"
	sigTerminator  = "aws4_request"
	sigService     = "s3"
	stampFormat    = "20060102T150405Z"
	scopeDate      = "20060102"
	emptySHA256    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	unsignedSHA256 = "UNSIGNED-PAYLOAD"
)

// scope is what a signing key is good for.
type scope struct{ accessKey, date, region string }

// appendTo writes the scope as it is signed, without the access key.
func (s scope) appendTo(b []byte) []byte {
	b = append(append(b, s.date...), '/')
	b = append(append(b, s.region...), '/')
	return append(b, sigService+"/"+sigTerminator...)
}

// parseScope reads "AKID/20130524/us-east-1/s3/aws4_request". The access key may contain slashes.
func parseScope(credential string) (scope, bool) {
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != sigTerminator || parts[n-2] != sigService {
		return scope{}, false
	}
	s := scope{strings.Join(parts[:n-4], "/"), parts[n-4], parts[n-3]}
	_, err := time.Parse(scopeDate, s.date)
	return s, err == nil && s.accessKey != ""
}

// signingKey derives the key of a scope from a secret.
func (s scope) signingKey(secret string) [sha256.Size]byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, sigService, sigTerminator} {
		key = hmacSHA256(key, []byte(part))
	}
	return [sha256.Size]byte(key)
}

func hmacSHA256(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// signingKey signs with a derived key. It keeps the hashes that it began, which are most of what a signature costs. It is safe for concurrent
// use.
type signingKey struct {
	key    [sha256.Size]byte
	hashes sync.Pool // of hash.Hash
}

// sign gives the signature in hexadecimal digits.
func (k *signingKey) sign(toSign []byte) (signature [2 * sha256.Size]byte) {
	h, ok := k.hashes.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, k.key[:])
	}
	_, _ = h.Write(toSign)
	var sum [sha256.Size]byte
	hex.Encode(signature[:], h.Sum(sum[:0]))
	h.Reset()
	k.hashes.Put(h)
	return signature
}

// keyCache remembers derived signing keys. An entry holds for one secret: a changed secret makes a new one. It is safe for concurrent use.
type keyCache struct {
	mu   sync.RWMutex
	keys map[scope]cachedKey
}

type cachedKey struct {
	secret string
	key    *signingKey
}

// keyCacheSize bounds the cache; at the bound it starts again.
const keyCacheSize = 1024

func (c *keyCache) get(s scope, secret string) *signingKey {
	c.mu.RLock()
	e, ok := c.keys[s]
	c.mu.RUnlock()
	if ok && e.secret == secret {
		return e.key
	}
	e = cachedKey{secret, &signingKey{key: s.signingKey(secret)}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= keyCacheSize {
		c.keys = make(map[scope]cachedKey)
	}
	c.keys[s] = e
	return e.key
}

// signature is what a request says of its signature, by header or by query.
type signature struct {
	scope
	stamp     string    // the moment as it was signed
	at        time.Time // the same
	signed    []string  // names of the signed headers, lower case, in order
	given     string    // the signature, hexadecimal
	payload   string    // the last line of the canonical request
	presigned bool
	expires   time.Duration // of a presigned request, from at on
}

// canonical appends the canonical request.
func (s *signature) canonical(b []byte, r *http.Request, q query) []byte {
	b = append(append(b, r.Method...), '\n')
	path := r.URL.Path
	if path == "" {
		path = "/"
	}
	b = append(appendURL(b, path, true), '\n')
	b = append(appendCanonicalQuery(b, q, s.presigned), '\n')
	for _, name := range s.signed {
		b = append(append(b, name...), ':')
		b = append(appendHeader(b, r, name), '\n')
	}
	b = append(b, '\n')
	for i, name := range s.signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, s.payload...)
}

func appendCanonicalQuery(b []byte, q query, presigned bool) []byte {
	if len(q) == 0 {
		return b
	}
	type pair struct{ name, value []byte }
	pairs := make([]pair, 0, len(q))
	for _, p := range q {
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, pair{appendURL(nil, p.name, false), appendURL(nil, p.value, false)})
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(bytes.Compare(x.name, y.name), bytes.Compare(x.value, y.value))
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b
}

// appendHeader appends a header's values as they are signed. Go's server takes some headers out of the map; they are put back here.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return append(b, r.Host...)
	case "content-length":
		return strconv.AppendInt(b, r.ContentLength, 10)
	case "transfer-encoding":
		return append(b, strings.Join(r.TransferEncoding, ",")...)
	case "expect":
		return append(b, cmp.Or(r.Header.Get(name), "100-continue")...)
	}
	for i, v := range r.Header.Values(name) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

// appendTrimmed drops the spaces around v and makes runs of spaces inside it one.
func appendTrimmed(b []byte, v string) []byte {
	v = strings.TrimSpace(v)
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// toSign appends the string to sign of a canonical request.
func (s *signature) toSign(b, canonical []byte) []byte {
	b = append(b, sigAlgorithm+"\n"...)
	b = append(append(b, s.stamp...), '\n')
	b = append(s.scope.appendTo(b), '\n')
	sum := sha256.Sum256(canonical)
	return hex.AppendEncode(b, sum[:])
}
