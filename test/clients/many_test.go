package clients_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"
)

// A bucket that needs several pages to list, with and without a delimiter. It is made once, and tests only read it.
const (
	manyBucket  = "many-keys"
	manyFolders = 20
	manyInEach  = 60
	manyAtTop   = 1050
	manyKeys    = manyFolders*manyInEach + manyAtTop
)

var makeMany sync.Once

// many makes sure of the bucket, and returns its name.
func many(t *testing.T, s *site) string {
	t.Helper()
	makeMany.Do(func() { putMany(t, s) })
	return manyBucket
}

func putMany(t *testing.T, s *site) {
	t.Helper()
	c := minioClient(t, s)
	if err := c.MakeBucket(t.Context(), manyBucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	group.SetLimit(16)
	for _, key := range manyNames() {
		group.Go(func() error {
			_, err := c.PutObject(t.Context(), manyBucket, key, strings.NewReader(key), int64(len(key)), minio.PutObjectOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// manyNames are the keys of the bucket, in order.
func manyNames() []string {
	var names []string
	for d := range manyFolders {
		for f := range manyInEach {
			names = append(names, fmt.Sprintf("d%02d/%03d", d, f))
		}
	}
	for f := range manyAtTop {
		names = append(names, fmt.Sprintf("f%04d", f))
	}
	return names
}

func minioClient(t *testing.T, s *site) *minio.Client {
	t.Helper()
	c, err := minio.New(s.host(), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), TrailingHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func makeBucket(t *testing.T, s *site, name string) {
	t.Helper()
	if err := minioClient(t, s).MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

// keysOf are all keys of a bucket.
func keysOf(t *testing.T, s *site, bucket string) []string {
	t.Helper()
	var keys []string
	for o := range minioClient(t, s).ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}
