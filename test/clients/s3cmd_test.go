package clients_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func findS3cmd(t *testing.T, s *site) *tool {
	t.Helper()
	c := findTool(t, "s3cmd")
	// host_bucket without %(bucket)s: buckets are addressed by path.
	write(t, filepath.Join(c.dir, ".s3cfg"), fmt.Appendf(nil, `[default]
access_key = %s
secret_key = %s
host_base = %s
host_bucket = %[3]s
use_https = False
progress_meter = False
`, s.AccessKey, s.SecretKey, s.host()))
	return c
}

func TestS3cmd(t *testing.T) {
	hawaii, tokyo := sites(t)
	c, b := findS3cmd(t, hawaii), bucketName(t)
	url := "s3://" + b
	c.run(t, "mb", url)
	has(t, c.run(t, "ls"), url)
	t.Run("a tree is synchronised", func(t *testing.T) { s3cmdSync(t, c, b, tokyo) })
	t.Run("large objects go in parts", func(t *testing.T) { s3cmdLarge(t, c, url) })
	t.Run("metadata", func(t *testing.T) { s3cmdMetadata(t, c, url) })
	t.Run("listings have pages", func(t *testing.T) {
		m := "s3://" + many(t, hawaii)
		if n := len(lines(c.run(t, "ls", "--recursive", m))); n != manyKeys {
			t.Errorf("ls --recursive: %d of %d", n, manyKeys)
		}
		if n := len(lines(c.run(t, "ls", m))); n != manyFolders+manyAtTop {
			t.Errorf("ls: %d of %d", n, manyFolders+manyAtTop)
		}
		has(t, c.run(t, "du", m), fmt.Sprint(manyKeys)+" objects")
	})
	t.Run("refusals", func(t *testing.T) {
		c.refused(t, "does not exist", "get", url+"/nothing", filepath.Join(c.dir, "x"))
		c.refused(t, "NoSuchBucket", "ls", url+"-no")
		c.refused(t, "BucketNotEmpty", "rb", url)
		c.refused(t, "AccessControlListNotSupported", "setacl", "--acl-public", url)
	})
	t.Run("all is deleted", func(t *testing.T) {
		c.run(t, "del", "--recursive", "--force", url)
		c.run(t, "rb", url)
		hasNot(t, c.run(t, "ls"), url)
	})
}

func s3cmdSync(t *testing.T, c *tool, b string, tokyo *site) {
	url := "s3://" + b + "/tree/"
	tree, back, far := t.TempDir(), t.TempDir(), t.TempDir()
	plant(t, tree)
	c.run(t, "sync", tree+"/", url)
	if out := c.run(t, "sync", tree+"/", url); out != "" {
		t.Errorf("a second sync sent\n%s", out)
	}
	c.run(t, "sync", url, back+"/")
	sameTree(t, back, tree)

	want := len(contents(t, tree))
	soon(t, "tokyo lists the tree", func() bool { return len(keysOf(t, tokyo, b)) == want })
	findS3cmd(t, tokyo).run(t, "get", "--recursive", url, far+"/")
	sameTree(t, far, tree)

	if err := os.Remove(filepath.Join(tree, "plain.txt")); err != nil {
		t.Fatal(err)
	}
	has(t, c.run(t, "sync", "--delete-removed", tree+"/", url), "plain.txt")
	hasNot(t, c.run(t, "ls", "--recursive", url), "plain.txt")
}

func s3cmdLarge(t *testing.T, c *tool, url string) {
	large := file(t, c.dir, "large", largeSize)
	got := filepath.Join(c.dir, "got")
	c.run(t, "put", large, url+"/large") // of 15 MiB and the rest
	c.run(t, "cp", url+"/large", url+"/copied")
	c.run(t, "mv", url+"/copied", url+"/a moved+one")
	hasNot(t, c.run(t, "ls", url+"/"), "copied")
	c.run(t, "get", "--force", url+"/a moved+one", got)
	sameFile(t, got, large)

	// A download that was cut goes on where it ended.
	write(t, got, read(t, large)[:7<<20])
	c.run(t, "get", "--continue", url+"/large", got)
	sameFile(t, got, large)
	has(t, c.run(t, "multipart", url), "Initiated")
	c.run(t, "del", url+"/large", url+"/a moved+one")
}

func s3cmdMetadata(t *testing.T, c *tool, url string) {
	page := file(t, c.dir, "page.html", 500)
	c.run(t, "put", "--mime-type", "text/x-odd", "--add-header", "x-amz-meta-colour: blue", page, url+"/meta")
	has(t, c.run(t, "info", url+"/meta"), "text/x-odd", "x-amz-meta-colour: blue", "500")
	c.run(t, "modify", "--add-header", "x-amz-meta-more: 2", url+"/meta")
	has(t, c.run(t, "info", url+"/meta"), "text/x-odd", "x-amz-meta-colour: blue", "x-amz-meta-more: 2")
	c.run(t, "get", "--force", url+"/meta", filepath.Join(c.dir, "got"))
	sameFile(t, filepath.Join(c.dir, "got"), page)
	has(t, c.run(t, "info", url), "Location", "us-east-1")
	c.run(t, "setacl", "--acl-private", url+"/meta")
	c.feed(t, strings.NewReader("piped"), "put", "-", url+"/piped")
	if out := c.run(t, "get", url+"/piped", "-"); out != "piped" {
		t.Errorf("a pipe brought %q", out)
	}
}
