package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	want := Default()
	want.Name = "hawaii"
	want.S3.Domains = []string{"s3.example.com"}
	text, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(file(t, string(text)), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestFileOverridesOnlyWhatItNames(t *testing.T) {
	got, err := Load(file(t, "memory: 1GiB\ns3:\n  listen: :80\nshutdownGrace: 1m\n"), Default())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Memory = 1 << 30
	want.S3.Listen = ":80"
	want.ShutdownGrace = Duration(60e9)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", "s3:\n  lissen: :80\n", "edgefs.yaml: s3.lissen: unknown field; known are listen, certFile,"},
		{"unknown field at the top", "port: 80\n", "edgefs.yaml: port: unknown field; known are name, s3,"},
		{"repeated field", "memory: 1GiB\nmemory: 2GiB\n", `already set`},
		{"two documents", "# the first\n---\ndataDir: a\n--- # the second\ndataDir: b\n", "edgefs.yaml: it has a second document"},
		{"not yaml", "\x00\x01", "edgefs.yaml: not YAML: "},
		{"not yaml, with the line", "s3:\n  listen: [\n", "edgefs.yaml: not YAML: line 2: "},
		{"bad size", "memory: much\n", `edgefs.yaml: memory: size "much": want a number of bytes such as 64MiB`},
		{"bad size below", "storage:\n  reserve: [1]\n", "edgefs.yaml: storage.reserve: want text or a number"},
		{"negative size", "memory: -1\n", `memory: size "-1"`},
		{"bare duration", "shutdownGrace: 30\n", `edgefs.yaml: shutdownGrace: duration "30": want a time such as`},
		{"text for a number", "s3:\n  maxConnections: many\n", `edgefs.yaml: s3.maxConnections: "many": want a whole number`},
		{"text for a list", "s3:\n  domains: a.example.com\n", `s3.domains: "a.example.com": want a list`},
		{"number for a text", "name: 007\n", "name: 7: want text"},
		{"text for fields", "s3: :9000\n", `s3: ":9000": want fields, one to a line: listen,`},
		{"list for the file", "- a\n", `edgefs.yaml: ["a"]: want fields`},
		{"off without quotes", "metrics:\n  listen: off\n", `metrics.listen: YAML takes on, off, yes and no for false: write the word in quotes`},
		{"each fault", "memory: much\nlog:\n  levle: info\n", "log.levle: unknown field"},
		{"upper-case name", "name: Hawaii\n", "name: \"Hawaii\" is not a name"},
		{"long name", "name: " + strings.Repeat("a", 41) + "\n", "is not a name"},
		{"no port", "s3:\n  listen: localhost\n", "s3.listen: \"localhost\" is not an address"},
		{"large port", "link:\n  listen: :70000\n", "link.listen: \":70000\": \"70000\" is not a port"},
		{"advertised off", "link:\n  advertise: [off]\n", "link.advertise"},
		{"certificate alone", "s3:\n  certFile: a.pem\n", "s3.certFile, s3.keyFile: HTTPS needs both"},
		{"admin key alone", "admin:\n  keyFile: a.pem\n", "admin.certFile, admin.keyFile"},
		{"no connections", "s3:\n  maxConnections: 0\n", "s3.maxConnections: 0: want a positive number"},
		{"little memory", "memory: 1MiB\n", "memory: 1MiB is too little: the least is 128MiB"},
		{"bad level", "log:\n  level: loud\n", `log.level: "loud"`},
		{"bad format", "log:\n  format: xml\n", `log.format: "xml"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Load(file(t, c.text), Default())
			if err == nil {
				err = got.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

// Faults are values, so that whoever knows the flag of a field can say it.
func TestFaultsKnowTheirField(t *testing.T) {
	c := Default()
	c.S3.Listen, c.Log.Level = "nowhere", "loud"
	var fields []string
	for _, err := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		var f *Fault
		if !errors.As(err, &f) {
			t.Fatalf("%v is no fault", err)
		}
		fields = append(fields, f.Field)
	}
	if diff := cmp.Diff([]string{"s3.listen", "log.level"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestNothingInAFileChangesNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "s3:\n", "s3: {}\nmemory: null\n"} {
		got, err := Load(file(t, text), Default())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestFileThatIsTooLargeIsRefused(t *testing.T) {
	if _, err := Load(file(t, strings.Repeat("#\n", maxFile)), Default()); err == nil {
		t.Fatal("read")
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text  string
		bytes Size
		back  string
	}{
		{"0", 0, "0"}, {"1", 1, "1"}, {"4096", 4096, "4KiB"}, {"64MiB", 64 << 20, "64MiB"}, {"64 mib", 64 << 20, "64MiB"}, {"64M", 64 << 20, "64MiB"},
		{"1.5GB", 1500000000, "1500000000"}, {"1kB", 1000, "1000"}, {"3TiB", 3 << 40, "3TiB"}, {"10B", 10, "10"}, {"0.5GiB", 512 << 20, "512MiB"},
	} {
		got, err := ParseSize(c.text)
		if err != nil || got != c.bytes || got.String() != c.back {
			t.Errorf("%q: %d (%v), %v; want %d (%s)", c.text, got, got, err, c.bytes, c.back)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1PiB", "NaN", "Inf", "9e30", "1..5k", "ten"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edgefs.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
