package s3

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/segment"
)

func listed(t testing.TB, a answer) []string {
	t.Helper()
	return append(a.texts(t, "Contents>Key"), a.texts(t, "CommonPrefixes>Prefix")...)
}

func wantKeys(t testing.TB, a answer, want ...string) {
	t.Helper()
	if got := listed(t, a); !slices.Equal(got, want) {
		t.Errorf("%s: listed %q, want %q", a.Request.URL.RawQuery, got, want)
	}
}

func TestListings(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for _, k := range []string{"a", "a/1", "a/2", "b/1", "b/2", "c"} {
		s.put("/photos/"+k, k)
	}
	list := func(query string) answer { return s.want(200, "", "GET", "/photos?"+query, "") }
	wantKeys(t, list(""), "a", "a/1", "a/2", "b/1", "b/2", "c")
	wantKeys(t, list("list-type=2"), "a", "a/1", "a/2", "b/1", "b/2", "c")
	wantKeys(t, list("list-type=2&prefix=a/"), "a/1", "a/2")
	wantKeys(t, list("list-type=2&delimiter=/"), "a", "c", "a/", "b/")
	wantKeys(t, list("list-type=2&delimiter=/&prefix=b/"), "b/1", "b/2")
	wantKeys(t, list("list-type=2&start-after=a/1"), "a/2", "b/1", "b/2", "c")
	wantKeys(t, list("marker=b/1"), "b/2", "c")
	wantKeys(t, list("prefix=x"))
	empty := list("list-type=2&max-keys=0")
	if empty.text(t, "IsTruncated") != "false" || empty.text(t, "MaxKeys") != "0" {
		t.Errorf("%s", empty.body)
	}
	if a := list("max-keys=5000"); a.text(t, "MaxKeys") != "1000" {
		t.Errorf("MaxKeys %s", a.text(t, "MaxKeys"))
	}
	if a := list("list-type=2&fetch-owner=true"); a.text(t, "Contents>Owner>ID") != theOwner.ID {
		t.Errorf("no owner: %s", a.body)
	}
	s.want(400, "InvalidArgument", "GET", "/photos?max-keys=-1", "")
	s.want(400, "InvalidArgument", "GET", "/photos?max-keys=x", "")
	s.want(400, "InvalidArgument", "GET", "/photos?list-type=3", "")
	s.want(400, "InvalidArgument", "GET", "/photos?list-type=2&continuation-token=x", "")
	s.want(400, "InvalidArgument", "GET", "/photos?encoding-type=base64", "")
	s.want(404, "NoSuchBucket", "GET", "/nothing", "")
}

func TestPagesMakeTheWholeListing(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	var all []string
	for i := range 25 {
		k := fmt.Sprintf("dir%d/k%02d", i%4, i)
		all = append(all, k)
		s.put("/photos/"+k, "")
	}
	slices.Sort(all)
	for size := 1; size <= 26; size++ {
		for _, delimiter := range []string{"", "/"} {
			var v1, v2 []string
			marker, token := "", ""
			for more := true; more; {
				a := s.want(200, "", "GET", fmt.Sprintf("/photos?max-keys=%d&delimiter=%s&marker=%s", size, delimiter, marker), "")
				page := listed(t, a)
				v1 = append(v1, page...)
				more = a.text(t, "IsTruncated") == "true"
				if marker = a.text(t, "NextMarker"); marker == "" && more {
					marker = page[len(page)-1]
				}
			}
			for more := true; more; {
				a := s.want(200, "", "GET", fmt.Sprintf("/photos?list-type=2&max-keys=%d&delimiter=%s%s", size, delimiter, token), "")
				if got := a.text(t, "KeyCount"); got != fmt.Sprint(len(listed(t, a))) {
					t.Errorf("KeyCount %s of %d", got, len(listed(t, a)))
				}
				v2 = append(v2, listed(t, a)...)
				more = a.text(t, "IsTruncated") == "true"
				token = "&continuation-token=" + a.text(t, "NextContinuationToken")
			}
			want := all
			if delimiter != "" {
				want = []string{"dir0/", "dir1/", "dir2/", "dir3/"}
			}
			if !slices.Equal(v1, want) || !slices.Equal(v2, want) {
				t.Fatalf("pages of %d, delimiter %q: %v and %v", size, delimiter, v1, v2)
			}
		}
	}
}

func TestKeysInListingsAreEncodedWhenAsked(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	ctx := within(t)
	for _, key := range []string{"a b/c+d", "x\x01y", "ü&<>"} {
		if _, err := s.client.PutObject(ctx, "photos", key, strings.NewReader(""), 0, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a := s.want(200, "", "GET", "/photos?list-type=2&encoding-type=url", "")
	wantKeys(t, a, "a%20b/c%2Bd", "x%01y", "%C3%BC%26%3C%3E")
	if a.text(t, "EncodingType") != "url" {
		t.Errorf("%s", a.body)
	}
	wantKeys(t, s.want(200, "", "GET", "/photos?prefix=a&delimiter=/&encoding-type=url", ""), "a%20b/")
	if a := s.want(200, "", "GET", "/photos?list-type=2", ""); !strings.Contains(string(a.body), "<Key>x&#x1;y</Key>") {
		t.Errorf("%s", a.body)
	}
}

func TestVersionsAreListedNewestFirst(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Versioned)
	v1, v2 := s.put("/photos/k", "1"), s.put("/photos/k", "2")
	s.put("/photos/other", "x")
	marker := s.want(204, "", "DELETE", "/photos/k", "").Header.Get("X-Amz-Version-Id")
	a := s.want(200, "", "GET", "/photos?versions", "")
	if got := a.texts(t, "Version>VersionId"); len(got) != 3 || got[0] != v2 || got[1] != v1 {
		t.Errorf("versions %v, want %s, %s and another", got, v2, v1)
	}
	if got := a.texts(t, "DeleteMarker>VersionId"); !slices.Equal(got, []string{marker}) {
		t.Errorf("markers %v, want %s", got, marker)
	}
	if got := a.texts(t, "Version>IsLatest"); !slices.Equal(got, []string{"false", "false", "true"}) {
		t.Errorf("latest: %v", got)
	}
	if a.text(t, "DeleteMarker>IsLatest") != "true" {
		t.Error("the marker is not the latest")
	}
	for size := 1; size <= 5; size++ {
		var ids []string
		query := ""
		for more := true; more; {
			a := s.want(200, "", "GET", fmt.Sprintf("/photos?versions&max-keys=%d%s", size, query), "")
			ids = append(append(ids, a.texts(t, "DeleteMarker>VersionId")...), a.texts(t, "Version>VersionId")...)
			more = a.text(t, "IsTruncated") == "true"
			query = "&key-marker=" + a.text(t, "NextKeyMarker") + "&version-id-marker=" + a.text(t, "NextVersionIdMarker")
		}
		if len(ids) != 4 || ids[0] != marker || ids[1] != v2 || ids[2] != v1 {
			t.Errorf("pages of %d: %v", size, ids)
		}
	}
	s.want(400, "InvalidArgument", "GET", "/photos?versions&version-id-marker="+v1, "")
	s.want(400, "InvalidArgument", "GET", "/photos?versions&key-marker=k&version-id-marker=x", "")
}

func BenchmarkListDocument(b *testing.B) {
	entries := make([]segment.ListEntry, 1000)
	for i := range entries {
		entries[i].Version.Key = fmt.Sprintf("some/directory/with/a/name/file-%06d.bin", i)
		entries[i].Version.Attrs.ETag = "0123456789abcdef0123456789abcdef"
	}
	var l listing
	var d document
	b.ReportAllocs()
	for b.Loop() {
		d.b = d.b[:0]
		l.entries(&d, entries, false)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "keys/s")
	b.SetBytes(int64(len(d.b)))
}

func BenchmarkList(b *testing.B) {
	s := newSite(b)
	bucket := s.bucket("photos", segment.Unversioned)
	const keys = 20_000
	for i := range keys {
		if _, err := bucket.Put(b.Context(), fmt.Sprintf("dir%d/file-%06d", i/1000, i), segment.Attrs{ETag: md5Hex("")}, segment.Cond{}, strings.NewReader("")); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		token := ""
		for more := true; more; {
			a := s.request("GET", "/photos?list-type=2"+token, "")
			n += strings.Count(string(a.body), "<Contents>")
			more = strings.Contains(string(a.body), "<IsTruncated>true")
			if more {
				token = "&continuation-token=" + a.text(b, "NextContinuationToken")
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "keys/s")
}
