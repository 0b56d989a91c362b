package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) tagCommand() *cobra.Command {
	var version string
	var clear bool
	c := &cobra.Command{
		Use:   "tag BUCKET/KEY NAME=VALUE...",
		Short: "Replace the tags of a file",
		Long: `Replace the tags of a file. The file stays what it is: its version, its time and its ETag are the same, and no conflict comes of it. Of changes that
are made at two segments at once the later counts, everywhere. "edgefs stat" shows the tags.`,
		Example: `  edgefs tag photos/2026/cat.jpg animal=cat colour=black
  edgefs tag --clear photos/2026/cat.jpg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if clear == (len(args) > 1) {
				return usagef("name the tags as NAME=VALUE, or say --clear")
			}
			tags, err := parseTags(args[1:])
			if err != nil {
				return err
			}
			return a.amend(args[0], "tag", func(client *admin.Client, p place) (admin.Object, error) {
				return client.SetTags(cmd.Context(), p.bucket, p.key, version, admin.TagsChange{Tags: tags})
			})
		},
	}
	c.Flags().StringVar(&version, "version", "", "of this version, not of the current one")
	c.Flags().BoolVar(&clear, "clear", false, "take all tags away")
	return c
}

func parseTags(args []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		_, twice := tags[name]
		if !ok || name == "" || twice {
			return nil, usagef("tag %q: want NAME=VALUE, each name once", arg)
		}
		tags[name] = value
	}
	return tags, nil
}

// lockOptions are the flags of lock.
type lockOptions struct {
	version, mode, until string
	hold, bypass         bool
}

func (a *app) lockCommand() *cobra.Command {
	var o lockOptions
	c := &cobra.Command{
		Use:   "lock BUCKET/KEY",
		Short: "Keep a version of a file from being removed",
		Long: `Keep a version of a file from being removed: until a moment (a retention), or until somebody says otherwise (a legal hold). Files can still be written
and deleted: the version stays below. The bucket must allow locks, and then keeps versions for ever: "edgefs bucket set BUCKET --versioning enabled --locks".

A retention of mode governance can be shortened by who says --bypass-governance, one of mode compliance by nobody. Whether it is over is judged by the clock of the
segment that is asked. A version that is locked at one segment while it is removed at another stays. "edgefs stat" shows the lock.`,
		Example: `  edgefs lock ledger/2026.csv --mode compliance --until 2033-12-31T00:00:00Z
  edgefs lock ledger/2026.csv --mode governance --until 720h
  edgefs lock ledger/2026.csv --mode none --bypass-governance
  edgefs lock ledger/2026.csv --legal-hold
  edgefs lock ledger/2026.csv --legal-hold=false`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.lock(cmd, args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.version, "version", "", "this version, not the current one")
	f.StringVar(&o.mode, "mode", "", "governance, compliance, or none to end a retention")
	f.StringVar(&o.until, "until", "", "end of the retention: a time as 2033-12-31T00:00:00Z, or how long from now, as 720h")
	f.BoolVar(&o.hold, "legal-hold", false, "begin a legal hold; =false ends it")
	f.BoolVar(&o.bypass, "bypass-governance", false, "shorten a retention of mode governance")
	return c
}

func (a *app) lock(cmd *cobra.Command, arg string, o lockOptions) error {
	change := admin.LockChange{Bypass: o.bypass}
	if cmd.Flags().Changed("legal-hold") {
		change.LegalHold = &o.hold
	}
	switch {
	case o.mode == "" && o.until != "", o.mode != "" && (o.mode == "none") != (o.until == ""):
		return usagef("a retention has a --mode and an --until; none has no --until")
	case o.mode == "" && change.LegalHold == nil:
		return usagef("nothing to change: say --mode or --legal-hold")
	case o.mode != "":
		change.Mode = &o.mode
	}
	if o.until != "" {
		var err error
		if change.Until, err = parseUntil(o.until, time.Now()); err != nil {
			return err
		}
	}
	return a.amend(arg, "lock", func(client *admin.Client, p place) (admin.Object, error) {
		return client.Lock(cmd.Context(), p.bucket, p.key, o.version, change)
	})
}

func parseUntil(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--until %q: want a time as 2033-12-31T00:00:00Z, or how long from now, as 720h", s)
	}
	return t, nil
}

// amend changes something of a version, and tells what it is then.
func (a *app) amend(arg, verb string, do func(*admin.Client, place) (admin.Object, error)) error {
	p, err := parseKey(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	o, err := do(client, p)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, p, err)
	}
	if a.json {
		return a.show(o, nil)
	}
	if verb == "lock" {
		a.said("%s: %s", a.place(p), lockText(o.Lock))
	} else {
		a.said("%s has %s", a.place(p), counted(int64(len(o.Tags)), "tag"))
	}
	return nil
}

// lockText says what keeps a version.
func lockText(l *admin.Lock) string {
	if l == nil {
		return "not locked"
	}
	var parts []string
	if l.Mode != "" {
		parts = append(parts, fmt.Sprintf("%s until %s", l.Mode, stamp(l.Until)))
	}
	if l.LegalHold {
		parts = append(parts, "legal hold")
	}
	return strings.Join(parts, ", ")
}
