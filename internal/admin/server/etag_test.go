package server

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// What is put as if in parts has the ETag, and the parts, that S3 gives to an upload in parts.
func TestAnETagOfParts(t *testing.T) {
	s, c := withContent(t)
	content := bytes.Repeat([]byte("0123456789"), 1000)
	for _, part := range []int{999, 2500, 10_000, 1 << 20} {
		var sums []byte
		var sizes []int64
		for p := range slices.Chunk(content, part) {
			sum := md5.Sum(p)
			sums, sizes = append(sums, sum[:]...), append(sizes, int64(len(p)))
		}
		o := must(c.Put(t.Context(), "photos", admin.PutRequest{Key: "k", PartSize: int64(part), Tags: map[string]string{"a": "b"}}, bytes.NewReader(content)))(t)
		if want := fmt.Sprintf("%x-%d", md5.Sum(sums), len(sizes)); o.ETag != want || o.Tags["a"] != "b" {
			t.Errorf("parts of %d: %+v, want %s", part, o, want)
		}
		b := must(s.Segment.Bucket("photos"))(t)
		v := must(b.Stat(t.Context(), "k", segment.VersionRef{}))(t)
		if !slices.Equal(v.Attrs.Parts, sizes) {
			t.Errorf("parts of %d: %v, want %v", part, v.Attrs.Parts, sizes)
		}
	}
	_, err := c.Put(t.Context(), "photos", admin.PutRequest{Key: "k", PartSize: 1}, bytes.NewReader(make([]byte, maxETagParts+1)))
	wantCode(t, err, admin.Invalid)
	_, err = c.Put(t.Context(), "photos", admin.PutRequest{Key: "k", Tags: map[string]string{"": "x"}}, strings.NewReader("x"))
	wantCode(t, err, admin.Invalid)
}
