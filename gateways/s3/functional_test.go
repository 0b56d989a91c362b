package s3

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk/pack"
)

// refusedByDesign are the tests of minio-go's suite that fail, each with what of it is not supported: docs/design/s3.md says why.
func refusedByDesign() map[string]string {
	return map[string]string{
		"testPutMultipartObjectWithChecksums":    "a copy keeps its source's checksum; checksums of single parts are not kept",
		"testCopyObjectWithChecksums":            "no checksum is added that nobody asked for",
		"testReplaceObjectWithChecksums":         "no checksum is added that nobody asked for",
		"testTrailingChecksums":                  "checksums of single parts are not kept",
		"testGetObjectAttributes":                "checksums of single parts are not kept",
		"testGetObjectAttributesErrorCases":      "a version id that is none is InvalidArgument, as at S3",
		"testGetObjectACLContext":                "access control lists",
		"testListMultipartUpload":                "owners are answered, and a key marker leaves out its key, as at S3",
		"testPresignedPostPolicy":                "uploads by HTML forms",
		"testPresignedPostPolicyWrongFile":       "uploads by HTML forms",
		"testPresignedPostPolicyEmptyFileName":   "uploads by HTML forms",
		"testRemoveMultipleObjectsWithResult":    "object lock",
		"testListUnsorted":                       "metadata in listings is an extension of MinIO's",
		"testPutObjectPreconditionOnNonExistent": "If-None-Match of an ETag on a write, as at S3",
	}
}

// TestMinioFunctional runs the functional tests of minio-go against the gateway on real packs. It takes half a minute and a compiler.
func TestMinioFunctional(t *testing.T) {
	if os.Getenv("EDGEFS_MINIO_FUNCTIONAL") == "" {
		t.Skip("set EDGEFS_MINIO_FUNCTIONAL=1 to run the functional tests of minio-go")
	}
	device, err := pack.Open(t.Context(), pack.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	})
	seg := newSegmentOn(t, device)
	s := newSite(t, func(c *Config) { c.Segment = seg })
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, buildFunctional(t))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "SERVER_ENDPOINT="+s.host(), "ACCESS_KEY="+awsKey, "SECRET_KEY="+awsSecret,
		"MINT_MODE=full", "RUN_ON_FAIL=1", "ENABLE_KMS=0", "ENABLE_HTTPS=0")
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatalf("the suite did not end: %v", err)
	}
	judge(t, out)
}

// buildFunctional builds the suite of the module's version. So that as much as possible of it is run, its tests of signature version 2 sign
// with version 4 instead, and its tests of versions make their buckets without object lock.
func buildFunctional(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/minio/minio-go/v7").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "functional_tests.go"))
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("//go:build mint\n"), nil, 1)
	source = bytes.ReplaceAll(source, []byte("CredsV2: true"), []byte("CredsV2: false"))
	source = bytes.ReplaceAll(source, []byte("ObjectLocking: true"), []byte("ObjectLocking: false"))
	file, binary := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "functional")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// judge reads the suite's log: what failed must be among what is refused.
func judge(t *testing.T, out []byte) {
	t.Helper()
	name := regexp.MustCompile(`test\w+`)
	counts := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct{ Name, Status, Message, Error, Alert string }
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Errorf("%v: %.200s", err, lines.Bytes())
			continue
		}
		counts[l.Status]++
		switch l.Status {
		case "PASS":
		case "NA":
			t.Logf("not applicable: %s: %s", l.Name, l.Alert)
		default:
			if why, ok := refusedByDesign()[name.FindString(l.Name)]; ok {
				t.Logf("refused: %s: %s", l.Name, why)
				continue
			}
			t.Errorf("%s: %s: %.300s", l.Name, l.Message, l.Error)
		}
	}
	t.Logf("%v", counts)
	if counts["PASS"] < 80 {
		t.Errorf("%d passed only", counts["PASS"])
	}
}
