package s3

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/edgefs/edgefs/segment"
)

// Over TLS clients send their payload unsigned, with a checksum behind it.
func TestOverTLS(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			s := newSite(t)
			s.bucket("photos", segment.Unversioned)
			var seen []string
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					seen = append(seen, r.Proto+" "+r.Header.Get("X-Amz-Content-Sha256"))
				}
				s.server.Config.Handler.ServeHTTP(w, r)
			}))
			server.EnableHTTP2 = proto == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)
			c, err := minio.New(strings.TrimPrefix(server.URL, "https://"), &minio.Options{
				Creds: credentials.NewStaticV4(awsKey, awsSecret, ""), Secure: true, Transport: server.Client().Transport, TrailingHeaders: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{1, 100, 1 << 20} {
				body := []byte(randomText(1, n))
				info, err := c.PutObject(within(t), "photos", "k", bytes.NewReader(body), int64(n), minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C})
				if err != nil {
					t.Fatal(err)
				}
				if info.ChecksumCRC32C != sumText(crc32C, string(body)) {
					t.Errorf("%d bytes: checksum %q", n, info.ChecksumCRC32C)
				}
				o, err := c.GetObject(within(t), "photos", "k", minio.GetObjectOptions{Checksum: true})
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if _, err := got.ReadFrom(o); err != nil || !bytes.Equal(got.Bytes(), body) {
					t.Errorf("%d bytes: %v, %d came back", n, err, got.Len())
				}
			}
			for _, how := range seen {
				if how != proto+" "+streamingUnsignedTrailer {
					t.Errorf("sent as %s", how)
				}
			}
		})
	}
}
