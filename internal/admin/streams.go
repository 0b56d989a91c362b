package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// TrailerError is what an answer that is a stream says behind it when it could not be made to its end: the failure's document.
const TrailerError = "Edgefs-Error"

// ImportRequest says how a stream is imported.
type ImportRequest struct {
	KeepGoing bool // what is whole of a stream that is damaged
}

// Imported is what an import did.
type Imported struct {
	Bucket       Bucket         `json:"bucket"`
	Versions     int64          `json:"versions"`          // that the bucket has, delete markers too
	Logical      int64          `json:"logical"`           // bytes of them
	Chunks       int64          `json:"chunks"`            // that were in the stream
	Bytes        int64          `json:"bytes"`             // of those
	NewChunks    int64          `json:"newChunks"`         // that were not here before
	NewBytes     int64          `json:"newBytes"`          // of those
	Current      bool           `json:"current,omitempty"` // the stream has current versions alone
	Damages      []StreamDamage `json:"damages,omitempty"` // [MaxTold] at the most
	Lost         []LostVersion  `json:"lost,omitempty"`    // versions that were left out, those whose names are known; [MaxTold] at the most
	LostVersions int64          `json:"lostVersions"`      // how many, as far as that is known
	DamagedAt    int64          `json:"damagedPlaces"`     // how many places of damage
}

// MaxTold bounds the lists of an import that goes on behind damage.
const MaxTold = 10000

// StreamDamage is a place where a stream is not as it was written.
type StreamDamage struct {
	Offset int64  `json:"offset"` // in the stream, in bytes
	Bytes  int64  `json:"bytes"`  // that were passed over
	Frames uint64 `json:"frames"` // that are missing, as far as that is known
	Chunks uint64 `json:"chunks"` // that are missing
	Why    string `json:"why"`
}

// LostVersion is a version of which content is missing.
type LostVersion struct {
	Key     string `json:"key"`
	Version string `json:"version"`
}

// Export opens a bucket, BUCKET or BUCKET@NAME, as a stream, which the caller closes; current: only what a reader gets. When the segment cannot write all of it, the reading
// ends with why.
func (c *Client) Export(ctx context.Context, bucket string, current bool) (io.ReadCloser, error) {
	query := map[string]string{}
	if current {
		query["current"] = "true"
	}
	res, err := c.do(ctx, request{method: http.MethodGet, path: bucketPath(c.state(bucket), "/export"), query: query, patient: true})
	if err != nil {
		return nil, err
	}
	return &streamBody{res.Body, res}, nil
}

// streamBody reads the trailer behind the stream.
type streamBody struct {
	io.ReadCloser
	res *http.Response
}

func (s *streamBody) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	text := s.res.Trailer.Get(TrailerError)
	if text == "" {
		return n, err
	}
	var f failure
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return n, fmt.Errorf("the stream broke off: %s", text)
	}
	return n, &f.Error
}

// Import makes a bucket of a stream of size bytes, 0 when that is not known. When it returns, the bucket is durable.
func (c *Client) Import(ctx context.Context, bucket string, r ImportRequest, in io.Reader, size int64) (i Imported, err error) {
	q := request{
		method: http.MethodPost, path: bucketPath(bucket, "/import"), query: map[string]string{},
		header: map[string]string{"Expect": "100-continue", "Content-Type": "application/x-edgefs-stream"}, body: in, size: size, patient: true,
	}
	if r.KeepGoing {
		q.query["keepGoing"] = "true"
	}
	res, err := c.do(ctx, q)
	if err != nil {
		return i, err
	}
	defer res.Body.Close()
	return i, c.decode(res.Body, q, &i)
}
