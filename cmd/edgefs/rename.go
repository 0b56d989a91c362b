package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) renameCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "mv BUCKET/KEY BUCKET/KEY",
		Short: "Give a file, or all below a prefix, another name",
		Long: `Give a file another name within its bucket or, where the first name ends in a slash, all files below it: at once for everybody who reads, and without copying
or sending their content. A file whose new name ends in a slash keeps the last part of its name below that.

What is at the new name is not written over, unless --force is given; of a directory, --force writes over the files that are there under the same
names, and leaves the others. However many files there are, they move at once; of more than some 130,000 the bucket's writers wait meanwhile, its readers do not.
In a bucket with versioning the old versions stay under the old name, and so do locks: what has the new name is not locked.`,
		Example: `  edgefs mv photos/cat.jpg photos/pets/felix.jpg
  edgefs mv photos/2026/ photos/archive/2026/`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.rename(cmd.Context(), args[0], args[1], force) },
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "write over what is at the new name")
	return c
}

// renameDoc is what mv did, for JSON.
type renameDoc struct {
	Bucket string `json:"bucket"`
	admin.Renamed
}

func (a *app) rename(ctx context.Context, from, to string, force bool) error {
	src, err := parseKey(from)
	if err != nil {
		return err
	}
	dst, err := parsePlace(to)
	if err != nil {
		return err
	}
	below := dst.key == "" || strings.HasSuffix(dst.key, "/")
	switch directory := strings.HasSuffix(src.key, "/"); {
	case src.bucket != dst.bucket:
		return usagef("%s and %s are in two buckets: mv gives names within one", src, dst)
	case directory && (!below || dst.key == ""):
		if dst.key == "" {
			return usagef("%s is a directory: its new name ends in a slash too, as in %s/NAME/", src, dst.bucket)
		}
		return usagef("%s is a directory: its new name ends in a slash too, as in %s/", src, dst)
	case !directory && below:
		dst.key += path.Base(src.key)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	done, err := client.Rename(ctx, src.bucket, admin.Rename{From: src.key, To: dst.key, Replace: force})
	if err != nil {
		return fmt.Errorf("mv %s: %w", src, err)
	}
	return a.show(renameDoc{src.bucket, done}, func(w io.Writer) {
		name := a.names()
		if strings.HasSuffix(src.key, "/") {
			fmt.Fprintf(w, "%s: %s moved below %s\n", name(src.bucket), counted(done.Keys, "file"), name(dst.key))
			return
		}
		fmt.Fprintf(w, "%s: %s is now %s\n", name(src.bucket), name(src.key), name(dst.key))
	})
}
