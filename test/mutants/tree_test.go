package main

import (
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testFunction is the beginning of a test in a file of tests.
var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)

// TestMutantsFollowTheTree: a mutant whose code or whose test has changed under it would be noticed only when somebody plants it.
func TestMutantsFollowTheTree(t *testing.T) {
	root := filepath.Join("..", "..")
	all, err := load(root, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			bug, err := m.apply(string(source))
			if err != nil {
				t.Fatal(err)
			}
			if bug == string(source) {
				t.Error("it changes nothing")
			}
			if _, err := format.Source([]byte(bug)); err != nil && filepath.Ext(m.file) == ".go" {
				t.Errorf("what it makes of %s is not Go: %v", m.file, err)
			}
			if !runsAnything(t, root, m.test) {
				t.Errorf("go test %s runs no test", m.test)
			}
		})
	}
}

// runsAnything says whether arguments of go test name a test that there is. It looks at the names outside of subtests alone.
func runsAnything(t *testing.T, root, args string) bool {
	t.Helper()
	words := strings.Fields(args)
	run := ""
	if at := slices.Index(words, "-run"); at >= 0 && at+1 < len(words) {
		run, _, _ = strings.Cut(words[at+1], "/")
	}
	match, err := regexp.Compile(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range words {
		if !strings.HasPrefix(word, "./") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, word, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range testFunction.FindAllSubmatch(text, -1) {
				if match.Match(name[1]) {
					return true
				}
			}
		}
	}
	return false
}
