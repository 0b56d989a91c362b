package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

// clusterDir is where "edgefs run" keeps its segments, and where a segment is looked for by its name.
const clusterDir = ".edgefs"

// app is one run of the command.
type app struct {
	in        io.Reader
	out, errs io.Writer

	endpoint string
	remote   admin.Options
	silence  config.Duration
	json     bool
	yes      bool

	began  bool         // the flags were understood
	states []admin.AsOf // that were read as of a time
}

// client makes the client of the segment that the command line or the environment names.
func (a *app) client() (*admin.Client, error) {
	endpoint, err := a.where()
	if err != nil {
		return nil, err
	}
	o := a.remote
	o.Silence, o.AsOf = a.silence.Std(), a.readAsOf
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

// asking is the run of a verb that asks a segment.
func (a *app) asking(run func(cmd *cobra.Command, client *admin.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		defer client.Close()
		return run(cmd, client, args)
	}
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
	var b bytes.Buffer
	if !a.json {
		human(&b)
		_, err := a.text().Write(b.Bytes())
		return err
	}
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := a.out.Write(b.Bytes())
	return err
}

// text is where what people read is written.
func (a *app) text() io.Writer {
	if isTerminal(a.out) {
		return printableWriter{a.out}
	}
	return a.out
}

// place writes where a file is, as names does.
func (a *app) place(p place) string { return a.names()(p.bucket + "/" + p.key) }

// names says how names are written: on a terminal so that they do nothing to it, elsewhere as they are.
func (a *app) names() func(string) string {
	if isTerminal(a.out) {
		return word
	}
	return func(s string) string { return s }
}

// said writes a line that is of interest to people only.
func (a *app) said(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.text(), format+"\n", args...)
	}
}

// confirm asks on a terminal whether something that cannot be undone is meant; elsewhere only --yes means it.
func (a *app) confirm(ctx context.Context, format string, args ...any) error {
	if a.yes {
		return nil
	}
	question := fmt.Sprintf(format, args...)
	if !isTerminal(a.in) {
		return usagef("%s? There is no terminal to ask on: say --yes", question)
	}
	fmt.Fprintf(a.errs, "%s? [y/N] ", printable(question))
	in, done, err := input(ctx, a.in)
	if err != nil {
		return err
	}
	defer done()
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return errors.New("nothing was done")
	}
	return nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
