package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) bucketHomeCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "home BUCKET SEGMENT",
		Short: "Hand a bucket over to another segment, at its home",
		Long: `Hand a bucket over to another segment, at its home. The home alone changes a bucket's settings; under the policy "home" it makes all writes, too. The new home serves as soon as it knows, and has then all that the old one did.

With --force a segment makes itself the home without asking the old one: when that is lost, or was restored from a backup. What the old one
wrote and nobody else had seen, and what it still writes, is kept, but is older than all that is written at the new home: a loser where
both wrote.`,
		Example: `  edgefs bucket home photos tokyo
  edgefs bucket home photos hawaii --force    at hawaii, when tokyo is lost`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := admin.HomeMove{Segment: args[1], Force: force}
			return a.withBucket(func(client *admin.Client) (admin.Bucket, error) { return client.MoveHome(cmd.Context(), args[0], m) },
				func(b admin.Bucket) { a.said("the home of %s is %s%s", b.Name, homeText(b), pendingText(b)) })
		},
	}
	c.Flags().BoolVar(&force, "force", false, "make this segment the home without asking the old one")
	return c
}

// pendingText names the segments that may not know of the settings.
func pendingText(b admin.Bucket) string {
	if len(b.Pending) == 0 {
		return ""
	}
	return ", not known yet at " + strings.Join(b.Pending, ", ")
}
