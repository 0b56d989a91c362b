package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) removeCommand() *cobra.Command {
	var version string
	var recursive, versions bool
	c := &cobra.Command{
		Use:   "rm BUCKET/KEY...",
		Short: "Delete files",
		Long: `Delete files. In a bucket with versioning a delete leaves a marker, and the versions below it can still be read by their ids;
with --version one version, or one marker, goes for ever.`,
		Example: `  edgefs rm photos/2026/cat.jpg
  edgefs rm --version null photos/2026/cat.jpg
  edgefs rm --recursive photos/2025/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if versions && !recursive || version != "" && recursive {
				return usagef("--all-versions goes with --recursive, --version does not")
			}
			if recursive {
				return a.removeAll(cmd.Context(), args, versions)
			}
			return a.remove(cmd.Context(), args, version)
		},
	}
	f := c.Flags()
	f.StringVar(&version, "version", "", "remove this version for ever")
	f.BoolVarP(&recursive, "recursive", "r", false, "delete everything below the prefixes; asks first")
	f.BoolVar(&versions, "all-versions", false, "with --recursive: remove every version for ever")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

// removed is what rm did, for JSON.
type removed struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	admin.Deleted
}

func (a *app) remove(ctx context.Context, args []string, version string) error {
	var places []place
	for _, arg := range args {
		p, err := parseKey(arg)
		if err != nil {
			return err
		}
		places = append(places, p)
	}
	if version != "" {
		if err := a.confirm("Remove version %s of %s for ever", version, places[0]); err != nil {
			return err
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	var all []removed
	for _, p := range places {
		d, err := client.Delete(ctx, p.bucket, p.key, version)
		if err != nil {
			return fmt.Errorf("rm %s: %w", p, err)
		}
		all = append(all, removed{p.bucket, p.key, d})
	}
	return a.show(all, func(w io.Writer) {
		for _, p := range places {
			fmt.Fprintf(w, "deleted %s\n", p)
		}
	})
}

func (a *app) removeAll(ctx context.Context, args []string, versions bool) error {
	var total int64
	for _, arg := range args {
		p, err := parsePlace(arg)
		if err != nil {
			return err
		}
		what := "Delete everything below %s"
		if versions {
			what = "Remove every version below %s for ever"
		}
		if err := a.confirm(what, p); err != nil {
			return err
		}
		n, err := a.removeBelow(ctx, p, versions)
		if total += n; err != nil {
			return fmt.Errorf("rm %s, after %s: %w", p, counted(total, "deletion"), err)
		}
	}
	return a.show(map[string]int64{"deleted": total}, func(w io.Writer) { fmt.Fprintf(w, "%s\n", counted(total, "deletion")) })
}

func (a *app) removeBelow(ctx context.Context, p place, versions bool) (n int64, err error) {
	client, err := a.client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	err = eachObject(ctx, client, p, versions, func(o admin.Object) error {
		version := ""
		if versions {
			version = o.Version
		}
		if _, err := client.Delete(ctx, p.bucket, o.Key, version); err != nil {
			return fmt.Errorf("%s: %w", o.Key, err)
		}
		n++
		return nil
	})
	return n, err
}
