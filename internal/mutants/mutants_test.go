package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mutant whose text is gone from the code says nothing any more, and would be missed only when all of them are run.
func TestMutantsAreUpToDate(t *testing.T) {
	const root = "../.."
	all, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Error(m.name, err)
			continue
		}
		if _, err := m.plant(string(text)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// A small module in which one bug is found and another is not.
func TestWhatIsFoundAndWhatIsNot(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"m.go":   "package m\n\nfunc Double(n int) int { return 2 * n }\n\nfunc Half(n int) int { return n / 2 }\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\nfunc TestDouble(t *testing.T) {\n\tif Double(3) != 6 {\n\t\tt.Fatal()\n\t}\n" +
			"\tHalf(2)\n}\n",
		"testdata/mutants/double.txt": "Doubles wrongly.\nfile m.go\ntest ./... TestDouble\n--- right\nreturn 2 * n\n+++ wrong\nreturn 3 * n\n",
		"testdata/mutants/half.txt":   "Halves wrongly.\nfile m.go\ntest ./...\n--- right\nreturn n / 2\n+++ wrong\nreturn n / 3\n",
		"testdata/mutants/broken.txt": "Is no Go.\nfile m.go\ntest ./...\n--- right\nreturn n / 2\n+++ wrong\nreturn n /\n",
		"testdata/mutants/gone.txt":   "Was there once.\nfile m.go\ntest ./...\n--- right\nreturn n / 7\n+++ wrong\nreturn n\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), &out, root, ""); err == nil || !strings.Contains(err.Error(), "3 of 4") {
		t.Errorf("%v\n%s", err, &out)
	}
	for line := range strings.Lines(out.String()) {
		want := map[string]string{
			"double": "found", "half": "the tests pass with it", "broken": "does not compile", "gone": "occurs 0 times",
		}[strings.Fields(line)[0]]
		if !strings.Contains(line, want) {
			t.Errorf("%s", line)
		}
	}
}

func TestMalformedMutantsAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "--- right\na\n+++ wrong\nb\n", "What.\nfile a.go\n--- right\na\n+++ wrong\nb\n", "What.\nfile a.go\ntest ./a\n--- right\na\n+++ wrong\na\n",
	} {
		if _, err := parse("x", text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
