package s3

import (
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/edgefs/edgefs/segment"
)

func TestBuckets(t *testing.T) {
	s := newSite(t)
	a := s.want(200, "", "PUT", "/photos", "")
	if a.Header.Get("Location") != "/photos" {
		t.Errorf("%v", a.Header)
	}
	s.want(409, "BucketAlreadyOwnedByYou", "PUT", "/photos", "")
	s.want(200, "", "PUT", "/films", `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`)
	s.want(400, "MalformedXML", "PUT", "/music", "<Create")
	s.want(400, "AccessControlListNotSupported", "PUT", "/music", "", "X-Amz-Acl", "public-read")
	for _, name := range []string{"ab", strings.Repeat("a", 64), "Photos", "a_b", "-ab", "ab-", "a..b", "a.-b", "192.168.1.1", "xn--ab"} {
		s.want(400, "InvalidBucketName", "PUT", "/"+name, "")
	}
	a = s.want(200, "", "GET", "/", "")
	if got := strings.Join(a.texts(t, "Buckets>Bucket>Name"), " "); got != "films photos" {
		t.Errorf("buckets %q", got)
	}
	if a := s.want(200, "", "GET", "/?prefix=ph", ""); len(a.texts(t, "Buckets>Bucket>Name")) != 1 {
		t.Errorf("%s", a.body)
	}
	a = s.want(200, "", "GET", "/?max-buckets=1", "")
	b := s.want(200, "", "GET", "/?max-buckets=1&continuation-token="+a.text(t, "ContinuationToken"), "")
	if a.text(t, "Buckets>Bucket>Name") != "films" || b.text(t, "Buckets>Bucket>Name") != "photos" || b.text(t, "ContinuationToken") != "" {
		t.Errorf("pages of buckets: %s %s", a.body, b.body)
	}
	s.want(400, "InvalidArgument", "GET", "/?max-buckets=0", "")
	if a := s.want(200, "", "HEAD", "/photos", ""); a.Header.Get("X-Amz-Bucket-Region") != "us-east-1" {
		t.Errorf("%v", a.Header)
	}
	s.want(404, "", "HEAD", "/nothing", "")
	s.want(404, "NoSuchBucket", "GET", "/nothing?location", "")
	if a := s.want(200, "", "GET", "/photos?location", ""); !strings.HasSuffix(string(a.body), `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`) {
		t.Errorf("%s", a.body)
	}
	s.put("/photos/k", "")
	s.want(409, "BucketNotEmpty", "DELETE", "/photos", "")
	s.want(204, "", "DELETE", "/photos/k", "")
	s.want(204, "", "DELETE", "/photos", "")
	s.want(404, "NoSuchBucket", "DELETE", "/photos", "")
	s.want(405, "MethodNotAllowed", "DELETE", "/", "")
	s.want(405, "MethodNotAllowed", "PATCH", "/films/k", "")
}

func TestConfigurationsAreReadAsNeverMade(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for sub, code := range map[string]string{
		"policy": "NoSuchBucketPolicy", "cors": "NoSuchCORSConfiguration", "lifecycle": "NoSuchLifecycleConfiguration",
		"encryption": "ServerSideEncryptionConfigurationNotFoundError", "tagging": "NoSuchTagSet", "website": "NoSuchWebsiteConfiguration",
		"replication":       "ReplicationConfigurationNotFoundError",
		"ownershipControls": "OwnershipControlsNotFoundError", "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "policyStatus": "NoSuchBucketPolicy",
	} {
		s.want(404, code, "GET", "/photos?"+sub, "")
		a := s.want(501, "NotImplemented", "PUT", "/photos?"+sub, "<X/>")
		if !strings.Contains(a.text(t, "Message"), "Put") {
			t.Errorf("%s: the message does not name what is refused: %s", sub, a.body)
		}
		s.want(204, "", "DELETE", "/photos?"+sub, "")
		s.want(404, "NoSuchBucket", "GET", "/nothing?"+sub, "")
	}
	for sub, path := range map[string]string{"requestPayment": "Payer", "acl": "AccessControlList>Grant>Permission"} {
		if a := s.want(200, "", "GET", "/photos?"+sub, ""); a.text(t, path) == "" {
			t.Errorf("%s: %s", sub, a.body)
		}
	}
	for _, sub := range []string{"logging", "accelerate", "notification"} {
		s.want(200, "", "GET", "/photos?"+sub, "")
	}
	acl := s.want(200, "", "GET", "/photos?acl", "")
	s.want(200, "", "PUT", "/photos?acl", string(acl.body))
	s.want(200, "", "PUT", "/photos?acl", "", "X-Amz-Acl", "private")
	s.want(400, "AccessControlListNotSupported", "PUT", "/photos?acl", strings.Replace(string(acl.body), theOwner.ID, "somebody", 2))
	s.want(400, "AccessControlListNotSupported", "PUT", "/photos?acl", "", "X-Amz-Grant-Read", "id=x")
	s.want(400, "AccessControlListNotSupported", "PUT", "/photos?acl", "")
	s.want(404, "NoSuchKey", "GET", "/photos/k?acl", "")
	s.want(501, "NotImplemented", "POST", "/photos", "", "Content-Type", "multipart/form-data; boundary=x")
	s.want(405, "MethodNotAllowed", "POST", "/photos", "")
	s.want(403, "AccessDenied", "GET", "/photos", "", "X-Amz-Expected-Bucket-Owner", "somebody")
	s.want(200, "", "GET", "/photos", "", "X-Amz-Expected-Bucket-Owner", theOwner.ID)
}

func TestBucketsAreFoundByHost(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Domains = []string{"example.org", "s3.example.org"} })
	s.bucket("photos", segment.Unversioned)
	s.bucket("a.b", segment.Unversioned)
	send := func(method, host, path, body string) answer {
		r := s.newRequest(method, path, body)
		r.Host = host
		return s.send(miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1"))
	}
	for host, path := range map[string]string{
		"photos.s3.example.org": "/dir/k", "Photos.Example.org:8000": "/dir/k", "s3.example.org": "/photos/dir/k", "elsewhere.net": "/photos/dir/k",
	} {
		if a := send("PUT", host, path, host); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", host, a.StatusCode, a.body)
		}
		s.get("/photos/dir/k", host)
	}
	if a := send("GET", "a.b.example.org", "/?list-type=2", ""); a.text(t, "Name") != "a.b" {
		t.Errorf("%s", a.body)
	}
}

func TestTheMinioClientOverHostsAndVersions(t *testing.T) {
	s := newSite(t)
	ctx := within(t)
	if err := s.client.MakeBucket(ctx, "photos", minio.MakeBucketOptions{Region: "us-east-1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.client.EnableVersioning(ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.client.PutObject(ctx, "photos", "k", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for o := range s.client.ListObjects(ctx, "photos", minio.ListObjectsOptions{WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
		if err := s.client.RemoveObject(ctx, "photos", o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err != nil {
			t.Error(err)
		}
	}
	if n != 3 {
		t.Errorf("%d versions", n)
	}
	if err := s.client.RemoveBucket(ctx, "photos"); err != nil {
		t.Error(err)
	}
}

func TestPreflightsAreRefused(t *testing.T) {
	s := newSite(t)
	a := s.send(s.newRequest(http.MethodOptions, "/photos/k", ""))
	if a.StatusCode != 403 || a.code() != "AccessForbidden" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
