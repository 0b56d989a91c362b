package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

func bucketPath(bucket string, rest string) string {
	return "/buckets/" + url.PathEscape(bucket) + rest
}

// Buckets are all buckets, sorted by name, without their stats.
func (c *Client) Buckets(ctx context.Context) (b []Bucket, err error) {
	return b, c.call(ctx, request{method: http.MethodGet, path: "/buckets"}, nil, &b)
}

// Bucket is one bucket with its stats. With fold, what was written just now is in the root too.
func (c *Client) Bucket(ctx context.Context, name string, fold bool) (b Bucket, err error) {
	query := map[string]string{}
	if fold {
		query["fold"] = "true"
	}
	return b, c.call(ctx, request{method: http.MethodGet, path: bucketPath(name, ""), query: query, patient: true}, nil, &b)
}

// CreateBucket makes a bucket, whose home this segment is.
func (c *Client) CreateBucket(ctx context.Context, n NewBucket) (b Bucket, err error) {
	return b, c.call(ctx, request{method: http.MethodPost, path: "/buckets"}, n, &b)
}

// SetBucket changes settings, at the bucket's home.
func (c *Client) SetBucket(ctx context.Context, name string, change SettingsChange) (b Bucket, err error) {
	return b, c.call(ctx, request{method: http.MethodPatch, path: bucketPath(name, "")}, change, &b)
}

// MoveHome makes a segment the home of a bucket: at the old home or, by force, at the new.
func (c *Client) MoveHome(ctx context.Context, name string, m HomeMove) (b Bucket, err error) {
	return b, c.call(ctx, request{method: http.MethodPost, path: bucketPath(name, "/home")}, m, &b)
}

// RenameBucket gives a bucket another name, at all segments.
func (c *Client) RenameBucket(ctx context.Context, old, name string) (b Bucket, err error) {
	return b, c.call(ctx, request{method: http.MethodPost, path: bucketPath(old, "/name")}, BucketName{name}, &b)
}

// DeleteBucket removes an empty bucket.
func (c *Client) DeleteBucket(ctx context.Context, name string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: bucketPath(name, ""), patient: true}, nil, nil)
}

// ListRequest asks for a page of a bucket, in the order of keys.
type ListRequest struct {
	Prefix, Delimiter string
	After             string // only what follows; a List's Next
	Limit             int    // at most MaxPage; 0 is MaxPage
	Versions          bool   // all versions, not only the current ones
}

// List is a page of a bucket.
func (c *Client) List(ctx context.Context, bucket string, r ListRequest) (l List, err error) {
	query := map[string]string{"prefix": r.Prefix, "delimiter": r.Delimiter, "after": r.After}
	if r.Limit > 0 {
		query["limit"] = strconv.Itoa(r.Limit)
	}
	if r.Versions {
		query["versions"] = "true"
	}
	return l, c.call(ctx, request{method: http.MethodGet, path: bucketPath(c.state(bucket), "/objects"), query: query}, nil, &l)
}

// Conflict is that of one key, and says of each version what of its content is here. [NoSuchKey] when it is in none.
func (c *Client) Conflict(ctx context.Context, bucket, key string) (f Conflict, err error) {
	query := map[string]string{"key": key}
	return f, c.call(ctx, request{method: http.MethodGet, path: bucketPath(bucket, "/conflict"), query: query, patient: true}, nil, &f)
}

// Conflicts is a page of the keys in conflict that begin with a prefix and follow after.
func (c *Client) Conflicts(ctx context.Context, bucket, prefix, after string) (p Conflicts, err error) {
	query := map[string]string{"prefix": prefix, "after": after}
	return p, c.call(ctx, request{method: http.MethodGet, path: bucketPath(bucket, "/conflicts"), query: query}, nil, &p)
}

// Resolve ends the conflict of a key. It returns the version that is current then; a marker when the key stays deleted. A version that is
// written elsewhere without knowledge of this one is a conflict again.
func (c *Client) Resolve(ctx context.Context, bucket string, r Resolution) (o Object, err error) {
	return o, c.call(ctx, request{method: http.MethodPost, path: bucketPath(bucket, "/conflicts")}, r, &o)
}
