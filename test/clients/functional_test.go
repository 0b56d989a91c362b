package clients_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// minio-go comes with a program of functional tests for servers of S3. What fails there, or is answered as not implemented, must be listed
// in testdata/minio-functional with its reason; what is listed must fail.
func TestMinioGoFunctional(t *testing.T) {
	hawaii, _ := sites(t)
	source := functionalSource(t)
	program := filepath.Join(t.TempDir(), "functional")
	file := program + ".go"
	write(t, file, []byte(source))
	goTool(t, root()).run(t, "build", "-o", program, file)

	// Without an endpoint the program goes to a public server.
	c := newTool(t, program, "SERVER_ENDPOINT="+hawaii.host(), "ACCESS_KEY="+hawaii.AccessKey, "SECRET_KEY="+hawaii.SecretKey,
		"ENABLE_HTTPS=0", "MINT_MODE=full", "RUN_ON_FAIL=1", "ENABLE_KMS=0")
	c.time = 5 * time.Minute
	out, errs, err := c.try(t, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(errs))
	}
	results := readFunctional(t, out)
	if called := len(functionalNames(source)); len(results) < called*9/10 { // a few report under a name they share
		t.Errorf("%d tests reported of %d", len(results), called)
	}
	judgeFunctional(t, results, readExpected(t))
}

// functionalSource is the program as the module cache has it, with what edgefs does not have, and these tests do not test, replaced: version 2
// of signatures by version 4. Without its build tag it is a program.
func functionalSource(t *testing.T) string {
	t.Helper()
	dir := strings.TrimSpace(goTool(t, root()).run(t, "list", "-m", "-f", "{{.Dir}}", "github.com/minio/minio-go/v7"))
	text := string(read(t, filepath.Join(dir, "functional_tests.go")))
	for old, replacement := range map[string]string{"//go:build mint\n": "", "credentials.NewStaticV2(": "credentials.NewStaticV4("} {
		if !strings.Contains(text, old) {
			t.Fatalf("functional_tests.go has no %q any more", old)
		}
		text = strings.ReplaceAll(text, old, replacement)
	}
	return text
}

// functionalNames are the tests that the program calls when there is neither TLS nor a KMS.
func functionalNames(source string) []string {
	_, source, _ = strings.Cut(source, "\n\tif isFullMode() {\n")
	source, _, _ = strings.Cut(source, "\n\t\tif tls {\n")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\t\t(test\w+)\(\)$`).FindAllStringSubmatch(source, -1) {
		names = append(names, m[1])
	}
	return names
}

// verdict is a line of the program's output.
type verdict struct {
	Name, Status, Message, Alert string
	Error, Args                  any
}

// readFunctional gathers the verdicts by test.
func readFunctional(t *testing.T, out string) map[string][]verdict {
	t.Helper()
	results := map[string][]verdict{}
	for _, line := range lines(out) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		name := strings.TrimPrefix(v.Name, "minio-go: ")
		name = name[strings.LastIndexByte(name, '.')+1:]
		results[name] = append(results[name], v)
	}
	return results
}

// readExpected reads "NAME: reason" lines.
func readExpected(t *testing.T) map[string]string {
	t.Helper()
	expected := map[string]string{}
	for _, line := range lines(string(read(t, filepath.Join("testdata", "minio-functional")))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, ": ")
		if !ok || reason == "" {
			t.Errorf("no reason for %s", line)
		}
		expected[name] = reason
	}
	return expected
}

func judgeFunctional(t *testing.T, results map[string][]verdict, expected map[string]string) {
	t.Helper()
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		bad := slices.DeleteFunc(slices.Clone(results[name]), func(v verdict) bool { return v.Status == "PASS" })
		reason, known := expected[name]
		switch {
		case len(bad) == 0 && known:
			t.Errorf("%s passes now: take it off the list (%s)", name, reason)
		case len(bad) == 0:
			passed++
		case !known:
			t.Errorf("%s: %s", name, describe(bad))
		}
		delete(expected, name)
	}
	for name := range expected {
		t.Errorf("%s is listed, and is no test", name)
	}
	t.Logf("%d of %d pass", passed, len(results))
}

// describe tells the first of what went wrong.
func describe(verdicts []verdict) string {
	var b strings.Builder
	for _, v := range verdicts[:min(3, len(verdicts))] {
		fmt.Fprintf(&b, "%.400s\n", fmt.Sprintf("%s %s%s %v %v", v.Status, v.Message, v.Alert, v.Error, v.Args))
	}
	return fmt.Sprintf("%d times, as\n%s", len(verdicts), b.String())
}
