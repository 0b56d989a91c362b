package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/edgefs/edgefs/internal/admin"
)

// idle is how many connections are kept for the next request: as many as a step has requests in flight.
const idle = 64

// dialS3 makes a client as any S3 program has it, apart from one thing: it never tries again, so that nothing that fails is hidden.
func dialS3(address string, k admin.Credentials) (*minio.Core, error) {
	transport, err := minio.DefaultTransport(false)
	if err != nil {
		return nil, err
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idle, idle
	return minio.NewCore(address, &minio.Options{
		Creds:     credentials.NewStaticV4(k.AccessKey, k.SecretKey, ""),
		Region:    k.Region,
		Transport: transport, MaxRetries: 1,
	})
}

// Put stores content under a key and returns its ETag. When it returns, the segment has acknowledged.
func (s *Site) Put(ctx context.Context, bucket, key string, content []byte) (etag string, err error) {
	return s.PutFrom(ctx, bucket, key, bytes.NewReader(content), int64(len(content)))
}

// PutFrom stores size bytes that are read from r, in one request.
func (s *Site) PutFrom(ctx context.Context, bucket, key string, r io.Reader, size int64) (etag string, err error) {
	info, err := s.S3.Client.PutObject(ctx, bucket, key, r, size, minio.PutObjectOptions{DisableMultipart: true})
	if err != nil {
		return "", fmt.Errorf("put %s at %s: %w", key, s.cfg.Name, err)
	}
	return info.ETag, nil
}

// Get reads content whole. An empty version is the current one. With an error come the bytes that were read before it.
func (s *Site) Get(ctx context.Context, bucket, key, version string) ([]byte, error) {
	body, info, _, err := s.S3.GetObject(ctx, bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		return nil, fmt.Errorf("get %s at %s: %w", key, s.cfg.Name, err)
	}
	defer body.Close()
	content := bytes.NewBuffer(make([]byte, 0, max(info.Size, 0)+bytes.MinRead))
	if _, err := content.ReadFrom(body); err != nil {
		return content.Bytes(), fmt.Errorf("get %s at %s: after %d bytes: %w", key, s.cfg.Name, content.Len(), err)
	}
	return content.Bytes(), nil
}

// Copy reads content into w and returns its length.
func (s *Site) Copy(ctx context.Context, w io.Writer, bucket, key string) (int64, error) {
	body, _, _, err := s.S3.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return 0, fmt.Errorf("get %s at %s: %w", key, s.cfg.Name, err)
	}
	defer body.Close()
	n, err := io.Copy(w, body)
	if err != nil {
		return n, fmt.Errorf("get %s at %s: after %d bytes: %w", key, s.cfg.Name, n, err)
	}
	return n, nil
}

// List calls each for every object whose key begins with prefix, in the order of keys.
func (s *Site) List(ctx context.Context, bucket, prefix string, each func(minio.ObjectInfo) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the lister when each does
	defer cancel()
	for o := range s.S3.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list %s at %s: %w", prefix, s.cfg.Name, o.Err)
		}
		if err := each(o); err != nil {
			return err
		}
	}
	return nil
}

// Unavailable says whether a segment answered 503.
func Unavailable(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusServiceUnavailable
}
