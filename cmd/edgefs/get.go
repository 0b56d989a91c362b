package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

// getOptions are the flags of get and cat.
type getOptions struct {
	version   string
	span      string
	recursive bool
	force     bool
}

func (o *getOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.version, "version", "", "read this version, not the current one (ls --versions and conflicts name them)")
	c.Flags().StringVar(&o.span, "range", "", "read some bytes only: FIRST-LAST, FIRST- or -LAST, counted from 0")
}

func (a *app) getCommand() *cobra.Command {
	var o getOptions
	c := &cobra.Command{
		Use:   "get BUCKET/KEY [FILE]",
		Short: "Read a file into a local one",
		Long: `Read a file into a local one. The local file appears when all of it has arrived and been verified, or not at all.

Without FILE the local one takes the last part of the key; a FILE that is a directory is written into; "-" is standard output.`,
		Example: `  edgefs get photos/2026/cat.jpg
  edgefs get photos/2026/cat.jpg /tmp/
  edgefs get --version null photos/2026/cat.jpg old.jpg
  edgefs get --recursive photos/2026/ ./2026`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) == 2 {
				to = args[1]
			}
			if o.recursive {
				return a.getAll(cmd.Context(), args[0], to, o)
			}
			return a.get(cmd.Context(), args[0], to, o)
		},
	}
	o.flags(c)
	c.Flags().BoolVarP(&o.recursive, "recursive", "r", false, "read everything below a prefix into a directory")
	c.Flags().BoolVarP(&o.force, "force", "f", false, "replace a local file that exists")
	return c
}

func (a *app) catCommand() *cobra.Command {
	var o getOptions
	c := &cobra.Command{
		Use:   "cat BUCKET/KEY...",
		Short: "Write files to standard output",
		Example: `  edgefs cat logs/today.txt | tail
  edgefs cat --range 0-511 images/disk.img | xxd`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			for _, arg := range args {
				if err := a.cat(cmd.Context(), client, arg, o); err != nil {
					return fmt.Errorf("cat %s: %w", arg, err)
				}
			}
			return nil
		},
	}
	o.flags(c)
	return c
}

func (a *app) cat(ctx context.Context, client *admin.Client, arg string, o getOptions) error {
	from, err := parseKey(arg)
	if err != nil {
		return err
	}
	r := admin.GetRequest{Key: from.key, Version: o.version}
	if err := applyRange(&r, o.span); err != nil {
		return err
	}
	_, content, err := client.Get(ctx, from.bucket, r)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(a.out, content)
	return err
}

func (a *app) get(ctx context.Context, arg, to string, o getOptions) error {
	from, err := parseKey(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if to == "-" {
		return a.cat(ctx, client, arg, o)
	}
	if info, err := os.Stat(to); to == "" || err == nil && info.IsDir() {
		to = filepath.Join(to, path.Base(from.key))
	}
	object, err := a.getOne(ctx, client, from, to, o)
	if err != nil {
		return fmt.Errorf("get %s: %w", from, err)
	}
	return a.show(object, func(w io.Writer) { fmt.Fprintf(w, "%s  %s\n", to, humanize.IBytes(uint64(object.Size))) })
}

// getAll reads everything below a prefix.
func (a *app) getAll(ctx context.Context, arg, to string, o getOptions) error {
	if o.version != "" || o.span != "" || to == "-" {
		return usagef("--recursive reads current files, whole, into a directory")
	}
	from, err := parsePlace(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	base := from.key[:strings.LastIndexByte(from.key, '/')+1]
	var all []admin.Object
	err = eachObject(ctx, client, from, false, func(object admin.Object) error {
		name := filepath.FromSlash(strings.TrimPrefix(object.Key, base))
		if strings.HasSuffix(object.Key, "/") {
			return nil // a directory that an S3 client drew; it comes with its files
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the key %q is no path below a directory: get it alone", object.Key)
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		got, err := a.getOne(ctx, client, place{from.bucket, object.Key}, file, o)
		if err != nil {
			return fmt.Errorf("get %s/%s: %w", from.bucket, object.Key, err)
		}
		all = append(all, got)
		return nil
	})
	if err != nil {
		return err
	}
	return a.show(all, func(w io.Writer) { fmt.Fprintf(w, "%s\n", counted(int64(len(all)), "file")) })
}

// getOne reads content into a file, which is there when all of it has arrived.
func (a *app) getOne(ctx context.Context, client *admin.Client, from place, to string, o getOptions) (object admin.Object, err error) {
	r := admin.GetRequest{Key: from.key, Version: o.version}
	if err := applyRange(&r, o.span); err != nil {
		return object, err
	}
	if _, err := os.Lstat(to); err == nil && !o.force {
		return object, fmt.Errorf("%s exists: say --force to replace it", to)
	}
	object, content, err := client.Get(ctx, from.bucket, r)
	if err != nil {
		return object, err
	}
	defer content.Close()
	part, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".part-*")
	if err != nil {
		return object, err
	}
	bar := a.progress(path.Base(from.key), object.Size)
	_, err = io.Copy(part, bar.reader(content))
	bar.done()
	err = errors.Join(err, part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), to)
	}
	if err != nil {
		os.Remove(part.Name())
	}
	return object, err
}
