package s3

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"
)

// unsent is content that must not be asked for.
type unsent struct{ t *testing.T }

func (u unsent) Read([]byte) (int, error) {
	u.t.Error("content was sent")
	return 0, io.EOF
}

// A client that asks whether to send is refused before it has sent anything, and without waiting for it.
func TestRefusalComesBeforeContent(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.server.URL+"/nowhere/k", unsent{t})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 1 << 20
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("X-Amz-Content-Sha256", unsignedSHA256)
	client := &http.Transport{ExpectContinueTimeout: time.Hour}
	defer client.CloseIdleConnections()
	resp, err := client.RoundTrip(miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", resp.StatusCode)
	}
}
