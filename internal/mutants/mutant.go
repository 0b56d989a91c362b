package main

import (
	"errors"
	"fmt"
	"strings"
)

// mutant is a bug to plant: in one file, one piece of text becomes another. Its file reads
//
//	What the bug does.
//	file chunk/pack/get.go
//	test ./chunk/pack TestContract
//	--- right
//	the text as it is, which occurs once in the file, and may be a part of a line
//	+++ wrong
//	the text as the bug has it
type mutant struct {
	name         string
	what         string
	file         string   // below the root
	packages     []string // to test
	tests        string   // regular expression of the tests that should find it; empty: all
	right, wrong string
}

var errForm = errors.New(`want a sentence, "file PATH", "test PACKAGE... [REGEXP]", "--- right", a text, "+++ wrong", a text`)

func parse(name, text string) (mutant, error) {
	m := mutant{name: name}
	head, rest, ok := strings.Cut(text, "--- right\n")
	right, wrong, ok2 := strings.Cut(rest, "+++ wrong\n")
	if !ok || !ok2 || right == "" || right == wrong {
		return m, errForm
	}
	m.right, m.wrong = strings.TrimSuffix(right, "\n"), strings.TrimSuffix(wrong, "\n") // so that they can be parts of lines
	for line := range strings.Lines(head) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "file":
			m.file = f[1]
		case len(f) >= 2 && f[0] == "test":
			for _, word := range f[1:] {
				if strings.HasPrefix(word, "./") {
					m.packages = append(m.packages, word)
				} else {
					m.tests = word
				}
			}
		default:
			m.what += line
		}
	}
	if m.file == "" || len(m.packages) == 0 || strings.TrimSpace(m.what) == "" {
		return m, errForm
	}
	return m, nil
}

// plant is the text of the file with the bug in it.
func (m mutant) plant(text string) (string, error) {
	if n := strings.Count(text, m.right); n != 1 {
		return "", fmt.Errorf("the right text occurs %d times in %s: the mutant is out of date", n, m.file)
	}
	return strings.Replace(text, m.right, m.wrong, 1), nil
}
