package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) branchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "branch",
		Short: "Make buckets that begin as another one is: create, list and delete branches",
		Long: `Make buckets that begin as another one is. A branch costs what is written to it, whatever the size of its parent: it has all of the
parent's objects and versions, and shares them. It is a bucket like any other, at all linked segments, and neither sees what becomes of the
other. edgefs diff tells them apart.`,
		Example: `  edgefs branch create photos retouched
  edgefs branch create photos@monday monday
  edgefs diff photos retouched
  edgefs branch delete retouched`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.branchCreateCommand(), a.branchListCommand(), a.branchDeleteCommand())
	return c
}

func (a *app) branchCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "create BUCKET[@SNAPSHOT] NEW",
		Short:   "Make a bucket that begins as another one, or a snapshot of one, is",
		Example: "  edgefs branch create photos retouched",
		Args:    cobra.ExactArgs(2),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			b, err := client.CreateBranch(cmd.Context(), admin.NewBranch{From: args[0], Name: args[1]})
			if err != nil {
				return err
			}
			return a.show(b, func(w io.Writer) { fmt.Fprintf(w, "created %s, a branch of %s\n", b.Name, args[0]) })
		}),
	}
}

func (a *app) branchListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list [BUCKET]",
		Short:   "List the branches of a bucket, or all",
		Example: "  edgefs branch list photos",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.branchList(cmd.Context(), append(args, "")[0]) },
	}
}

func (a *app) branchList(ctx context.Context, of string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Branches(ctx, of)
	if err != nil {
		return err
	}
	return a.show(all, func(w io.Writer) {
		for _, b := range all {
			parent := b.Parent
			if parent == "" {
				parent = "a bucket that was deleted"
			}
			if b.Snapshot != "" {
				parent += "@" + b.Snapshot
			}
			fmt.Fprintf(w, "%s  %-32s  of %s, %s since, made at %s", stamp(b.Created), b.Name, parent, counted(int64(b.Writes), "write"), b.Segment)
			if !b.Ready {
				fmt.Fprint(w, ", on its way")
			}
			fmt.Fprintln(w)
		}
		if len(all) == 0 {
			fmt.Fprintln(w, "no branches")
		}
	})
}

func (a *app) branchDeleteCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "delete BRANCH",
		Short: "Delete a branch with all that it holds",
		Long: `Delete a branch with all that it holds, at all segments, in one step. What its parent holds stays. A branch with changes that were not
merged is kept, unless --force is given; so is one that another segment wrote to meanwhile, without knowledge of the deletion.`,
		Example: "  edgefs branch delete retouched --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			if err := a.confirm(cmd.Context(), "Delete the branch %s and all that it holds, at all segments", args[0]); err != nil {
				return err
			}
			if err := client.DeleteBranch(cmd.Context(), args[0], force); err != nil {
				return err
			}
			return a.show(map[string]string{"deleted": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "deleted %s\n", args[0]) })
		}),
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVarP(&force, "force", "f", false, "also with changes that were not merged")
	return c
}
