package loadtest

import (
	"net/http"
	"net/url"
	"testing"

	minio "github.com/minio/minio-go/v7/pkg/signer"
)

func TestSignatureIsWhatMinioGoMakes(t *testing.T) {
	creds := Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "eu-west-1"}
	own := newSigner(creds)
	for _, c := range []struct{ method, key, query, token string }{
		{"PUT", "lt-1/0000000001", "", ""},
		{"GET", "a b/ü+~%&=", "", "token/+="},
		{"GET", "", "continuation-token=" + string(appendEscaped(nil, "a/b+c= ", false)) + "&list-type=2&prefix=" + string(appendEscaped(nil, "x/ y", false)), ""},
	} {
		path := "/bucket"
		if c.key != "" {
			path += "/" + string(appendEscaped(nil, c.key, true))
		}
		u, err := url.Parse("http://127.0.0.1:9000" + path + "?" + c.query)
		if err != nil {
			t.Fatal(err)
		}
		req := http.Request{Method: c.method, URL: u, Host: u.Host, Header: http.Header{"X-Amz-Content-Sha256": {unsignedPayload}}}
		signed := minio.SignV4(req, creds.AccessKey, creds.SecretKey, c.token, creds.Region)
		stamp := signed.Header.Get("X-Amz-Date")
		headers := []header{{"host", u.Host}, {"x-amz-content-sha256", unsignedPayload}, {"x-amz-date", stamp}}
		if c.token != "" {
			headers = append(headers, header{"x-amz-security-token", c.token})
		}
		got := own.appendAuthorization(nil, c.method, path, c.query, stamp, unsignedPayload, headers)
		if want := signed.Header.Get("Authorization"); string(got) != want {
			t.Errorf("%s %q\n got %s\nwant %s", c.method, c.key, got, want)
		}
	}
}

// BenchmarkSign is why the client signs by itself.
func BenchmarkSign(b *testing.B) {
	creds := Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	b.Run("own", func(b *testing.B) {
		own := newSigner(creds)
		headers := []header{{"host", "127.0.0.1:9000"}, {"x-amz-content-sha256", unsignedPayload}, {"x-amz-date", "20260102T030405Z"}}
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			out = own.appendAuthorization(out[:0], "PUT", "/bucket/lt-1/0000000001", "", "20260102T030405Z", unsignedPayload, headers)
		}
	})
	b.Run("minio-go", func(b *testing.B) {
		u, err := url.Parse("http://127.0.0.1:9000/bucket/lt-1/0000000001")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			req := http.Request{Method: "PUT", URL: u, Host: u.Host, Header: http.Header{"X-Amz-Content-Sha256": {unsignedPayload}}}
			minio.SignV4(req, creds.AccessKey, creds.SecretKey, "", creds.Region)
		}
	})
}
