package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

func (s *site) begin(path string, headers ...string) string {
	s.t.Helper()
	id := s.want(200, "", "POST", path+"?uploads", "", headers...).text(s.t, "UploadId")
	if id == "" {
		s.t.Fatal("no upload id")
	}
	return id
}

func (s *site) part(path, id string, number int, body string, headers ...string) string {
	s.t.Helper()
	a := s.want(200, "", "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", path, number, id), body, headers...)
	return strings.Trim(a.Header.Get("Etag"), `"`)
}

func complete(etags map[int]string) string {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	numbers := make([]int, 0, len(etags))
	for n := range etags {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag></Part>", n, etags[n])
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.String()
}

func TestAnUploadInParts(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	one, two, three := randomText(1, minPart), randomText(2, minPart+7), randomText(3, 100)
	id := s.begin("/photos/dir/k", "Content-Type", "text/x", "X-Amz-Meta-A", "b")
	e1, e2, e3 := s.part("/photos/dir/k", id, 1, one), s.part("/photos/dir/k", id, 5, two), s.part("/photos/dir/k", id, 10000, three)
	if e1 != md5Hex(one) {
		t.Errorf("the part's ETag %s, want %s", e1, md5Hex(one))
	}
	s.want(404, "NoSuchKey", "GET", "/photos/dir/k", "")

	a := s.want(200, "", "GET", "/photos/dir/k?uploadId="+id+"&max-parts=2", "")
	if fmt.Sprint(a.texts(t, "Part>PartNumber")) != "[1 5]" || a.text(t, "IsTruncated") != "true" || a.text(t, "NextPartNumberMarker") != "5" {
		t.Errorf("%s", a.body)
	}
	a = s.want(200, "", "GET", "/photos/dir/k?uploadId="+id+"&part-number-marker=5", "")
	if fmt.Sprint(a.texts(t, "Part>PartNumber")) != "[10000]" || a.text(t, "IsTruncated") != "false" || a.text(t, "Part>Size") != "100" {
		t.Errorf("%s", a.body)
	}
	if got := s.want(200, "", "GET", "/photos?uploads", "").texts(t, "Upload>UploadId"); !slices.Equal(got, []string{id}) {
		t.Errorf("uploads %v", got)
	}
	if got := s.want(200, "", "GET", "/photos?uploads&delimiter=/", "").texts(t, "CommonPrefixes>Prefix"); !slices.Equal(got, []string{"dir/"}) {
		t.Errorf("prefixes of uploads %v", got)
	}

	url := "/photos/dir/k?uploadId=" + id
	s.want(400, "MalformedXML", "POST", url, "<CompleteMultipartUpload></CompleteMultipartUpload>")
	s.want(400, "MalformedXML", "POST", url, "nonsense")
	s.want(400, "MalformedXML", "POST", url, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")
	s.want(400, "InvalidPart", "POST", url, complete(map[int]string{1: e2}))
	s.want(400, "InvalidPart", "POST", url, complete(map[int]string{2: e1}))
	s.want(400, "EntityTooSmall", "POST", url, complete(map[int]string{1: e1, 2: s.part("/photos/dir/k", id, 2, "small"), 10000: e3}))
	s.want(400, "InvalidPartOrder", "POST", url, "<CompleteMultipartUpload><Part><PartNumber>5</PartNumber><ETag>"+e2+"</ETag></Part><Part><PartNumber>1</PartNumber><ETag>"+e1+"</ETag></Part></CompleteMultipartUpload>")
	s.want(400, "InvalidRequest", "POST", url, complete(map[int]string{1: e1, 5: e2}), "X-Amz-Mp-Object-Size", "1")
	s.want(404, "NoSuchUpload", "POST", "/photos/dir/k?uploadId=x", complete(map[int]string{1: e1}))

	all := complete(map[int]string{1: e1, 5: e2, 10000: e3})
	a = s.want(200, "", "POST", url, all)
	etag := etagOf(e1, e2, e3)
	if a.text(t, "ETag") != `"`+etag+`"` || a.text(t, "Key") != "dir/k" || a.text(t, "Bucket") != "photos" {
		t.Errorf("%s, want ETag %s", a.body, etag)
	}
	got := s.get("/photos/dir/k", one+two+three)
	if got.Header.Get("Etag") != `"`+etag+`"` || got.Header.Get("Content-Type") != "text/x" || got.Header.Get("X-Amz-Meta-A") != "b" {
		t.Errorf("%v", got.Header)
	}
	if again := s.want(200, "", "POST", url, all); again.text(t, "ETag") != `"`+etag+`"` {
		t.Errorf("again: %s", again.body)
	}
	s.want(404, "NoSuchUpload", "PUT", "/photos/dir/k?partNumber=1&uploadId="+id, "x")
	s.want(404, "NoSuchUpload", "GET", url, "")
	s.want(404, "NoSuchUpload", "DELETE", url, "")

	second := s.want(206, "", "GET", "/photos/dir/k?partNumber=2", "")
	if string(second.body) != two || second.Header.Get("X-Amz-Mp-Parts-Count") != "3" {
		t.Errorf("part 2: %d bytes, %v", len(second.body), second.Header)
	}
	s.want(416, "InvalidPartNumber", "GET", "/photos/dir/k?partNumber=4", "")
	s.want(400, "InvalidArgument", "GET", "/photos/dir/k?partNumber=0", "")
	attrs := s.want(200, "", "GET", "/photos/dir/k?attributes", "", "X-Amz-Object-Attributes", "ObjectParts", "X-Amz-Max-Parts", "2")
	if fmt.Sprint(attrs.texts(t, "ObjectParts>Part>Size")) != fmt.Sprint([]int{minPart, minPart + 7}) || attrs.text(t, "ObjectParts>PartsCount") != "3" || attrs.text(t, "ObjectParts>IsTruncated") != "true" {
		t.Errorf("%s", attrs.body)
	}
}

func etagOf(parts ...string) string {
	h := md5.New()
	for _, p := range parts {
		sum, _ := hex.DecodeString(p)
		_, _ = h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + fmt.Sprintf("-%d", len(parts))
}

func TestAbortedUploadsAreGone(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	id := s.begin("/photos/k")
	s.part("/photos/k", id, 1, "x")
	s.want(400, "InvalidArgument", "PUT", "/photos/k?partNumber=0&uploadId="+id, "x")
	s.want(400, "InvalidArgument", "PUT", "/photos/k?partNumber=10001&uploadId="+id, "x")
	s.want(404, "NoSuchUpload", "PUT", "/photos/other?partNumber=1&uploadId="+id, "x")
	s.want(400, "BadDigest", "PUT", "/photos/k?partNumber=1&uploadId="+id, "x", "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
	s.want(204, "", "DELETE", "/photos/k?uploadId="+id, "")
	if got := s.want(200, "", "GET", "/photos?uploads", "").texts(t, "Upload>UploadId"); len(got) != 0 {
		t.Errorf("uploads %v", got)
	}
	s.begin("/photos/k")
	s.want(204, "", "DELETE", "/photos", "") // an upload does not hold it up
}

func TestUploadsAreListedInPages(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	var want []string
	for i := range 6 {
		want = append(want, s.begin(fmt.Sprintf("/photos/k%d", i/2)))
	}
	slices.Sort(want)
	for size := 1; size <= 7; size++ {
		var got []string
		query := ""
		for more := true; more; {
			a := s.want(200, "", "GET", fmt.Sprintf("/photos?uploads&max-uploads=%d%s", size, query), "")
			got = append(got, a.texts(t, "Upload>UploadId")...)
			more = a.text(t, "IsTruncated") == "true"
			query = "&key-marker=" + a.text(t, "NextKeyMarker") + "&upload-id-marker=" + a.text(t, "NextUploadIdMarker")
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d uploads", size, len(got))
		}
	}
}

func TestChecksumsOfUploads(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	one, two := randomText(1, minPart), randomText(2, 1000)
	for _, a := range algorithms() {
		for _, kind := range []string{composite, fullObject} {
			if kind == composite && a == crc64NVMe || kind == fullObject && !a.linear() {
				s.want(400, "InvalidRequest", "POST", "/photos/k?uploads", "", "X-Amz-Checksum-Algorithm", string(a), "X-Amz-Checksum-Type", kind)
				continue
			}
			id := s.begin("/photos/k", "X-Amz-Checksum-Algorithm", string(a), "X-Amz-Checksum-Type", kind)
			url := "/photos/k?uploadId=" + id
			s.want(400, "BadDigest", "PUT", url+"&partNumber=1", one, a.header(), sumText(a, two))
			other := crc32IEEE
			if a == other {
				other = crc32C
			}
			s.want(400, "InvalidRequest", "PUT", url+"&partNumber=1", one, other.header(), sumText(other, one))
			e1 := s.part("/photos/k", id, 1, one, a.header(), sumText(a, one))
			e2 := s.part("/photos/k", id, 2, two) // without one: it is computed
			want := sumText(a, one+two)
			if kind == composite {
				r1, _ := base64.StdEncoding.DecodeString(sumText(a, one))
				r2, _ := base64.StdEncoding.DecodeString(sumText(a, two))
				want = sumText(a, string(r1)+string(r2)) + "-2"
			}
			doc := complete(map[int]string{1: e1, 2: e2})
			s.want(400, "BadDigest", "POST", url, doc, a.header(), sumText(a, "wrong"))
			s.want(400, "InvalidPart", "POST", url, strings.Replace(doc, "</ETag>", "</ETag><"+a.element()+">"+sumText(a, "wrong")+"</"+a.element()+">", 1))
			done := s.want(200, "", "POST", url, doc, a.header(), want, "X-Amz-Checksum-Type", kind)
			if done.text(t, a.element()) != want || done.text(t, "ChecksumType") != kind {
				t.Errorf("%s %s: %s, want %s", a, kind, done.body, want)
			}
			head := s.want(200, "", "HEAD", "/photos/k", "", "X-Amz-Checksum-Mode", "ENABLED")
			if head.Header.Get(a.header()) != want || head.Header.Get("X-Amz-Checksum-Type") != kind {
				t.Errorf("%s %s: HEAD %v", a, kind, head.Header)
			}
		}
	}
}

func TestPartsAreCopied(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	body := randomText(9, 12<<20)
	s.put("/photos/source", body)
	for _, checksum := range []string{"", "CRC32"} {
		id := s.begin("/photos/k", "X-Amz-Checksum-Algorithm", checksum)
		copyPart := func(number int, span string) string {
			headers := []string{"X-Amz-Copy-Source", "/photos/source"}
			if span != "" {
				headers = append(headers, "X-Amz-Copy-Source-Range", span)
			}
			a := s.want(200, "", "PUT", fmt.Sprintf("/photos/k?partNumber=%d&uploadId=%s", number, id), "", headers...)
			return strings.Trim(a.text(t, "ETag"), `"`)
		}
		e1 := copyPart(1, fmt.Sprintf("bytes=%d-%d", 1000, 1000+minPart-1))
		e2 := copyPart(2, "")
		e3 := s.part("/photos/k", id, 3, "tail")
		url := "/photos/k?partNumber=4&uploadId=" + id
		for _, bad := range []string{"bytes=0-99999999", "bytes=5-3", "bytes=-5", "0-1", "bytes=1"} {
			s.want(400, "InvalidArgument", "PUT", url, "", "X-Amz-Copy-Source", "/photos/source", "X-Amz-Copy-Source-Range", bad)
		}
		s.want(404, "NoSuchKey", "PUT", url, "", "X-Amz-Copy-Source", "/photos/none")
		s.want(412, "PreconditionFailed", "PUT", url, "", "X-Amz-Copy-Source", "/photos/source", "X-Amz-Copy-Source-If-Match", "x")
		s.want(200, "", "POST", "/photos/k?uploadId="+id, complete(map[int]string{1: e1, 2: e2, 3: e3}))
		s.get("/photos/k", body[1000:1000+minPart]+body+"tail")
	}
}

func TestCompletesAtOnceAreAnsweredAlike(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for range 5 {
		id := s.begin("/photos/k")
		e := s.part("/photos/k", id, 1, "the only part")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { s.want(200, "", "POST", "/photos/k?uploadId="+id, complete(map[int]string{1: e})) })
		}
		wg.Wait()
		s.get("/photos/k", "the only part")
	}
}
