package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) mergeCommand() *cobra.Command {
	var dry, ours, theirs, fail, redo bool
	c := &cobra.Command{
		Use:   "merge BRANCH INTO",
		Short: "Bring what a branch has changed into its parent, or the other way",
		Long: `Bring what a branch has changed into its parent, or what the parent has changed into a branch: the keys that were changed since the two
last knew the same, at the cost of these. No content moves. What only one side has changed is taken; what both have changed alike is left.

A key that both have changed is a conflict: both are kept, what is merged is read, and edgefs conflicts shows the other; a change wins over a
deletion. --ours leaves such keys as INTO has them, --theirs as BRANCH has them, --fail merges nothing at all if there is one.

The next merge takes only what is new. One that was interrupted can be done again. Where the last one was made at a segment that is lost, before all that
it did came here, --redo begins from the one before.`,
		Example: `  edgefs merge retouched photos --dry-run
  edgefs merge retouched photos
  edgefs merge photos retouched --fail`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := admin.Merge{From: args[0], DryRun: dry, Redo: redo}
			for policy, chosen := range map[string]bool{"ours": ours, "theirs": theirs, "fail": fail} {
				if chosen && m.Policy != "" {
					return usagef("--ours, --theirs and --fail: one of them")
				}
				if chosen {
					m.Policy = policy
				}
			}
			return a.merge(cmd.Context(), m, args[1])
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "write nothing: list what would be done")
	c.Flags().BoolVar(&ours, "ours", false, "of what both have changed, keep what INTO has")
	c.Flags().BoolVar(&theirs, "theirs", false, "of what both have changed, take what BRANCH has")
	c.Flags().BoolVar(&redo, "redo", false, "pass over a merge of which not all is here: the segment that made it is lost")
	c.Flags().BoolVar(&fail, "fail", false, "merge nothing if both have changed a key")
	return c
}

func (a *app) merge(ctx context.Context, m admin.Merge, into string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	keys, shown := a.document("keys"), false
	done, err := client.Merge(ctx, into, m, func(e admin.MergeEvent) error {
		if m.DryRun || e.Action == "conflict" {
			return keys.add(map[string]string{"key": e.Key, "action": e.Action}, mergeSign(e.Action)+" "+a.names()(e.Key))
		}
		if !a.json && isTerminal(a.errs) {
			fmt.Fprintf(a.errs, "\r%s done\x1b[K", counted(e.Put+e.Deleted+e.Conflicts, "key"))
			shown = true
		}
		return nil
	})
	if shown {
		fmt.Fprint(a.errs, "\r\x1b[K")
	}
	if !a.json && err == nil {
		writeMerged(a.text(), done, m)
	}
	return keys.end(err, field{"put", done.Put}, field{"deleted", done.Deleted}, field{"conflicts", done.Conflicts}, field{"same", done.Same})
}

func mergeSign(action string) string {
	switch action {
	case "put":
		return "+"
	case "delete":
		return "-"
	}
	return "!"
}

func writeMerged(w io.Writer, done admin.MergeEvent, m admin.Merge) {
	verb := ""
	if m.DryRun {
		verb = "would be "
	}
	fmt.Fprintf(w, "%s %sput, %d deleted", counted(done.Put, "key"), verb, done.Deleted)
	if done.Conflicts > 0 {
		fmt.Fprintf(w, ", %d changed on both sides", done.Conflicts)
	}
	fmt.Fprintln(w)
}
