package s3

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/segment"
)

func TestSnapshotsAreReadOnlyBuckets(t *testing.T) {
	s := newSite(t)
	b := s.bucket("photos", segment.Versioned)
	s.put("/photos/k", "first")
	s.put("/photos/gone", "first")
	if _, err := b.CreateSnapshot(t.Context(), "monday_1"); err != nil {
		t.Fatal(err)
	}
	s.put("/photos/k", "second")
	s.want(204, "", "DELETE", "/photos/gone", "")
	for _, name := range []string{"/photos@monday_1", "/photos__monday_1", "/photos%40monday_1"} {
		s.get(name+"/k", "first")
		s.get(name+"/gone", "first")
		wantKeys(t, s.want(200, "", "GET", name+"?list-type=2", ""), "gone", "k")
		s.want(200, "", "HEAD", name, "")
		if v := s.want(200, "", "GET", name+"?versions", "").texts(t, "Version>Key"); len(v) != 2 {
			t.Errorf("versions %q", v)
		}
		s.want(405, "MethodNotAllowed", "PUT", name+"/k", "third")
		s.want(405, "MethodNotAllowed", "DELETE", name+"/k", "")
		s.want(405, "MethodNotAllowed", "POST", name+"/k?uploads", "")
		s.want(405, "MethodNotAllowed", "DELETE", name, "")
		s.want(405, "MethodNotAllowed", "PUT", name+"/copy", "", "X-Amz-Copy-Source", "/photos/k")
		s.want(200, "", "PUT", "/photos/gone", "", "X-Amz-Copy-Source", name+"/gone")
		s.get("/photos/gone", "first")
		s.want(204, "", "DELETE", "/photos/gone", "")
	}
	s.want(404, "NoSuchBucket", "GET", "/photos@tuesday/k", "")
	s.want(404, "NoSuchKey", "GET", "/photos@monday_1/nothing", "")
	s.want(409, "BucketNotEmpty", "DELETE", "/photos", "")
	if names := s.want(200, "", "GET", "/", "").texts(t, "Buckets>Bucket>Name"); len(names) != 1 {
		t.Errorf("buckets %q", names)
	}
}

// A bucket is read as of a time; a snapshot is a state that is remembered, too.
func TestBucketsAreReadAsOfATime(t *testing.T) {
	s := newSite(t)
	b := s.bucket("photos", segment.Unversioned)
	s.put("/photos/k", "first")
	i, err := b.CreateSnapshot(t.Context(), "monday")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.WaitSnapshot(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	s.put("/photos/k", "second")
	later := i.Created.Add(time.Hour)
	for _, name := range []string{"/photos@" + later.Format(time.RFC3339), "/photos__" + later.Format("20060102T150405Z")} {
		s.get(name+"/k", "first")
		s.want(405, "MethodNotAllowed", "PUT", name+"/k", "third")
		for _, r := range []struct {
			status       int
			method, path string
		}{{200, "GET", "/k"}, {200, "HEAD", "/k"}, {404, "GET", "/none"}, {200, "GET", "?list-type=2"}, {200, "GET", ""}, {200, "GET", "?versions"}, {200, "HEAD", ""}, {200, "GET", "/k?attributes"}} {
			a := s.request(r.method, name+r.path, "", "X-Amz-Object-Attributes", "ETag")
			before := strconv.FormatFloat(later.Truncate(time.Second).Sub(i.Created).Seconds(), 'f', 3, 64)
			if a.StatusCode != r.status || a.Header.Get(asOfHeader) != i.Created.Format(asOfFormat) || a.Header.Get(beforeHeader) != before {
				t.Errorf("%s %s%s: %d, %v, want %s seconds", r.method, name, r.path, a.StatusCode, a.Header, before)
			}
		}
	}
	if a := s.get("/photos@monday/k", "first"); a.Header.Get(asOfHeader) != i.Created.Format(asOfFormat) || a.Header[beforeHeader] != nil {
		t.Errorf("of a snapshot: %v", a.Header)
	}
	if a := s.get("/photos/k", "second"); a.Header[asOfHeader] != nil {
		t.Errorf("of the bucket as it is: %v", a.Header)
	}
	early := s.want(404, "NoSuchBucket", "GET", "/photos__"+i.Created.Add(-time.Hour).Format("20060102T150405Z")+"/k", "")
	if !strings.Contains(string(early.body), i.Created.Format(asOfFormat)) {
		t.Errorf("before all that is remembered: %s", early.body)
	}
}
