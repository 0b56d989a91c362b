package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Keep buckets as they are: create, list and delete snapshots",
		Long: `Keep buckets as they are. A snapshot costs what is written after it, whatever the size of the bucket, and is known at all linked
segments. It is read like a bucket, under the name BUCKET@NAME, by every command and by S3 (as BUCKET__NAME with clients that refuse an @),
and cannot be changed.`,
		Example: `  edgefs snapshot create photos@monday
  edgefs ls -r photos@monday
  edgefs diff photos@monday photos
  edgefs restore photos@monday/2026/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.snapshotCreateCommand(), a.snapshotListCommand(), a.snapshotScheduleCommand(), a.snapshotDeleteCommand())
	return c
}

// parseSnapshot reads BUCKET@NAME.
func parseSnapshot(s string) (bucket, name string, err error) {
	bucket, name, ok := strings.Cut(strings.TrimPrefix(s, "s3://"), "@")
	if !ok || bucket == "" || name == "" || strings.Contains(name, "/") {
		return "", "", usagef("%q names no snapshot: want BUCKET@NAME", s)
	}
	return bucket, name, nil
}

func (a *app) snapshotCreateCommand() *cobra.Command {
	var keepFor string
	c := &cobra.Command{
		Use:   "create BUCKET@NAME",
		Short: "Keep a bucket as it is now",
		Example: `  edgefs snapshot create photos@monday
  edgefs snapshot create photos@before-the-import --keep-for 2w`,
		Args: cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			bucket, name, err := parseSnapshot(args[0])
			if err != nil {
				return err
			}
			s, err := client.CreateSnapshot(cmd.Context(), bucket, admin.NewSnapshot{Name: name, KeepFor: keepFor})
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) {
				fmt.Fprintf(w, "created %s@%s: %s, %s\n", bucket, s.Name, counted(s.Objects, "object"), bytesText(s.Bytes))
			})
		}),
	}
	c.Flags().StringVar(&keepFor, "keep-for", "", "delete it after so long, as 12h, 7d or 2w")
	return c
}

// listedSnapshot is a snapshot and where it is, for JSON.
type listedSnapshot struct {
	Bucket string `json:"bucket"`
	admin.Snapshot
}

func (a *app) snapshotListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list [BUCKET]",
		Short:   "List the snapshots of a bucket, or of all",
		Example: "  edgefs snapshot list photos",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.snapshotList(cmd.Context(), args) },
	}
}

func (a *app) snapshotList(ctx context.Context, names []string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if names, err = bucketsNamed(ctx, client, names); err != nil {
		return err
	}
	all := []listedSnapshot{}
	for _, name := range names {
		if strings.Contains(name, "@") {
			return usagef("%s is a snapshot: name its bucket", name)
		}
		found, err := client.Snapshots(ctx, name)
		if err != nil {
			return err
		}
		for _, s := range found {
			all = append(all, listedSnapshot{name, s})
		}
	}
	return a.show(all, func(w io.Writer) {
		for _, s := range all {
			fmt.Fprintf(w, "%s  %-32s  %s, %s, made at %s", stamp(s.Created), s.Bucket+"@"+s.Name, counted(s.Objects, "object"), bytesText(s.Bytes), s.Segment)
			if !s.Complete {
				fmt.Fprint(w, ", on its way")
			}
			if late := s.Created.Sub(s.Due).Round(time.Second); !s.Due.IsZero() && late > 0 {
				fmt.Fprintf(w, ", %v after the moment it is called by", late)
			}
			if !s.Until.IsZero() {
				fmt.Fprintf(w, ", kept until %s", stamp(s.Until))
			}
			fmt.Fprintln(w)
		}
		if len(all) == 0 {
			fmt.Fprintln(w, "no snapshots")
		}
	})
}

func (a *app) snapshotDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "delete BUCKET@NAME",
		Short:   "Forget a snapshot, at all segments",
		Example: "  edgefs snapshot delete photos@monday --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			bucket, name, err := parseSnapshot(args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(cmd.Context(), "Delete the snapshot %s at all segments", args[0]); err != nil {
				return err
			}
			if err := client.DeleteSnapshot(cmd.Context(), bucket, name); err != nil {
				return err
			}
			return a.show(map[string]string{"deleted": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "deleted %s\n", args[0]) })
		}),
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) diffCommand() *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "List what differs between two states of a bucket",
		Long: `List the keys whose content or attributes differ between two states of one bucket, each BUCKET as it is now or BUCKET@SNAPSHOT:
+ is in the second only, - in the first only, ~ in both and not alike. It costs what differs, not what the bucket holds.`,
		Example: `  edgefs diff photos@monday photos
  edgefs diff photos@monday photos@tuesday --prefix 2026/ --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), args[0], args[1], prefix) },
	}
	c.Flags().StringVar(&prefix, "prefix", "", "only keys that begin with this")
	return c
}

func (a *app) diff(ctx context.Context, from, to, prefix string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all := a.document("differences")
	err = client.Diff(ctx, from, to, prefix, func(d admin.Difference) error {
		sign := "~"
		switch {
		case d.From == nil:
			sign = "+"
		case d.To == nil:
			sign = "-"
		}
		return all.add(d, sign+" "+a.names()(d.Key))
	})
	return all.end(err)
}
