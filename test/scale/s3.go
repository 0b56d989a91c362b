package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/gateways/s3"
	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/test/measure"
)

// listedByS3 bounds the keys that are listed by S3.
const listedByS3 = 2_000_000

// s3 lists the largest bucket by S3 over loopback, with one client.
func (b *bench) s3(ctx context.Context) (_ []measure.Result, err error) {
	endpoint, end, err := b.serve()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	c, err := loadtest.NewClient(ctx, loadtest.ClientConfig{
		Endpoint: endpoint, Bucket: bucketName(b.keys), Credentials: loadtest.Credentials{AccessKey: accessKey, SecretKey: secretKey, Region: "us-east-1"},
	})
	if err != nil {
		return nil, err
	}
	session := c.Session()
	defer session.Close()
	began, n := time.Now(), uint64(0)
	var took measure.Times
	for token := ""; ; {
		at := time.Now()
		if token, err = session.Page(ctx, "", "", token, func(loadtest.Entry) error { n++; return nil }); err != nil {
			return nil, err
		}
		if took = append(took, time.Since(at)); token == "" || n >= listedByS3 {
			break
		}
	}
	if n < min(b.keys, listedByS3) {
		return nil, fmt.Errorf("%d of %d by S3: %w", n, b.keys, errCount)
	}
	r := measure.AtLeast(100_000, measure.Result{Name: "listing-s3", What: fmt.Sprintf("%s of %s keys listed by S3, 1 client", measure.Count(min(b.keys, listedByS3)), measure.Count(b.keys)), Value: float64(n) / time.Since(began).Seconds(), Unit: "keys/s"})
	r.Detail = fmt.Sprintf("%d pages", len(took))
	return []measure.Result{r}, nil
}

const accessKey, secretKey = "scale", "scale-secret-key"

// serve runs the gateway on a free port of loopback.
func (b *bench) serve() (endpoint string, end func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	g := s3.New(s3.Config{Segment: b.seg, Credentials: func(k string) (string, bool) { return secretKey, k == accessKey }})
	server := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		err := server.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}
