package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/internal/admin"
)

// What a copied object says of where it comes from: by it a later run knows it.
const (
	MetaETag     = "x-amz-meta-source-etag"
	MetaModified = "x-amz-meta-source-last-modified"
)

// copyTries is how often an object is begun anew.
const copyTries = 4

// copy copies an object, unless it is there.
func (j *Job) copy(ctx context.Context, out *Outcome, o minio.ObjectInfo) error {
	tag := strings.Trim(o.ETag, `"`)
	for try := 0; ; try++ {
		p, action, err := j.plan(ctx, out.Key, tag, o.Size)
		if err == nil && action != Copied || err == nil && j.DryRun {
			out.Action = action
			return nil
		}
		if err == nil {
			out.Proof, err = j.transfer(ctx, p, o.Key, tag)
		}
		switch {
		case err == nil:
			out.Action = Copied
			return nil
		case errors.Is(err, &admin.Error{Code: admin.Precondition}), errors.Is(err, &admin.Error{Code: admin.NoSuchKey}): // somebody wrote it meanwhile: look again
		case try+1 == copyTries || !passing(err):
			return err
		}
		if err := j.wait(ctx, try); err != nil {
			return err
		}
		if !errors.Is(err, errChanged) {
			continue
		}
		now, err := j.From.StatObject(ctx, j.Bucket, o.Key, minio.StatObjectOptions{})
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			out.Action = Gone
			return nil
		}
		if err != nil {
			return err
		}
		tag, o.Size, out.Size = strings.Trim(now.ETag, `"`), now.Size, now.Size
	}
}

// passing says whether an error may be gone the next time.
func passing(err error) bool {
	var refused *admin.Error
	if errors.As(err, &refused) {
		return refused.Code == admin.Unavailable
	}
	s := minio.ToErrorResponse(err).StatusCode
	return s == 0 || s >= http.StatusInternalServerError || s == http.StatusTooManyRequests
}

// plan says what is to be done, by what there is at the key.
func (j *Job) plan(ctx context.Context, key, tag string, size int64) (p admin.PutRequest, _ Action, err error) {
	p = admin.PutRequest{Key: key}
	have, err := j.To.Stat(ctx, j.ToBucket, key, "")
	switch {
	case errors.Is(err, &admin.Error{Code: admin.NoSuchKey}):
		p.IfAbsent = true
		return p, Copied, nil
	case errors.Is(err, &admin.Error{Code: admin.NoSuchBucket}) && j.DryRun:
		return p, Copied, nil
	case err != nil:
		return p, "", err
	case have.Size == size && (have.ETag == tag || have.Meta[MetaETag] == tag):
		return p, Unchanged, nil
	case have.Meta[MetaETag] == "" && !j.Overwrite:
		return p, Left, nil
	}
	p.IfMatch = have.ETag
	return p, Copied, nil
}

// transfer copies an object of one ETag, and checks it before it is there.
func (j *Job) transfer(ctx context.Context, p admin.PutRequest, key, tag string) (Proof, error) {
	r := &reader{ctx: ctx, j: j, key: key, tag: tag}
	if err := r.openAt(0); err != nil {
		return "", err
	}
	defer r.Close()
	var err error
	if p.PartSize, err = j.partSize(ctx, key, tag, r.size); err != nil {
		return "", err
	}
	r.check = newCheck(r.header, tag, r.size, p.PartSize)
	p.Meta = metaOf(r.header, tag)
	if j.Tags {
		if p.Tags, err = j.tags(ctx, key); err != nil {
			return "", err
		}
	}
	if p.Size = r.size; r.size == 0 {
		if r.proof, err = r.check.verdict(); err != nil {
			return "", err
		}
	}
	if _, err := j.To.Put(ctx, j.ToBucket, p, r); err != nil {
		return "", err
	}
	return r.proof, nil
}

// partSize is the length of the parts of what was uploaded so, 0 where there are none, or it cannot be known.
func (j *Job) partSize(ctx context.Context, key, tag string, size int64) (int64, error) {
	_, digits, ok := strings.Cut(tag, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 || n > 10_000 || size == 0 {
		return 0, nil
	}
	o := minio.StatObjectOptions{PartNumber: 1}
	if err := o.SetMatchETag(tag); err != nil {
		return 0, err
	}
	if first, err := j.From.StatObject(ctx, j.Bucket, key, o); err == nil && (n == 1 || first.Size < size) && fits(size, first.Size, n) {
		return first.Size, nil
	}
	for _, mib := range []int64{8, 5, 16, 15, 64, 128, 32, 10, 25, 50, 100, 256, 512, 1024} { // what programs choose
		if fits(size, mib<<20, n) {
			return mib << 20, nil
		}
	}
	return 0, ctx.Err()
}

// fits says whether size bytes are n parts of a length.
func fits(size, part, n int64) bool { return part > 0 && (size-1)/part+1 == n }

// metaOf is the metadata of an answer: what describes the content, the owner's own, and where it comes from.
func metaOf(h http.Header, tag string) map[string]string {
	meta := map[string]string{MetaETag: tag}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		meta[MetaModified] = t.UTC().Format(time.RFC3339)
	}
	for name, values := range h {
		name = strings.ToLower(name)
		value := strings.Join(values, ",")
		switch name {
		case "content-type", "cache-control", "content-disposition", "content-language", "expires":
			meta[name] = value
		case "content-encoding":
			if value = strings.Trim(strings.TrimPrefix(value, "aws-chunked"), ", "); value != "" {
				meta[name] = value
			}
		case MetaETag, MetaModified:
		default:
			if strings.HasPrefix(name, "x-amz-meta-") {
				meta[name] = value
			}
		}
	}
	return meta
}

// tags are those of an object of the source.
func (j *Job) tags(ctx context.Context, key string) (map[string]string, error) {
	t, err := j.From.GetObjectTagging(ctx, j.Bucket, key, minio.GetObjectTaggingOptions{})
	if err != nil {
		return nil, fmt.Errorf("its tags: %w", err)
	}
	return t.ToMap(), nil
}
