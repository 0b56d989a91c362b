package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/edgefs/edgefs/internal/admin"
)

// clusterDir is where "edgefs run" keeps its segments, and where a segment is looked for by its name.
const clusterDir = ".edgefs"

// app is one run of the command.
type app struct {
	in        io.Reader
	out, errs io.Writer

	endpoint string
	remote   admin.Options
	json     bool
	yes      bool

	began bool // the command line was understood
}

// client makes the client of the segment that the command line or the environment names.
func (a *app) client() (*admin.Client, error) {
	endpoint, err := a.where()
	if err != nil {
		return nil, err
	}
	o := a.remote
	if o.Credential == "" {
		o.Credential = os.Getenv("EDGEFS_CREDENTIAL")
	}
	if o.CA == "" {
		o.CA = os.Getenv("EDGEFS_CA")
	}
	client, err := admin.Dial(endpoint, o)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// where is the endpoint to talk to. With no word from anybody it is the one segment below clusterDir, if there is one only.
func (a *app) where() (string, error) {
	endpoint := a.endpoint
	if endpoint == "" {
		endpoint = os.Getenv("EDGEFS_ENDPOINT")
	}
	if endpoint != "" {
		return segmentDir(endpoint), nil
	}
	here, _ := filepath.Glob(filepath.Join(clusterDir, "*", "keys"))
	switch len(here) {
	case 1:
		return filepath.Dir(here[0]), nil
	case 0:
		return "", usagef("which segment? Name its data directory or https://HOST:PORT with --endpoint or EDGEFS_ENDPOINT")
	}
	var names []string
	for _, keys := range here {
		names = append(names, filepath.Base(filepath.Dir(keys)))
	}
	return "", usagef("which segment? There are %s: name one with --endpoint or EDGEFS_ENDPOINT", strings.Join(names, ", "))
}

// segmentDir is the directory that a person means by a name: itself, or the segment of that name below clusterDir.
func segmentDir(name string) string {
	if strings.Contains(name, "://") || strings.HasPrefix(name, "unix:") {
		return name
	}
	if _, err := os.Stat(name); err == nil {
		return name
	}
	if below := filepath.Join(clusterDir, name); !strings.ContainsRune(name, filepath.Separator) {
		if _, err := os.Stat(below); err == nil {
			return below
		}
	}
	return name
}

// show writes v as JSON when that was asked for, else what human writes.
func (a *app) show(v any, human func(w io.Writer)) error {
	w := bufio.NewWriter(a.out)
	if a.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return err
		}
	} else {
		human(w)
	}
	return w.Flush()
}

// said writes a line that is of interest to people only.
func (a *app) said(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// confirm asks on a terminal whether something that cannot be undone is meant; elsewhere only --yes means it.
func (a *app) confirm(format string, args ...any) error {
	if a.yes {
		return nil
	}
	question := fmt.Sprintf(format, args...)
	if !isTerminal(a.in) {
		return usagef("%s? There is no terminal to ask on: say --yes", question)
	}
	fmt.Fprintf(a.errs, "%s? [y/N] ", question)
	answer, _ := bufio.NewReader(a.in).ReadString('\n')
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return fmt.Errorf("nothing was done")
	}
	return nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
