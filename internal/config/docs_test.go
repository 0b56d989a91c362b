package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the documentation shows as defaults are the defaults.
func TestDocumentedDefaultsAreTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/ops/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no block of YAML")
	}
	got, err := Load(file(t, text), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.S3.Domains)+len(got.Link.Advertise) == 0 { // an empty list is none
		got.S3.Domains, got.Link.Advertise = nil, nil
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Error(diff)
	}
}
