package clients_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// awsCLI is the AWS command line at a site. Debian's, 2.9, does not read AWS_ENDPOINT_URL.
type awsCLI struct {
	*tool
	endpoint string
}

func findAWS(t *testing.T, s *site) awsCLI {
	t.Helper()
	return awsCLI{findTool(t, "aws", s.env()...), s.Endpoint}
}

func (a awsCLI) at(t *testing.T, args ...string) string {
	t.Helper()
	return a.run(t, append([]string{"--endpoint-url", a.endpoint}, args...)...)
}

// json runs an operation of s3api and reads its answer.
func (a awsCLI) json(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out := a.at(t, append([]string{"s3api"}, args...)...)
	answer := map[string]any{}
	if strings.TrimSpace(out) == "" {
		return answer
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s", err, tail(out))
	}
	return answer
}

func (a awsCLI) refuses(t *testing.T, want string, args ...string) {
	t.Helper()
	a.refused(t, want, append([]string{"--endpoint-url", a.endpoint}, args...)...)
}

func TestAWSCLI(t *testing.T) {
	hawaii, tokyo := sites(t)
	a, b := findAWS(t, hawaii), bucketName(t)
	url := "s3://" + b
	a.at(t, "s3", "mb", url)
	t.Run("a tree is synchronised", func(t *testing.T) { awsSync(t, a, b, tokyo) })
	t.Run("large objects go and come in parts", func(t *testing.T) { awsLarge(t, a, b) })
	t.Run("listings have pages", func(t *testing.T) { awsList(t, a, many(t, hawaii)) })
	t.Run("metadata", func(t *testing.T) { awsMetadata(t, a, b) })
	t.Run("refusals", func(t *testing.T) {
		a.refuses(t, "404", "s3", "cp", url+"/nothing", "x")
		a.refuses(t, "NoSuchBucket", "s3", "ls", url+"-no")
		a.refuses(t, "BucketNotEmpty", "s3", "rb", url)
	})
	t.Run("a bucket is removed with all that is in it", func(t *testing.T) {
		a.at(t, "s3", "rb", "--force", url)
		hasNot(t, a.at(t, "s3", "ls"), b)
	})
}

// The operations themselves, apart from "aws s3", so that the two run side by side.
func TestAWSCLIOperations(t *testing.T) {
	hawaii, _ := sites(t)
	a, b := findAWS(t, hawaii), bucketName(t)
	a.json(t, "create-bucket", "--bucket", b)
	t.Run("checksums", func(t *testing.T) { awsChecksums(t, a, b) })
	t.Run("uploads by hand", func(t *testing.T) { awsUpload(t, a, b) })
	t.Run("another region", func(t *testing.T) {
		abroad := awsCLI{a.with("AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1"), a.endpoint}
		has(t, abroad.at(t, "s3", "ls"), b)
	})
	t.Run("versions", func(t *testing.T) { awsVersions(t, a, b) })
}

// awsVersions ends with the bucket deleted.
func awsVersions(t *testing.T, a awsCLI, b string) {
	a.json(t, "delete-object", "--bucket", b, "--key", "sum")
	a.json(t, "put-bucket-versioning", "--bucket", b, "--versioning-configuration", "Status=Enabled")
	if s := a.json(t, "get-bucket-versioning", "--bucket", b)["Status"]; s != "Enabled" {
		t.Errorf("versioning is %v", s)
	}
	one, two := file(t, a.dir, "one", 1000), file(t, a.dir, "two", 2000)
	first := a.json(t, "put-object", "--bucket", b, "--key", "k", "--body", one)["VersionId"].(string)
	second := a.json(t, "put-object", "--bucket", b, "--key", "k", "--body", two)["VersionId"].(string)
	marker := a.json(t, "delete-object", "--bucket", b, "--key", "k")
	if marker["DeleteMarker"] != true {
		t.Errorf("deleted: %v", marker)
	}
	a.refuses(t, "404", "s3api", "head-object", "--bucket", b, "--key", "k")
	for id, want := range map[string]string{first: one, second: two} {
		a.json(t, "get-object", "--bucket", b, "--key", "k", "--version-id", id, "got")
		sameFile(t, filepath.Join(a.dir, "got"), want)
	}
	list := a.json(t, "list-object-versions", "--bucket", b)
	if n, m := len(list["Versions"].([]any)), len(list["DeleteMarkers"].([]any)); n != 2 || m != 1 {
		t.Errorf("%d versions and %d markers", n, m)
	}
	a.json(t, "delete-object", "--bucket", b, "--key", "k", "--version-id", marker["VersionId"].(string))
	a.json(t, "get-object", "--bucket", b, "--key", "k", "got")
	sameFile(t, filepath.Join(a.dir, "got"), two)
	a.json(t, "delete-objects", "--bucket", b, "--delete", `{"Objects":[{"Key":"k","VersionId":"`+first+`"},{"Key":"k","VersionId":"`+second+`"}]}`)
	a.json(t, "delete-bucket", "--bucket", b)
}

func awsSync(t *testing.T, a awsCLI, b string, tokyo *site) {
	url := "s3://" + b + "/tree"
	tree, back, far := t.TempDir(), t.TempDir(), t.TempDir()
	plant(t, tree)
	a.at(t, "s3", "sync", "--no-progress", tree, url)
	if out := a.at(t, "s3", "sync", "--no-progress", tree, url); out != "" {
		t.Errorf("a second sync sent\n%s", out)
	}
	a.at(t, "s3", "sync", "--no-progress", url, back)
	sameTree(t, back, tree)

	want := len(contents(t, tree))
	soon(t, "tokyo lists the tree", func() bool { return len(keysOf(t, tokyo, b)) == want })
	findAWS(t, tokyo).at(t, "s3", "cp", "--recursive", "--no-progress", url, far)
	sameTree(t, far, tree)

	empty := t.TempDir()
	file(t, empty, "only", 10)
	a.at(t, "s3", "sync", "--no-progress", "--delete", empty, url)
	if out := lines(a.at(t, "s3", "ls", "--recursive", url+"/")); len(out) != 1 {
		t.Errorf("sync --delete left %q", out)
	}
	a.at(t, "s3", "rm", "--recursive", url)
}

func awsLarge(t *testing.T, a awsCLI, b string) {
	url := "s3://" + b + "/large"
	large := file(t, a.dir, "large", largeSize)
	got := filepath.Join(a.dir, "got")
	a.at(t, "s3", "cp", "--no-progress", large, url)
	a.at(t, "s3", "cp", "--no-progress", url, url+" copied") // UploadPartCopy
	a.at(t, "s3", "mv", "--no-progress", url+" copied", url+"/moved")
	a.at(t, "s3", "cp", "--no-progress", url+"/moved", got)
	sameFile(t, got, large)
	hasNot(t, a.at(t, "s3", "ls", "--recursive", url), "copied")

	// From and to a pipe, of a length that is not known before.
	a.feedFile(t, large, "s3", "cp", "-", url+"-piped")
	if out := a.at(t, "s3", "cp", url+"-piped", "-"); out != string(read(t, large)) {
		t.Errorf("a pipe brought %d bytes", len(out))
	}
	a.json(t, "get-object", "--bucket", b, "--key", "large", "--range", "bytes=8388600-8388700", got)
	sameBytes(t, read(t, got), read(t, large)[8388600:8388701])
	a.json(t, "get-object", "--bucket", b, "--key", "large", "--range", "bytes=-77", got)
	sameBytes(t, read(t, got), read(t, large)[largeSize-77:])
	sameBytes(t, fetch(t, strings.TrimSpace(a.at(t, "s3", "presign", url))), read(t, large))
	a.at(t, "s3", "rm", url)
}

// feedFile runs the client with a file as its standard input.
func (a awsCLI) feedFile(t *testing.T, path string, args ...string) {
	t.Helper()
	a.feed(t, strings.NewReader(string(read(t, path))), append([]string{"--endpoint-url", a.endpoint}, args...)...)
}

func awsList(t *testing.T, a awsCLI, b string) {
	if n := len(lines(a.at(t, "s3", "ls", "--recursive", "s3://"+b))); n != manyKeys {
		t.Errorf("ls --recursive: %d of %d", n, manyKeys)
	}
	out := a.at(t, "s3", "ls", "s3://"+b+"/")
	if n := len(lines(out)); n != manyFolders+manyAtTop {
		t.Errorf("ls: %d of %d", n, manyFolders+manyAtTop)
	}
	has(t, out, "PRE d00/", "PRE d19/", "f0000", "f1049")
	for _, op := range []string{"list-objects", "list-objects-v2"} {
		list := a.json(t, op, "--bucket", b, "--delimiter", "/", "--page-size", "300")
		if n, m := len(list["Contents"].([]any)), len(list["CommonPrefixes"].([]any)); n != manyAtTop || m != manyFolders {
			t.Errorf("%s: %d keys and %d prefixes", op, n, m)
		}
	}
}

func awsMetadata(t *testing.T, a awsCLI, b string) {
	url := "s3://" + b + "/meta"
	page := file(t, a.dir, "page.html", 500)
	a.at(t, "s3", "cp", "--no-progress", page, url+"/page.html")
	a.at(t, "s3", "cp", "--no-progress", "--content-type", "text/x-odd; charset=utf-8", "--cache-control", "max-age=60", "--content-disposition", `attachment; filename="ü.txt"`,
		"--metadata", "colour=dark blue,x=1", page, url+"/odd")
	a.at(t, "s3", "cp", "--no-progress", url+"/odd", url+"/copy")
	for _, key := range []string{"meta/odd", "meta/copy"} {
		h := a.json(t, "head-object", "--bucket", b, "--key", key)
		m, _ := h["Metadata"].(map[string]any)
		if h["ContentType"] != "text/x-odd; charset=utf-8" || h["CacheControl"] != "max-age=60" || m["colour"] != "dark blue" || m["x"] != "1" {
			t.Errorf("%s: %v", key, h)
		}
	}
	a.at(t, "s3", "cp", "--no-progress", "--metadata-directive", "REPLACE", "--metadata", "new=1", url+"/odd", url+"/odd")
	if m := a.json(t, "head-object", "--bucket", b, "--key", "meta/odd")["Metadata"].(map[string]any); m["new"] != "1" || m["colour"] != nil {
		t.Errorf("replaced: %v", m)
	}
	if h := a.json(t, "head-object", "--bucket", b, "--key", "meta/page.html"); h["ContentType"] != "text/html" || h["ContentLength"] != 500.0 {
		t.Errorf("guessed: %v", h)
	}
	a.json(t, "put-object", "--bucket", b, "--key", "meta/tagged", "--body", page, "--tagging", "a%20b=c%2Bd")
	has(t, a.at(t, "s3api", "get-object-tagging", "--bucket", b, "--key", "meta/tagged"), `"a b"`, `"c+d"`)
}

func awsChecksums(t *testing.T, a awsCLI, b string) {
	f := file(t, a.dir, "sum", 10_000)
	for _, algorithm := range []string{"CRC32C", "SHA256"} {
		put := a.json(t, "put-object", "--bucket", b, "--key", "sum", "--body", f, "--checksum-algorithm", algorithm)
		get := a.json(t, "get-object", "--bucket", b, "--key", "sum", "--checksum-mode", "ENABLED", "got")
		name := "Checksum" + algorithm
		if put[name] == nil || put[name] != get[name] {
			t.Errorf("%s: put %v, get %v", algorithm, put, get)
		}
		sameFile(t, filepath.Join(a.dir, "got"), f)
	}
	has(t, a.at(t, "s3api", "get-object-attributes", "--bucket", b, "--key", "sum", "--object-attributes", "Checksum", "ObjectSize", "ETag"), "ChecksumSHA256", "10000")
}

func awsUpload(t *testing.T, a awsCLI, b string) {
	part := file(t, a.dir, "part", 5<<20)
	id := a.json(t, "create-multipart-upload", "--bucket", b, "--key", "by hand")["UploadId"].(string)
	has(t, a.at(t, "s3api", "list-multipart-uploads", "--bucket", b), id, "by hand")
	etag := a.json(t, "upload-part", "--bucket", b, "--key", "by hand", "--upload-id", id, "--part-number", "2", "--body", part)["ETag"].(string)
	has(t, a.at(t, "s3api", "list-parts", "--bucket", b, "--key", "by hand", "--upload-id", id), strings.Trim(etag, `"`), "5242880")
	a.json(t, "abort-multipart-upload", "--bucket", b, "--key", "by hand", "--upload-id", id)
	hasNot(t, a.at(t, "s3api", "list-multipart-uploads", "--bucket", b), id)
	a.refuses(t, "NoSuchUpload", "s3api", "list-parts", "--bucket", b, "--key", "by hand", "--upload-id", id)
}
