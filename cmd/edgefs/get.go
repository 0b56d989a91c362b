package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

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

Without FILE the local one takes the last part of the key; a FILE that is a directory is written into; "-" is standard output.

With --recursive nothing is ever written outside of the directory. A key that cannot be a path in it (a part that is empty, "." or "..",
longer than 255 bytes, or with control characters) is named and passed over, as is one that cannot be read or written; the exit status then
tells. An empty object whose key ends in a slash is a directory.`,
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
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			defer a.tellStates()
			for _, arg := range args {
				if err := a.cat(cmd.Context(), client, arg, o); err != nil {
					return fmt.Errorf("cat %s: %w", arg, err)
				}
			}
			return nil
		}),
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
	if info, err := os.Stat(to); err == nil && !info.Mode().IsRegular() {
		return failed(codeInvalid, "%s is a %s, which is not replaced: edgefs cat writes to standard output", word(to), kind(info.Mode()))
	}
	dir, err := os.OpenRoot(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	object, err := a.getOne(ctx, client, from, dir, filepath.Base(to), o)
	if err != nil {
		return fmt.Errorf("get %s: %w", from, err)
	}
	doc := a.document("read")
	return doc.end(doc.add(got{from.bucket, to, object}, fmt.Sprintf("%s  %s", a.names()(to), humanize.IBytes(uint64(object.Size)))),
		field{"failed", []undone{}})
}

// got is a file that was read, for JSON.
type got struct {
	Bucket string `json:"bucket"`
	File   string `json:"file"`
	admin.Object
}

// getOne reads content into a file of dir, which is there when all of it has arrived.
func (a *app) getOne(ctx context.Context, client *admin.Client, from place, dir *os.Root, to string, o getOptions) (object admin.Object, err error) {
	r := admin.GetRequest{Key: from.key, Version: o.version}
	if err := applyRange(&r, o.span); err != nil {
		return object, err
	}
	if _, err := dir.Lstat(to); err == nil && !o.force {
		e := failed(codeExists, "%s exists", word(filepath.Join(dir.Name(), to)))
		e.hint = "say --force to replace it"
		return object, e
	}
	object, content, err := client.Get(ctx, from.bucket, r)
	if err != nil {
		return object, err
	}
	defer content.Close()
	name := filepath.Join(filepath.Dir(to), ".edgefs-"+rand.Text())
	part, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return object, err
	}
	bar := a.progress(path.Base(from.key), object.Size)
	_, err = io.Copy(part, bar.reader(content))
	bar.done()
	err = errors.Join(err, part.Close())
	if err == nil {
		err = dir.Rename(name, to)
	}
	if err != nil {
		dir.Remove(name)
	}
	return object, err
}
