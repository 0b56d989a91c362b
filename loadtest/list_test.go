package loadtest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"testing"
)

func TestPageIsReadAsXMLSaysIt(t *testing.T) {
	page := []byte(`<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>a/</Prefix>
<IsTruncated>true</IsTruncated><Contents><Key>a/1 &amp; &lt;2&gt;</Key><Size>12</Size></Contents><Contents><ETag>"x"</ETag><Size>0</Size><Key>a/%2B+</Key></Contents>
<NextContinuationToken>t&amp;==</NextContinuationToken></ListBucketResult>`)
	var got []string
	next, err := parsePage(page, func(e Entry) error {
		got = append(got, fmt.Sprintf("%s %d", e.Key, e.Size))
		return nil
	})
	if err != nil || next != "t&==" || fmt.Sprint(got) != "[a/1 & <2> 12 a/%2B+ 0]" {
		t.Errorf("%q, next %q, %v", got, next, err)
	}
	for _, bad := range []string{
		"", "<html>", string(page[:len(page)-5]),
		"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
		"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
	} {
		if _, err := parsePage([]byte(bad), func(Entry) error { return nil }); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func FuzzParsePage(f *testing.F) {
	f.Add([]byte("<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a&amp;</Key><Size>12</Size></Contents><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"))
	f.Add([]byte("<ListBucketResult></Contents><Contents><Key></Size></ListBucketResult>"))
	f.Fuzz(func(t *testing.T, page []byte) {
		var total int
		parsePage(page, func(e Entry) error {
			total += len(e.Key)
			return nil
		})
		if total > len(page) {
			t.Errorf("%d bytes of keys out of %d", total, len(page))
		}
	})
}

func BenchmarkParsePage(b *testing.B) {
	var page bytes.Buffer
	page.WriteString("<ListBucketResult><IsTruncated>false</IsTruncated>")
	for i := range 1000 {
		fmt.Fprintf(&page, `<Contents><Key>lt-123/%010d</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"0123456789abcdef0123456789abcdef"</ETag><Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>`, i)
	}
	page.WriteString("</ListBucketResult>")
	b.Run("own", func(b *testing.B) {
		b.SetBytes(int64(page.Len()))
		for b.Loop() {
			if _, err := parsePage(page.Bytes(), func(Entry) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-xml", func(b *testing.B) {
		b.SetBytes(int64(page.Len()))
		for b.Loop() {
			var out struct {
				Contents []struct {
					Key  string
					Size int64
				}
			}
			if err := xml.Unmarshal(page.Bytes(), &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
