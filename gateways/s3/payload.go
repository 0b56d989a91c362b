package s3

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// maxObject is the largest object, and the largest part of one, in bytes.
const maxObject = 5 << 40

// payload is a request's body as its sender meant it: decoded, counted, and checked against all that the request says of it except
// Content-MD5, which [payload.checkMD5] compares because its sum is the object's ETag and made elsewhere. It is not safe for concurrent use.
//
// Read returns io.EOF only when everything was right. What it returned before is not to be trusted, so nothing may be committed earlier.
type payload struct {
	src     io.Reader
	chunked *chunked // src, when the body is in chunks
	size    int64    // declared, decoded
	got     int64
	sha256  hash.Hash // nil when the payload is not signed as one
	wantSHA []byte
	claim   claim
	sum     hash.Hash // of claim; nil without one
	wantMD5 []byte    // nil without Content-MD5
	err     error     // what every further Read returns
	close   func()    // gives back what it lent
}

// openPayload reads what the headers say of the body; the checksum that they claim is parsed already. It must be closed.
func openPayload(r *http.Request, s *signer, c claim, bufs *buffers) (p *payload, err error) {
	p = &payload{src: r.Body, claim: c, close: func() {}}
	if p.wantMD5, err = contentMD5(r.Header); err != nil {
		return nil, err
	}
	signed, trailer := false, false
	switch s.payload {
	case unsignedSHA256:
		return p, p.plain(r)
	case streamingSigned:
		signed = true
	case streamingSignedTrailer:
		signed, trailer = true, true
	case streamingUnsignedTrailer:
		trailer = true
	default:
		return p, p.signedWhole(r, s.payload)
	}
	if p.claim.trailer && !trailer {
		return nil, errInvalidRequest.say("x-amz-trailer needs a payload with a trailer; x-amz-content-sha256 announces none.")
	}
	p.startSum()
	if err := p.decodedSize(r); err != nil {
		return nil, err
	}
	buf := bufs.chunk.Get().(*[chunkBuffer]byte)
	p.close = func() { bufs.chunk.Put(buf) }
	p.chunked = newChunked(r.Body, buf[:], s, signed, trailer)
	p.src = p.chunked
	return p, nil
}

// plain is a body without a signature of its own.
func (p *payload) plain(r *http.Request) error {
	if p.claim.trailer {
		return errInvalidRequest.say("x-amz-trailer needs a payload with a trailer; x-amz-content-sha256 announces none.")
	}
	p.startSum()
	p.size = r.ContentLength
	return nil
}

// signedWhole is a body whose SHA-256 was signed.
func (p *payload) signedWhole(r *http.Request, want string) (err error) {
	if strings.HasPrefix(want, "STREAMING-") {
		return errNotImplemented.say("A payload of the form %s is not supported.", want)
	}
	if p.wantSHA, err = hex.DecodeString(want); err != nil || len(p.wantSHA) != sha256.Size {
		return errContentSHAHeader
	}
	p.sha256 = sha256.New()
	return p.plain(r)
}

func (p *payload) startSum() {
	if p.claim.algorithm != "" {
		p.sum = p.claim.new()
	}
}

// decodedSize is the length of a chunked body without its framing.
func (p *payload) decodedSize(r *http.Request) (err error) {
	v := r.Header.Get("X-Amz-Decoded-Content-Length")
	if v == "" {
		return errMissingContentLength.say("You must provide the x-amz-decoded-content-length HTTP header.")
	}
	if p.size, err = strconv.ParseInt(v, 10, 64); err != nil || p.size < 0 {
		return errInvalidArgument.say("The value of x-amz-decoded-content-length is not a length.")
	}
	return nil
}

func contentMD5(h http.Header) ([]byte, error) {
	v, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(v[0])
	if err != nil || len(sum) != md5.Size {
		return nil, errInvalidDigest
	}
	return sum, nil
}

// expect makes sure that the body of a part has the checksum that its upload is to have: one that the client leaves out is computed.
func (p *payload) expect(upload []segment.Checksum) error {
	if len(upload) == 0 {
		return nil
	}
	want := algorithm(upload[0].Algorithm)
	if p.claim.algorithm == "" {
		p.claim.algorithm = want
		p.startSum()
	}
	if p.claim.algorithm != want {
		return errInvalidRequest.say("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
			strings.ToLower(string(want)), strings.ToLower(string(p.claim.algorithm)))
	}
	return nil
}

// Read implements io.Reader.
func (p *payload) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.src.Read(b)
	if p.sha256 != nil {
		_, _ = p.sha256.Write(b[:n])
	}
	if p.sum != nil {
		_, _ = p.sum.Write(b[:n])
	}
	p.got += int64(n)
	switch {
	case p.size >= 0 && p.got > p.size:
		p.err = errIncompleteBody.say("The body is longer than its declared length.")
	case err == io.EOF:
		p.err = p.finish()
	case err != nil:
		p.err = readFault(err)
	}
	if p.err != nil && p.err != io.EOF {
		return 0, p.err
	}
	return n, p.err
}

// finish checks what can be checked only at the end. It returns io.EOF when all is right.
func (p *payload) finish() error {
	if p.size >= 0 && p.got != p.size {
		return errIncompleteBody
	}
	if p.sha256 != nil {
		if sum := p.sha256.Sum(nil); !hmac.Equal(sum, p.wantSHA) {
			return errSHA256Mismatch.with("ClientComputedContentSHA256", hex.EncodeToString(p.wantSHA)).
				with("S3ComputedContentSHA256", hex.EncodeToString(sum))
		}
	}
	if err := p.takeTrailer(); err != nil {
		return err
	}
	if p.sum == nil {
		return io.EOF
	}
	sum := p.sum.Sum(nil)
	if p.claim.sum == nil { // see expect
		p.claim.sum = sum
	}
	if !hmac.Equal(sum, p.claim.sum) {
		return p.claim.mismatch()
	}
	return io.EOF
}

// takeTrailer finds the announced checksum in the trailer.
func (p *payload) takeTrailer() (err error) {
	if p.chunked == nil {
		return nil
	}
	for _, t := range p.chunked.trailer {
		if !p.claim.trailer || p.claim.sum != nil || !strings.EqualFold(t.name, p.claim.header()) {
			return errMalformedTrailer
		}
		if p.claim.sum, err = p.claim.parse(t.value); err != nil {
			return err
		}
	}
	if p.claim.trailer && p.claim.sum == nil {
		return errMalformedTrailer
	}
	return nil
}

// checkMD5 compares the sum of what was read with Content-MD5.
func (p *payload) checkMD5(sum [md5.Size]byte) error {
	if p.wantMD5 != nil && !hmac.Equal(sum[:], p.wantMD5) {
		return errBadDigest.say("The Content-MD5 you specified did not match what we received.").
			with("ExpectedDigest", hex.EncodeToString(p.wantMD5)).with("CalculatedDigest", hex.EncodeToString(sum[:]))
	}
	return nil
}

// readAll is the whole of a small body, checked.
func (p *payload) readAll(most int64) ([]byte, error) {
	if p.size > most {
		return nil, errMaxMessageLength.with("MaxMessageLengthBytes", strconv.FormatInt(most, 10))
	}
	b, err := io.ReadAll(io.LimitReader(p, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, errMaxMessageLength.with("MaxMessageLengthBytes", strconv.FormatInt(most, 10))
	}
	return b, p.checkMD5(md5.Sum(b))
}

// readFault is how an error of reading a body is told to who sent it.
func readFault(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errIncompleteBody
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errRequestTimeout
	case errors.As(err, new(code)), errors.As(err, new(*fault)):
		return err
	}
	return &fault{code: errIncompleteBody, cause: err}
}
