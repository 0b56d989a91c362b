package migrate

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Source says where a store of S3 is. What is empty is looked for where AWS' own programs do.
type Source struct {
	Endpoint  string // a URL; else $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, or AWS
	Region    string // else $AWS_REGION, $AWS_DEFAULT_REGION, or what the store says
	Profile   string // of ~/.aws; else $AWS_PROFILE. Keys in the environment count before it, unless it is named
	Anonymous bool   // without keys
}

// ErrNoKeys says that no keys for the source were found.
var ErrNoKeys = errors.New("no keys for the source: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to ~/.aws/credentials")

// Dial makes the client of a source. It does not connect yet.
func Dial(s Source) (*minio.Client, error) {
	at := cmp.Or(s.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com")
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("endpoint %q of the source: want https://HOST:PORT or http://HOST:PORT", at)
	}
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	transport, err := transportTo(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	return minio.New(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Transport: transport,
		Region: cmp.Or(s.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
	})
}

func (s Source) keys() (*credentials.Credentials, error) {
	if s.Anonymous {
		return credentials.NewStaticV4("", "", ""), nil
	}
	env, file := &credentials.EnvAWS{}, &credentials.FileAWSCredentials{Profile: s.Profile}
	chain := []credentials.Provider{env, file}
	if s.Profile != "" {
		chain = []credentials.Provider{file}
	}
	keys := credentials.NewChainCredentials(chain)
	v, err := keys.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("keys for the source: %w", err)
	}
	if v.AccessKeyID == "" {
		return nil, ErrNoKeys
	}
	return keys, nil
}

// transportTo is minio-go's own, and trusts what $AWS_CA_BUNDLE names.
func transportTo(secure bool) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	bundle := os.Getenv("AWS_CA_BUNDLE")
	if bundle == "" || !secure {
		return t, nil
	}
	text, err := os.ReadFile(bundle)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: no certificate in %s", bundle)
	}
	t.TLSClientConfig.RootCAs = roots
	return t, nil
}
