package config

import (
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
		{"unknown field", "s3:\n  lissen: :80\n", `unknown field "lissen"`},
		{"unknown field at the top", "port: 80\n", `unknown field "port"`},
		{"repeated field", "memory: 1GiB\nmemory: 2GiB\n", `already set`},
		{"not yaml", "\x00\x01", "configuration"},
		{"bad size", "memory: much\n", `size "much"`},
		{"negative size", "memory: -1\n", `size "-1"`},
		{"bare duration", "shutdownGrace: 30\n", `duration "30"`},
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
