package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/loadtest"
)

// clientFlags say where the server is and how to speak to it.
type clientFlags struct {
	cfg     loadtest.ClientConfig
	payload string
}

func (c *clientFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.cfg.Endpoint, "endpoint", os.Getenv("AWS_ENDPOINT_URL"), "http://host:port or https://host:port (AWS_ENDPOINT_URL)")
	f.StringVar(&c.cfg.Bucket, "bucket", "loadtest", "bucket, created if it is not there")
	f.StringVar(&c.cfg.Credentials.AccessKey, "access-key", "", "access key (AWS_ACCESS_KEY_ID); without one requests are not signed")
	f.StringVar(&c.cfg.Credentials.SecretKey, "secret-key", "", "secret key (AWS_SECRET_ACCESS_KEY)")
	f.StringVar(&c.cfg.Credentials.Region, "region", "", "region (AWS_REGION, else us-east-1)")
	f.StringVar(&c.payload, "payload", string(loadtest.Unsigned), "how a PUT proves its body: unsigned, signed (SHA-256) or trailer (aws-chunked, CRC64NVME)")
	f.StringVar(&c.cfg.CAFile, "ca", "", "PEM file of the authority to trust for https")
	f.BoolVar(&c.cfg.Insecure, "insecure", false, "accept any certificate")
	f.BoolVar(&c.cfg.AllowRemote, "allow-remote", false, "accept an endpoint that is not on this machine")
	f.DurationVar(&c.cfg.Timeout, "timeout", time.Minute, "of one request")
}

func (c *clientFlags) client(ctx context.Context) (*loadtest.Client, error) {
	if c.cfg.Endpoint == "" {
		return nil, errors.New("no endpoint: give --endpoint http://127.0.0.1:9000 or set AWS_ENDPOINT_URL")
	}
	c.cfg.Payload = loadtest.Payload(c.payload)
	creds := &c.cfg.Credentials
	if creds.AccessKey == "" && creds.SecretKey == "" {
		creds.AccessKey, creds.SecretKey = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		creds.SessionToken = os.Getenv("AWS_SESSION_TOKEN")
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if creds.Region == "" {
			creds.Region = os.Getenv(name)
		}
	}
	return loadtest.NewClient(ctx, c.cfg)
}
