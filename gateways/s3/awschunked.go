package s3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
)

// Bodies in chunks, each with its own signature, with checksums in a trailer:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
const (
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

const (
	// maxChunkLine bounds a chunk's head and a line of the trailer.
	maxChunkLine = 4 << 10
	// maxChunk bounds one chunk: far more than any client sends, far less than an overflow.
	maxChunk = 16 << 30
	// maxTrailers bounds the lines of a trailer.
	maxTrailers = 16
	// chunkBuffer is how much is read at once. Chunk heads lie between payload, so reads go through a buffer.
	chunkBuffer = 64 << 10
)

// chunked reads the payload out of a body in chunks. Bytes come out before their chunk's signature has been checked, so only io.EOF says that
// they were good; then trailer holds what followed. It is not safe for concurrent use.
type chunked struct {
	src        io.Reader
	buf        []byte // room; buf[r:w] is unread
	r, w       int
	left       int64        // of the current chunk
	signer     *chunkSigner // nil when chunks are not signed
	wantSig    []byte       // of the current chunk
	hasTrailer bool
	trailer    []attribute // names in lower case
	err        error       // what every further Read returns
}

// chunkSigner checks the chain of chunk signatures, which begins with the request's own.
type chunkSigner struct {
	*signer
	previous []byte
	sum      hash.Hash
}

func newChunked(src io.Reader, buf []byte, s *signer, signed, trailer bool) *chunked {
	c := &chunked{src: src, buf: buf, hasTrailer: trailer}
	if signed {
		c.signer = &chunkSigner{s, []byte(s.given), sha256.New()}
	}
	return c
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	if len(p) == 0 || c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		if c.err = c.next(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.readSome(p[:min(int64(len(p)), c.left)])
	if c.signer != nil {
		_, _ = c.signer.sum.Write(p[:n])
	}
	c.left -= int64(n)
	if err != nil {
		c.err = cutShort(err)
	} else if c.left == 0 {
		c.err = c.endChunk()
	}
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}

// readSome reads from the buffer, or past it when it is empty and p is larger.
func (c *chunked) readSome(p []byte) (int, error) {
	if c.r == c.w {
		if len(p) >= len(c.buf) {
			return c.src.Read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// fill reads more behind what is unread; there is room.
func (c *chunked) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	for range 100 {
		n, err := c.src.Read(c.buf[c.w:])
		c.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line reads a line without its end, which is "\r\n" or, from some clients in trailers, "\n". The bytes are valid until the next read.
func (c *chunked) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+i]
			c.r += i + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if c.w-c.r >= maxChunkLine {
			return nil, errIncompleteBody.say("The chunk header is too long.")
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// next begins the next chunk. After the last one it returns io.EOF, all checked.
func (c *chunked) next() error {
	line, err := c.line()
	if err != nil {
		return cutShort(err)
	}
	size, extension, _ := bytes.Cut(line, []byte{';'})
	if c.left, err = parseChunkSize(size); err != nil {
		return err
	}
	if c.signer != nil {
		given, ok := bytes.CutPrefix(bytes.TrimSpace(extension), []byte("chunk-signature="))
		if !ok || len(given) != 2*sha256.Size {
			return errSignature.say("A chunk of the body has no valid chunk-signature.")
		}
		c.wantSig = append(c.wantSig[:0], given...)
		c.signer.sum.Reset()
	}
	if c.left > 0 {
		return nil
	}
	return c.finish()
}

func parseChunkSize(b []byte) (n int64, err error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 16 {
		return 0, errIncompleteBody.say("The chunk size is malformed.")
	}
	for _, ch := range b {
		digit := int64(hexDigit(ch))
		if digit < 0 {
			return 0, errIncompleteBody.say("The chunk size is malformed.")
		}
		if n = n<<4 | digit; n > maxChunk {
			return 0, errIncompleteBody.say("The chunk size is too large.")
		}
	}
	return n, nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// endChunk checks the chunk that has just been read, and its end.
func (c *chunked) endChunk() error {
	if err := c.signer.check(c.wantSig); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return cutShort(err)
	}
	if len(line) != 0 {
		return errIncompleteBody.say("A chunk of the body is longer than it says.")
	}
	return nil
}

// finish checks the empty last chunk and reads the trailer. Clients differ in the empty lines around it, and some leave the last one out:
// what is declared is checked, wherever empty lines are.
func (c *chunked) finish() error {
	if err := c.signer.check(c.wantSig); err != nil {
		return err
	}
	var signed, given []byte
	for range maxTrailers {
		line, err := c.line()
		if errors.Is(err, io.EOF) && c.r == c.w {
			return c.checkTrailer(signed, given)
		}
		if err != nil {
			return cutShort(err)
		}
		if len(line) == 0 {
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok || !c.hasTrailer || given != nil {
			return errMalformedTrailer
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "x-amz-trailer-signature" {
			given = []byte(value)
			continue
		}
		c.trailer = append(c.trailer, attribute{name, value})
		signed = append(append(append(signed, name...), ':'), value...)
		signed = append(signed, '\n')
	}
	return errMalformedTrailer
}

// checkTrailer checks the signature of a trailer that must have one. The body is at its end then.
func (c *chunked) checkTrailer(signed, given []byte) error {
	if c.signer == nil || !c.hasTrailer {
		return io.EOF
	}
	if given == nil {
		return errMalformedTrailer
	}
	if err := c.signer.checkTrailer(signed, given); err != nil {
		return err
	}
	return io.EOF
}

// check compares the signature of the chunk that was summed up. On a nil signer everything is good.
func (s *chunkSigner) check(given []byte) error {
	if s == nil {
		return nil
	}
	b := s.lines("AWS4-HMAC-SHA256-PAYLOAD")
	b = append(b, emptySHA256+"\n"...)
	b = hex.AppendEncode(b, s.sum.Sum(nil))
	return s.compare(b, given)
}

func (s *chunkSigner) checkTrailer(signed, given []byte) error {
	b := s.lines("AWS4-HMAC-SHA256-TRAILER")
	sum := sha256.Sum256(signed)
	return s.compare(hex.AppendEncode(b, sum[:]), given)
}

// lines begins a string to sign of the chain.
func (s *chunkSigner) lines(algorithm string) []byte {
	b := make([]byte, 0, 384)
	b = append(append(b, algorithm...), '\n')
	b = append(append(b, s.stamp...), '\n')
	b = append(s.scope.appendTo(b), '\n')
	return append(append(b, s.previous...), '\n')
}

func (s *chunkSigner) compare(toSign, given []byte) error {
	want := s.key.sign(toSign)
	if !hmac.Equal(want[:], given) {
		return errSignature.say("The signature of a chunk of the body does not match.").with("SignatureProvided", string(given))
	}
	s.previous = append(s.previous[:0], want[:]...)
	return nil
}

// cutShort is the error of a body that ended, or could not be read, before it was whole.
func cutShort(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errIncompleteBody
	}
	return err
}
