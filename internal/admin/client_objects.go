package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// The headers of objects. HeaderObject carries the description of a version, as base64 of its JSON, where the body is the content.
const (
	HeaderObject = "Edgefs-Object"
	HeaderMeta   = "Edgefs-Meta" // base64 of a JSON object: the metadata of what is put
	HeaderTags   = "Edgefs-Tags" // the same of its tags
)

// PutRequest puts content under a key.
type PutRequest struct {
	Key      string
	Meta     map[string]string // lower-case names: content-type and x-amz-meta-...
	IfAbsent bool              // refuse when the key has content
	IfMatch  string            // refuse unless the current content has this ETag
	Resolve  bool              // end the key's conflict: replace all versions that are in it now
	Size     int64             // of the content; 0 when it is not known
	Tags     map[string]string
	PartSize int64 // not 0: the ETag is that of an upload in parts of so many bytes
}

// Put stores content. When it returns, the object is durable and listed.
func (c *Client) Put(ctx context.Context, bucket string, p PutRequest, content io.Reader) (o Object, err error) {
	header := map[string]string{"Expect": "100-continue"}
	if len(p.Meta) > 0 {
		header[HeaderMeta], err = encodeHeader(p.Meta)
		if err != nil {
			return o, err
		}
	}
	if len(p.Tags) > 0 {
		if header[HeaderTags], err = encodeHeader(p.Tags); err != nil {
			return o, err
		}
	}
	if p.IfAbsent {
		header["If-None-Match"] = "*"
	}
	if p.IfMatch != "" {
		header["If-Match"] = p.IfMatch
	}
	query := map[string]string{"key": p.Key}
	if p.Resolve {
		query["resolve"] = "true"
	}
	if p.PartSize > 0 {
		query["partSize"] = strconv.FormatInt(p.PartSize, 10)
	}
	r := request{
		method: http.MethodPut, path: bucketPath(bucket, "/object"), query: query,
		header: header, body: content, size: p.Size,
	}
	res, err := c.do(ctx, r)
	if err != nil {
		return o, err
	}
	defer res.Body.Close()
	return o, c.decode(res.Body, r, &o)
}

// GetRequest names content to read.
type GetRequest struct {
	Key     string
	Version string // empty: the current one
	Offset  int64  // negative: so many bytes from the end
	Length  int64  // 0: to the end
}

// rangeHeader is the Range of the request, or empty for everything.
func (g GetRequest) rangeHeader() (string, error) {
	switch {
	case g.Length < 0 || g.Offset < 0 && g.Length > 0:
		return "", errors.New("a range is an offset and a length, or the last bytes")
	case g.Offset < 0:
		return fmt.Sprintf("bytes=%d", g.Offset), nil
	case g.Length > 0:
		return fmt.Sprintf("bytes=%d-%d", g.Offset, g.Offset+g.Length-1), nil
	case g.Offset > 0:
		return fmt.Sprintf("bytes=%d-", g.Offset), nil
	}
	return "", nil
}

// Get opens content, which the caller closes. The object describes all of the version, also when a range was asked for.
func (c *Client) Get(ctx context.Context, bucket string, g GetRequest) (Object, io.ReadCloser, error) {
	span, err := g.rangeHeader()
	if err != nil {
		return Object{}, nil, err
	}
	header := map[string]string{}
	if span != "" {
		header["Range"] = span
	}
	res, err := c.do(ctx, request{
		method: http.MethodGet, path: bucketPath(c.state(bucket), "/object"),
		query: map[string]string{"key": g.Key, "version": g.Version}, header: header,
	})
	if err != nil {
		return Object{}, nil, err
	}
	var o Object
	if err := decodeHeader(res.Header.Get(HeaderObject), &o); err != nil {
		res.Body.Close()
		return Object{}, nil, fmt.Errorf("%s: description of %s: %w", c.where, g.Key, err)
	}
	return o, res.Body, nil
}

// Stat describes a version; an empty version is the current one.
func (c *Client) Stat(ctx context.Context, bucket, key, version string) (o Object, err error) {
	query := map[string]string{"key": key, "version": version}
	return o, c.call(ctx, request{method: http.MethodGet, path: bucketPath(c.state(bucket), "/stat"), query: query}, nil, &o)
}

// SetTags replaces the tags of a version; an empty version is the current one.
func (c *Client) SetTags(ctx context.Context, bucket, key, version string, t TagsChange) (o Object, err error) {
	query := map[string]string{"key": key, "version": version}
	return o, c.call(ctx, request{method: http.MethodPut, path: bucketPath(bucket, "/tags"), query: query}, t, &o)
}

// Lock changes what keeps a version from being removed; an empty version is the current one.
func (c *Client) Lock(ctx context.Context, bucket, key, version string, l LockChange) (o Object, err error) {
	query := map[string]string{"key": key, "version": version}
	return o, c.call(ctx, request{method: http.MethodPut, path: bucketPath(bucket, "/lock"), query: query}, l, &o)
}

// DeleteRequest names what to remove.
type DeleteRequest struct {
	Key     string
	Version string // this one, for ever; empty: what a plain delete does in the bucket
	// IfThere refuses, as [NoSuchKey] or [NoSuchVersion], when there is nothing to remove; otherwise that is a success, as in S3, and leaves
	// a delete marker where the bucket has versions.
	IfThere bool
	Bypass  bool // of a version: although a retention of governance is not over
}

// Delete removes a version for ever, or without a version does what a plain delete does in the bucket.
func (c *Client) Delete(ctx context.Context, bucket string, r DeleteRequest) (d Deleted, err error) {
	q := request{
		method: http.MethodDelete, path: bucketPath(bucket, "/object"),
		query: map[string]string{"key": r.Key, "version": r.Version}, header: map[string]string{},
	}
	if r.IfThere {
		q.header["If-Match"] = "*"
	}
	if r.Bypass {
		q.query["bypass"] = "true"
	}
	return d, c.call(ctx, q, nil, &d)
}

// Rename moves a key, or all below a directory, in one write.
func (c *Client) Rename(ctx context.Context, bucket string, r Rename) (d Renamed, err error) {
	return d, c.call(ctx, request{method: http.MethodPost, path: bucketPath(bucket, "/rename"), patient: true}, r, &d)
}

func encodeHeader(v any) (string, error) {
	text, err := json.Marshal(v)
	return base64.StdEncoding.EncodeToString(text), err
}

func decodeHeader(s string, v any) error {
	text, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
