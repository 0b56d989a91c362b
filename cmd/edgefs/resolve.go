package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

// The words that name the version that reads answer.
func keepsCurrent(keep string) bool { return keep == "current" || keep == "newest" }

func (a *app) resolveCommand() *cobra.Command {
	var keep string
	var all bool
	c := &cobra.Command{
		Use:   "resolve BUCKET/KEY --keep VERSION",
		Short: "Settle a conflict in favour of one version",
		Long: `Settle a conflict in favour of one of the versions that edgefs conflicts shows: it becomes the current one, and the others are replaced
by it. In a bucket with versioning they stay in its history, without it they are gone. Nothing is done when another version has come since
they were looked at; one that comes from elsewhere later, written without knowledge of this, is a conflict again.

With --all every conflict below BUCKET/PREFIX, or of the bucket, is settled in favour of the version that reads answer now.`,
		Example: `  edgefs conflicts show photos/cat.jpg
  edgefs conflicts resolve photos/cat.jpg --keep newest
  edgefs conflicts resolve photos/cat.jpg --keep VERSION --yes
  edgefs conflicts resolve photos/2026/ --all --keep newest`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return a.resolveAll(cmd.Context(), args[0], keep)
			}
			p, err := parseKey(args[0])
			if err != nil {
				return err
			}
			if keep == "" {
				return usagef("which version? Say --keep current or --keep VERSION, as edgefs conflicts shows it")
			}
			return a.resolve(cmd.Context(), p, keep)
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "the version to keep; \"current\" or \"newest\" is the one that reads answer")
	c.Flags().BoolVar(&all, "all", false, "settle all conflicts below a prefix, or of a bucket")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) resolve(ctx context.Context, p place, keep string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := conflictOf(ctx, client, p)
	if err != nil {
		return err
	}
	r := resolutionOf(found, keep)
	if err := a.confirm(ctx, "Keep version %s of %s, and replace the other %d", r.Keep, a.place(p), len(found.Losers)); err != nil {
		return err
	}
	o, err := client.Resolve(ctx, p.bucket, r)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", p, err)
	}
	return a.show(o, func(w io.Writer) { fmt.Fprintf(w, "%s is version %s now\n", a.place(p), o.Version) })
}

// resolutionOf keeps one version of a conflict as it was looked at.
func resolutionOf(c admin.Conflict, keep string) admin.Resolution {
	if keepsCurrent(keep) {
		keep = c.Current.Version
	}
	r := admin.Resolution{Key: c.Key, Keep: keep, Open: []string{c.Current.Version}}
	for _, l := range c.Losers {
		r.Open = append(r.Open, l.Version)
	}
	return r
}

// conflictOf finds the conflict of one key.
func conflictOf(ctx context.Context, client *admin.Client, p place) (admin.Conflict, error) {
	c, err := client.Conflict(ctx, p.bucket, p.key)
	if errors.Is(err, &admin.Error{Code: admin.NoSuchKey}) {
		return c, failed(codeNotFound, "%s is not in conflict", p)
	}
	if err != nil {
		return c, fmt.Errorf("conflict of %s: %w", p, err)
	}
	return c, nil
}

// resolvedKey is one conflict that was settled, for JSON.
type resolvedKey struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
}

// resolveAll settles many conflicts, each as it was looked at: where another version came since, the key stays as it is and is told.
func (a *app) resolveAll(ctx context.Context, arg, keep string) error {
	p, err := parsePlace(arg)
	if err != nil {
		return err
	}
	if !keepsCurrent(keep) {
		return usagef("--all keeps the version that reads answer: say --keep newest")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	first, err := client.Conflicts(ctx, p.bucket, p.key, "")
	if err != nil {
		return fmt.Errorf("conflicts of %s: %w", p.bucket, err)
	}
	if len(first.Conflicts) > 0 {
		if err := a.confirm(ctx, "Keep the newest version of every file in conflict below %s, and replace the others", a.place(p)); err != nil {
			return err
		}
	}
	doc, bad, n := a.document("resolved"), a.failures(), 0
	_, err = eachConflict(ctx, client, p, func(c inConflict) error {
		o, err := client.Resolve(ctx, p.bucket, resolutionOf(c.Conflict, keep))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			bad.add(undone{Bucket: p.bucket, Key: c.Key}, fmt.Errorf("resolve %s/%s: %w", p.bucket, c.Key, err))
			return nil
		}
		n++
		return doc.add(resolvedKey{p.bucket, c.Key, o.Version}, "")
	})
	if err == nil {
		a.said("%s settled", counted(int64(n), "conflict"))
		err = bad.err("%s could not be settled", counted(int64(bad.n), "conflict"))
	}
	return doc.end(err, field{"failed", bad.list})
}
