package loadtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/minio/crc64nvme"
)

const (
	streamingTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	trailerName      = "x-amz-checksum-crc64nvme"
	trailerLength    = len(trailerName) + len(":") + 12 + len("\r\n\r\n") // base64 of 8 bytes
)

// send writes a request. The head travels in one write with the first piece of the body.
func (s *Session) send(r request) error {
	path := append(s.path[:0], '/')
	path = append(path, s.client.cfg.Bucket...)
	if r.key != "" {
		path = append(path, '/')
		path = appendEscaped(path, r.key, true)
	}
	s.path = path

	b := append(s.out[:0], r.method...)
	b = append(b, ' ')
	b = append(b, path...)
	if r.query != "" {
		b = append(b, '?')
		b = append(b, r.query...)
	}
	b = append(b, " HTTP/1.1\r\n"...)
	payload := s.payloadOf(r)
	chunked := payload == streamingTrailer
	stamp := s.now() // once: the second may end at any moment
	for _, h := range s.signedHeaders(r, payload, stamp) {
		b = appendHeader(b, h.name, h.value)
	}
	if s.client.cfg.Credentials.AccessKey != "" {
		b = append(b, "authorization: "...)
		b = s.signer.appendAuthorization(b, r.method, string(path), r.query, stamp, payload, s.headers)
		b = append(b, '\r', '\n')
	}
	if chunked {
		b = appendLength(b, chunkedLength(r.body.Size))
	} else if r.body != nil {
		b = appendLength(b, r.body.Size)
	}
	b = append(b, '\r', '\n')
	switch {
	case r.body == nil:
		s.out = b
		_, err := s.conn.Write(b)
		return err
	case chunked:
		return s.sendChunked(b, r.body)
	}
	return s.sendPlain(b, r.body)
}

// signedHeaders are in s.headers, sorted.
func (s *Session) signedHeaders(r request, payload, stamp string) []header {
	h := s.headers[:0]
	if payload == streamingTrailer {
		h = append(h, header{"content-encoding", "aws-chunked"})
	}
	h = append(h, header{"host", s.client.host}, header{"x-amz-content-sha256", payload}, header{"x-amz-date", stamp})
	if payload == streamingTrailer {
		h = append(h, header{"x-amz-decoded-content-length", strconv.FormatInt(r.body.Size, 10)})
	}
	if token := s.client.cfg.Credentials.SessionToken; token != "" {
		h = append(h, header{"x-amz-security-token", token})
	}
	if payload == streamingTrailer {
		h = append(h, header{"x-amz-trailer", trailerName})
	}
	s.headers = h
	return h
}

func (s *Session) payloadOf(r request) string {
	switch {
	case r.body == nil:
		return emptySHA256
	case s.client.cfg.Payload == Trailer:
		return streamingTrailer
	case s.client.cfg.Payload == Signed:
		return s.sha256Of(r.body)
	}
	return unsignedPayload
}

func (s *Session) sha256Of(o *Object) string {
	sum := sha256.New()
	for off := int64(0); off < o.Size; {
		s.scratch = sized(s.scratch, int(min(pieceSize, o.Size-off)))
		n := o.Fill(s.scratch, off)
		sum.Write(s.scratch[:n])
		off += int64(n)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (s *Session) sendPlain(b []byte, o *Object) error {
	for off := int64(0); ; {
		head := len(b)
		b = extend(b, int(min(pieceSize, o.Size-off)))
		off += int64(o.Fill(b[head:], off))
		s.out = b
		if _, err := s.conn.Write(b); err != nil || off == o.Size {
			return err
		}
		b = b[:0]
	}
}

// sendChunked writes aws-chunked pieces and the trailer.
func (s *Session) sendChunked(b []byte, o *Object) error {
	var sum hash.Hash64 = crc64nvme.New()
	for off := int64(0); off < o.Size; {
		n := int(min(pieceSize, o.Size-off))
		b = strconv.AppendInt(b, int64(n), 16)
		b = append(b, '\r', '\n')
		head := len(b)
		b = extend(b, n)
		o.Fill(b[head:], off)
		sum.Write(b[head:])
		b = append(b, '\r', '\n')
		off += int64(n)
		s.out = b
		if off < o.Size {
			if _, err := s.conn.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	b = append(b, "0\r\n"...)
	b = append(b, trailerName...)
	b = append(b, ':')
	b = base64.StdEncoding.AppendEncode(b, binary.BigEndian.AppendUint64(nil, sum.Sum64()))
	b = append(b, "\r\n\r\n"...)
	s.out = b
	_, err := s.conn.Write(b)
	return err
}

// chunkedLength is the length of a body of size bytes in the form that sendChunked gives it.
func chunkedLength(size int64) int64 {
	framed := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16))) + 2 + n + 2 }
	length := size / pieceSize * framed(pieceSize)
	if rest := size % pieceSize; rest > 0 {
		length += framed(rest)
	}
	return length + int64(len("0\r\n")+trailerLength)
}

// extend makes b longer by n bytes of any value.
func extend(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	longer := make([]byte, len(b)+n, len(b)+n+1<<10)
	copy(longer, b)
	return longer
}
