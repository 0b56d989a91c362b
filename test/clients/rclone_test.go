package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rcloneEnv is two remotes, hawaii: and tokyo:, as a user's configuration has them.
func rcloneEnv(sites ...*site) []string {
	env := []string{"RCLONE_CONFIG=/dev/null"}
	for _, s := range sites {
		prefix := "RCLONE_CONFIG_" + strings.ToUpper(s.name) + "_"
		env = append(env, prefix+"TYPE=s3", prefix+"PROVIDER=Other", prefix+"ENDPOINT="+s.Endpoint, prefix+"ACCESS_KEY_ID="+s.AccessKey, prefix+"SECRET_ACCESS_KEY="+s.SecretKey)
	}
	return env
}

// Debian's.
func TestRclone(t *testing.T) {
	hawaii, tokyo := sites(t)
	rclone(t, findTool(t, "rclone", rcloneEnv(hawaii, tokyo)...), hawaii)
}

// The current one, built of what "make deps" has brought.
func TestRcloneCurrent(t *testing.T) {
	hawaii, tokyo := sites(t)
	rclone(t, newTool(t, buildClient(t, "./rclone"), rcloneEnv(hawaii, tokyo)...), hawaii)
}

// buildClient builds a command of the module of clients.
func buildClient(t *testing.T, pkg string) string {
	t.Helper()
	g := goTool(t, "go")
	if _, errs, err := g.try(t, nil, "list", "-deps", pkg); err != nil {
		t.Skipf("its modules are not here (make deps): %.300s", errs)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	g.run(t, "build", "-o", path, pkg)
	return path
}

func rclone(t *testing.T, c *tool, hawaii *site) {
	b := bucketName(t)
	at := "hawaii:" + b
	c.run(t, "mkdir", at)
	t.Run("a tree is synchronised", func(t *testing.T) { rcloneSync(t, c, b) })
	t.Run("large objects go in parts", func(t *testing.T) { rcloneLarge(t, c, at) })
	t.Run("metadata", func(t *testing.T) { rcloneMetadata(t, c, at) })
	t.Run("listings have pages", func(t *testing.T) {
		m := "hawaii:" + many(t, hawaii)
		if n := len(lines(c.run(t, "lsf", "--recursive", "--files-only", "--fast-list", m))); n != manyKeys {
			t.Errorf("lsf --recursive: %d of %d", n, manyKeys)
		}
		if n := len(lines(c.run(t, "lsf", m))); n != manyFolders+manyAtTop {
			t.Errorf("lsf: %d of %d", n, manyFolders+manyAtTop)
		}
	})
	t.Run("versions", func(t *testing.T) { rcloneVersions(t, c, at+"-v") })
	t.Run("refusals", func(t *testing.T) {
		c.refused(t, "not found", "lsf", at+"-no")
		c.refused(t, "BucketNotEmpty", "rmdir", at)
	})
	t.Run("all is deleted", func(t *testing.T) {
		c.run(t, "purge", at)
		hasNot(t, c.run(t, "lsf", "hawaii:"), b+"/")
	})
}

func rcloneSync(t *testing.T, c *tool, b string) {
	tree, back := t.TempDir(), t.TempDir()
	plant(t, tree)
	at := "hawaii:" + b + "/tree"
	c.run(t, "sync", tree, at)
	c.run(t, "check", tree, at)
	c.run(t, "sync", at, back)
	sameTree(t, back, tree)

	far := "tokyo:" + b + "/tree"
	soon(t, "tokyo has the tree", func() bool {
		_, _, err := c.try(t, nil, "check", "--download", tree, far)
		return err == nil
	})

	if err := os.Remove(filepath.Join(tree, "plain.txt")); err != nil {
		t.Fatal(err)
	}
	file(t, tree, "with space.txt", 999)
	c.run(t, "sync", "--track-renames", tree, at)
	c.run(t, "check", "--download", tree, at)
	hasNot(t, c.run(t, "lsf", "--recursive", at), "plain.txt")
	c.run(t, "sync", at, at+" copied") // within the server
	c.run(t, "check", tree, at+" copied")
}

func rcloneLarge(t *testing.T, c *tool, at string) {
	large := file(t, c.dir, "large", largeSize)
	// Of itself rclone sends up to 200 MiB in one request, and copies up to 4.6 GiB in one.
	parts := []string{"--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M", "--s3-copy-cutoff", "8M"}
	got := filepath.Join(c.dir, "got")
	c.run(t, append(parts, "copyto", large, at+"/large")...)
	c.run(t, append(parts, "copyto", at+"/large", at+"/copied")...) // UploadPartCopy
	c.run(t, append(parts, "moveto", at+"/copied", at+"/a moved+one")...)
	c.run(t, "copyto", "--checksum", at+"/a moved+one", got)
	sameFile(t, got, large)
	hasNot(t, c.run(t, "lsf", "--files-only", at), "copied")
	if out := c.run(t, "cat", "--offset", "8388600", "--count", "100", at+"/large"); out != string(read(t, large)[8388600:8388700]) {
		t.Errorf("a range brought %d bytes", len(out))
	}
	whole := file(t, c.dir, "whole", largeSize)
	c.run(t, "copyto", whole, at+"/whole") // at rclone's own settings: one request
	c.feed(t, strings.NewReader(string(read(t, whole))), "rcat", at+"/piped")
	for _, name := range []string{"/whole", "/piped"} {
		if out := c.run(t, "cat", at+name); out != string(read(t, whole)) {
			t.Errorf("%s brought %d bytes", name, len(out))
		}
	}
	sameBytes(t, fetch(t, strings.TrimSpace(c.run(t, "link", at+"/whole"))), read(t, whole))
	c.run(t, "deletefile", at+"/whole")
	hasNot(t, c.run(t, "lsf", at), "whole")
}

func rcloneMetadata(t *testing.T, c *tool, at string) {
	page := file(t, c.dir, "page.html", 500)
	c.run(t, "copyto", "--metadata", "--metadata-set", "content-type=text/x-odd", "--metadata-set", "cache-control=max-age=60", "--metadata-set", "colour=dark blue", page, at+"/meta")
	c.run(t, "copyto", "--metadata", at+"/meta", at+"/meta-copy")
	for _, name := range []string{"/meta", "/meta-copy"} {
		var found []struct {
			Size     int64
			MimeType string
			ModTime  string
			Metadata map[string]string
		}
		out := c.run(t, "lsjson", "--metadata", at+name)
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		f := found[0]
		if f.Size != 500 || f.MimeType != "text/x-odd" || f.Metadata["cache-control"] != "max-age=60" || f.Metadata["colour"] != "dark blue" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// The time of modification is the file's, and may be changed alone.
	c.run(t, "touch", "--timestamp", "2020-02-03T04:05:06", at+"/meta")
	has(t, c.run(t, "lsf", "--format", "t", at+"/meta"), "2020-02-03 04:05:06")
}

func rcloneVersions(t *testing.T, c *tool, at string) {
	c.run(t, "mkdir", at)
	c.run(t, "backend", "versioning", at, "Enabled")
	for i := range 2 {
		c.feed(t, strings.NewReader(fmt.Sprintf("content %d", i)), "rcat", at+"/k")
	}
	c.run(t, "deletefile", at+"/k")
	if out := c.run(t, "lsf", at); out != "" {
		t.Errorf("after the deletion: %s", out)
	}
	if n := len(lines(c.run(t, "lsf", "--s3-versions", at))); n != 2 {
		t.Errorf("%d versions", n)
	}
	c.run(t, "backend", "cleanup-hidden", at)
	if out := c.run(t, "lsf", "--s3-versions", at); out != "" {
		t.Errorf("after cleanup-hidden: %s", out)
	}
	c.run(t, "rmdir", at)
}
