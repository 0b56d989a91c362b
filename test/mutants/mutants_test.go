package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files makes a small module with mutants of it.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMutantsAreCaughtOrNot(t *testing.T) {
	mutant := func(old, new string) string {
		return "why: it is wrong\nfile: sum.go\ntest: .\n-- old --\n" + old + "\n-- new --\n" + new + "\n"
	}
	dir := files(t, map[string]string{
		"go.mod":                 "module example.com/sum\n\ngo 1.26\n",
		"sum.go":                 "package sum\n\nfunc Sum(a, b int) int {\n\tfor range a {\n\t\tb++\n\t}\n\treturn b\n}\n",
		"sum_test.go":            "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(2, 2) != 4 {\n\t\tt.Fail()\n\t}\n}\n",
		folder + "/caught.txt":   mutant("\t\tb++", "\t\tb--"),
		folder + "/hangs.txt":    mutant("\tfor range a {", "\tfor {"),
		folder + "/survives.txt": mutant("\treturn b", "\treturn a + b - 2"),
		folder + "/gone.txt":     mutant("\treturn c", "\treturn a"),
		folder + "/twice.txt":    mutant("}", ""),
		folder + "/broken.txt":   mutant("\treturn b", "\treturn c"),
	})
	var out strings.Builder
	ok, err := run(t.Context(), &out, dir, "", 10*time.Second, false)
	if err != nil || ok {
		t.Fatalf("%v, %v", ok, err)
	}
	for _, want := range []string{
		"ok   caught                           caught by TestSum",
		"ok   hangs                            caught: its test hangs",
		"FAIL survives                         survived: it is wrong; go test .",
		"FAIL gone                             sum.go has the old text 0 times, not once",
		"FAIL twice                            sum.go has the old text",
		"FAIL broken                           does not compile",
		"2 of 6 mutants are caught",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if ok, err := run(t.Context(), &out, dir, "^caught$", 10*time.Second, false); !ok || err != nil {
		t.Errorf("%v, %v\n%s", ok, err, out.String())
	}
}

func TestAMutantWhoseTestFailsAnywayIsNotCaught(t *testing.T) {
	dir := files(t, map[string]string{
		"go.mod":          "module example.com/sum\n\ngo 1.26\n",
		"sum.go":          "package sum\n\nconst One = 1\n",
		"sum_test.go":     "package sum\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) { t.Fail() }\n",
		folder + "/a.txt": "why: w\nfile: sum.go\ntest: .\n-- old --\nconst One = 1\n-- new --\nconst One = 2\n",
	})
	var out strings.Builder
	if ok, err := run(t.Context(), &out, dir, "", time.Minute, false); ok || err != nil || !strings.Contains(out.String(), "fails without it") {
		t.Errorf("%v, %v\n%s", ok, err, out.String())
	}
}

func TestMutantsAreRead(t *testing.T) {
	for _, text := range []string{"", "why: w\n-- old --\nx\n", "why: w\nfile: f\ntest: t\n-- old --\n-- new --\nx\n", "who: w\n-- old --\na\n-- new --\nb\n"} {
		if m, err := parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
}
