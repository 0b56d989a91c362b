package loadtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"time"
)

// Credentials sign requests. The zero value sends them unsigned.
type Credentials struct {
	AccessKey, SecretKey, SessionToken string
	Region                             string
}

const (
	amzTime         = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	emptySHA256     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// header is one header of a request, its name in lower case.
type header struct{ name, value string }

// signer makes the Authorization header of AWS Signature Version 4. It keeps the day's key and its buffers, for a general
// signer costs more than all else that the client does for a small object (BenchmarkSign). Not safe for concurrent use.
type signer struct {
	creds Credentials
	day   string
	scope string
	mac   hash.Hash
	sha   hash.Hash
	buf   []byte
	sum   [sha256.Size]byte
}

func newSigner(creds Credentials) *signer {
	return &signer{creds: creds, sha: sha256.New()}
}

// appendAuthorization appends the value of the header for a request. headers are those to sign, sorted by name; path and query are as sent,
// the query sorted. stamp is the value of x-amz-date.
func (s *signer) appendAuthorization(dst []byte, method, path, query, stamp, payload string, headers []header) []byte {
	if day := stamp[:8]; day != s.day {
		s.newDay(day)
	}
	b := append(s.buf[:0], method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = append(b, query...)
	b = append(b, '\n')
	for _, h := range headers {
		b = append(b, h.name...)
		b = append(b, ':')
		b = append(b, h.value...)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = appendNames(b, headers)
	b = append(b, '\n')
	b = append(b, payload...)
	s.sha.Reset()
	s.sha.Write(b)
	request := s.sha.Sum(s.sum[:0])

	b = append(b[:0], "AWS4-HMAC-SHA256\n"...)
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, s.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, request)
	s.buf = b
	s.mac.Reset()
	s.mac.Write(b)
	signature := s.mac.Sum(s.sum[:0])

	dst = append(dst, "AWS4-HMAC-SHA256 Credential="...)
	dst = append(dst, s.creds.AccessKey...)
	dst = append(dst, '/')
	dst = append(dst, s.scope...)
	dst = append(dst, ", SignedHeaders="...)
	dst = appendNames(dst, headers)
	dst = append(dst, ", Signature="...)
	return hex.AppendEncode(dst, signature)
}

func (s *signer) newDay(day string) {
	key := []byte("AWS4" + s.creds.SecretKey)
	for _, part := range []string{day, s.creds.Region, "s3", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	s.day = day
	s.scope = day + "/" + s.creds.Region + "/s3/aws4_request"
	s.mac = hmac.New(sha256.New, key)
}

func appendNames(dst []byte, headers []header) []byte {
	for i, h := range headers {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, h.name...)
	}
	return dst
}

func amzStamp(now time.Time) string { return now.UTC().Format(amzTime) }

// appendEscaped appends a path or query part as Signature Version 4 wants it: all but unreserved characters escaped, slashes kept in paths.
func appendEscaped(dst []byte, text string, keepSlash bool) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~', c == '/' && keepSlash:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}
