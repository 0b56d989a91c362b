package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// mutant is one bug: a text in a file that is replaced by another, and the test that must fail then. Its file reads
//
//	why: what goes wrong
//	file: path of the file, from the root of the module
//	test: arguments of "go test"
//	-- old --
//	lines that the file has exactly once
//	-- new --
//	lines in their place; none to leave the old ones out
type mutant struct {
	name, why, file, test string
	old, new              string
}

const folder = "testdata/mutants"

// load reads the mutants whose names match, in the order of their names.
func load(dir string, match *regexp.Regexp) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if !match.MatchString(name) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		m.name = name
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no mutant in %s matches %q", filepath.Join(dir, folder), match)
	}
	return all, nil
}

func parse(text string) (m mutant, err error) {
	head, rest, ok := strings.Cut(text, "-- old --\n")
	if !ok {
		return m, fmt.Errorf("there is no line -- old --")
	}
	if m.old, m.new, ok = strings.Cut(rest, "-- new --\n"); !ok {
		return m, fmt.Errorf("there is no line -- new --")
	}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "why":
			m.why = value
		case "file":
			m.file = value
		case "test":
			m.test = value
		default:
			return m, fmt.Errorf("line %q is not understood", line)
		}
	}
	if m.why == "" || m.file == "" || m.test == "" || m.old == "" {
		return m, fmt.Errorf("why, file, test and old are needed")
	}
	return m, nil
}

// apply makes the bug.
func (m *mutant) apply(source string) (string, error) {
	if n := strings.Count(source, m.old); n != 1 {
		return "", fmt.Errorf("%s has the old text %d times, not once", m.file, n)
	}
	return strings.Replace(source, m.old, m.new, 1), nil
}
