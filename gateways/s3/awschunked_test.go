package s3

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func newBuffers() *buffers {
	b := new(buffers)
	b.init()
	return b
}

// unsignedChunked decodes a body of STREAMING-UNSIGNED-PAYLOAD-TRAILER.
func unsignedChunked(body string, size int, trailer algorithm, piece int) ([]byte, error) {
	h := http.Header{"X-Amz-Decoded-Content-Length": {fmt.Sprint(size)}}
	if trailer != "" {
		h.Set("X-Amz-Trailer", strings.ToLower(trailer.header()))
	}
	r := &http.Request{Header: h, Body: io.NopCloser(&pieces{[]byte(body), piece})}
	c, err := parseClaim(h)
	if err != nil {
		return nil, err
	}
	p, err := openPayload(r, &signer{signature: signature{payload: streamingUnsignedTrailer}}, c, newBuffers())
	if err != nil {
		return nil, err
	}
	return io.ReadAll(p)
}

func sumText(a algorithm, data string) string {
	h := a.new()
	_, _ = h.Write([]byte(data))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestUnsignedChunkedBodies(t *testing.T) {
	const text = "hello, world"
	crc := "x-amz-checksum-crc32:" + sumText(crc32IEEE, text)
	cases := []struct {
		name, body string
		trailer    algorithm
		want       string // the code of the error
	}{
		{"one chunk", "c\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, ""},
		{"several chunks", "5\r\nhello\r\n2\r\n, \r\n5\r\nworld\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, ""},
		{"upper-case size, leading zeros", "000C\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, ""},
		{"no last line end", "c\r\nhello, world\r\n0\r\n" + crc + "\r\n", crc32IEEE, ""},
		{"bare line feed in the trailer", "c\r\nhello, world\r\n0\r\n" + crc + "\n\r\n", crc32IEEE, ""},
		{"empty line before the trailer", "c\r\nhello, world\r\n0\r\n\r\n" + crc + "\r\n\r\n", crc32IEEE, ""},
		{"extension", "c;x=y\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, ""},
		{"no trailer announced, none sent", "c\r\nhello, world\r\n0\r\n\r\n", "", ""},
		{"wrong checksum", "c\r\nhellO, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, "BadDigest"},
		{"checksum that is none", "c\r\nhello, world\r\n0\r\nx-amz-checksum-crc32:???\r\n\r\n", crc32IEEE, "InvalidRequest"},
		{"trailer missing", "c\r\nhello, world\r\n0\r\n\r\n", crc32IEEE, "MalformedTrailerError"},
		{"another trailer", "c\r\nhello, world\r\n0\r\nx-amz-checksum-crc32c:" + sumText(crc32C, text) + "\r\n\r\n", crc32IEEE, "MalformedTrailerError"},
		{"trailer not announced", "c\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", "", "MalformedTrailerError"},
		{"trailer twice", "c\r\nhello, world\r\n0\r\n" + crc + "\r\n" + crc + "\r\n\r\n", crc32IEEE, "MalformedTrailerError"},
		{"trailer without colon", "c\r\nhello, world\r\n0\r\nnothing\r\n\r\n", crc32IEEE, "MalformedTrailerError"},
		{"chunk shorter than it says", "d\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, "IncompleteBody"},
		{"chunk longer than it says", "b\r\nhello, world\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, "IncompleteBody"},
		{"less than declared", "5\r\nhello\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, "IncompleteBody"},
		{"more than declared", "c\r\nhello, world\r\n1\r\n!\r\n0\r\n" + crc + "\r\n\r\n", crc32IEEE, "IncompleteBody"},
		{"no last chunk", "c\r\nhello, world\r\n", crc32IEEE, "IncompleteBody"},
		{"size that is none", "g\r\nhello, world\r\n0\r\n\r\n", "", "IncompleteBody"},
		{"size that is negative", "-1\r\nhello, world\r\n0\r\n\r\n", "", "IncompleteBody"},
		{"size that overflows", "ffffffffffffffff\r\nhello, world\r\n0\r\n\r\n", "", "IncompleteBody"},
		{"size without end", strings.Repeat("0", 2*chunkBuffer), "", "IncompleteBody"},
		{"nothing at all", "", crc32IEEE, "IncompleteBody"},
		{"not chunked", text, "", "IncompleteBody"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for piece := 1; piece <= len(c.body)+1; piece++ {
				got, err := unsignedChunked(c.body, len(text), c.trailer, piece)
				if c.want == "" && (err != nil || string(got) != text) {
					t.Fatalf("in pieces of %d: %q, %v", piece, got, err)
				}
				if c.want != "" && (err == nil || faultOf(err).name != c.want) {
					t.Fatalf("in pieces of %d: %v, want %s", piece, err, c.want)
				}
				if piece > 2*maxChunkLine {
					break
				}
				if piece > 100 {
					piece += 997
				}
			}
		})
	}
}

func TestEveryTrailingChecksumIsVerified(t *testing.T) {
	const text = "the quick brown fox"
	for _, a := range algorithms() {
		body := fmt.Sprintf("%x\r\n%s\r\n0\r\n%s:%s\r\n\r\n", len(text), text, strings.ToLower(a.header()), sumText(a, text))
		if got, err := unsignedChunked(body, len(text), a, 3); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", a, got, err)
		}
		wrong := strings.Replace(body, "fox", "fix", 1)
		if _, err := unsignedChunked(wrong, len(text), a, 3); !errors.As(err, new(*fault)) || faultOf(err).name != "BadDigest" {
			t.Errorf("%s of another text: %v", a, err)
		}
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("c\r\nhello, world\r\n0\r\n\r\n"), 3, true)
	f.Add([]byte("5;chunk-signature=00\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n"), 1, true)
	f.Add([]byte("0\n\n\n\n"), 1, false)
	f.Fuzz(func(t *testing.T, body []byte, piece int, trailer bool) {
		piece = 1 + piece&0xff
		decode := func(piece int) ([]byte, error) {
			return io.ReadAll(newChunked(&pieces{body, piece}, make([]byte, chunkBuffer), nil, false, trailer))
		}
		got, err := decode(piece)
		again, err2 := decode(len(body) + 1)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("in pieces of %d: %v; whole: %v", piece, err, err2)
		}
		if err == nil && !bytes.Equal(got, again) {
			t.Fatalf("in pieces of %d: %q; whole: %q", piece, got, again)
		}
		if len(got) > len(body) {
			t.Fatalf("%d bytes decoded of %d", len(got), len(body))
		}
	})
}
