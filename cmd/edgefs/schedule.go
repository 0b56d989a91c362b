package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) snapshotScheduleCommand() *cobra.Command {
	var off bool
	c := &cobra.Command{
		Use:   "schedule BUCKET [EVERY:KEEP]...",
		Short: "Take snapshots of a bucket by themselves, or show the schedule",
		Long: `Take snapshots of a bucket by themselves, at its home: EVERY is a span as 15m, 1h, 1d or 1w, counted in UTC, and KEEP how many of these
are kept, the newest. They are called auto-EVERY-MOMENT. Other snapshots are never deleted by a schedule, nor are those that it took when it is
turned off. Of moments at which the segment did not run the last one alone is made up for.

Without rules the schedule is shown.`,
		Example: `  edgefs snapshot schedule photos 1h:24 1d:30
  edgefs snapshot schedule photos
  edgefs snapshot schedule photos --off`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) (err error) {
			rules := strings.Join(args[1:], ",")
			if off && rules != "" {
				return usagef("--off takes no rules")
			}
			var b admin.Bucket
			if off || rules != "" {
				b, err = client.SetBucket(cmd.Context(), args[0], admin.SettingsChange{Snapshots: &rules})
			} else {
				b, err = client.Bucket(cmd.Context(), args[0], false)
			}
			if err != nil {
				return err
			}
			shown := append([]admin.SnapshotRule{}, b.Settings.Snapshots...)
			return a.show(shown, func(w io.Writer) {
				if len(shown) == 0 {
					fmt.Fprintf(w, "%s: no snapshots by themselves\n", b.Name)
				}
				for _, r := range shown {
					fmt.Fprintf(w, "%s: every %s, the last %d kept\n", b.Name, r.Every, r.Keep)
				}
			})
		}),
	}
	c.Flags().BoolVar(&off, "off", false, "take no more")
	return c
}

// scheduleText is a schedule as it is given.
func scheduleText(rules []admin.SnapshotRule) string {
	var parts []string
	for _, r := range rules {
		parts = append(parts, fmt.Sprintf("%s:%d", r.Every, r.Keep))
	}
	return strings.Join(parts, ",")
}
