package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

// putOptions are the flags of put.
type putOptions struct {
	recursive   bool
	contentType string
	meta        map[string]string
	ifAbsent    bool
	ifMatch     string
}

func (a *app) putCommand() *cobra.Command {
	var o putOptions
	c := &cobra.Command{
		Use:   "put FILE... BUCKET/KEY",
		Short: "Store files",
		Long: `Store files. When put returns, what it stored is durable and listed.

A key that is empty or ends in a slash takes the file's name at its end. The file "-" is standard input.`,
		Example: `  edgefs put cat.jpg photos/2026/cat.jpg
  edgefs put *.jpg photos/2026/
  tar c src | edgefs put - backups/src.tar
  edgefs put --recursive ./site web/
  edgefs put --if-absent lock.json state/lock.json`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.put(cmd.Context(), args[:len(args)-1], args[len(args)-1], o)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "store directories, each file under its path in them")
	f.StringVar(&o.contentType, "content-type", "", "media type (default: by the file's name)")
	f.StringToStringVar(&o.meta, "meta", nil, "metadata of your own, as NAME=VALUE,...")
	f.BoolVar(&o.ifAbsent, "if-absent", false, "fail when the key has content already")
	f.StringVar(&o.ifMatch, "if-match", "", "fail unless the key's content has this ETag")
	return c
}

// upload is one file on its way.
type upload struct {
	file string // "-" for standard input
	to   place
	size int64 // -1: not known
}

func (a *app) put(ctx context.Context, files []string, target string, o putOptions) error {
	to, err := parsePlace(target)
	if err != nil {
		return err
	}
	uploads, err := plan(files, to, o.recursive)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	var total int64
	for _, u := range uploads {
		if u.size < 0 {
			total = -1
			break
		}
		total += u.size
	}
	bar := a.progress("put", total)
	defer bar.done()
	var stored []admin.Object
	for _, u := range uploads {
		bar.describe(path.Base(u.to.key))
		object, err := a.putOne(ctx, client, u, o, bar)
		if err != nil {
			return fmt.Errorf("put %s: %w", u.to, err)
		}
		stored = append(stored, object)
	}
	bar.done()
	return a.show(stored, func(w io.Writer) {
		for i, s := range stored {
			fmt.Fprintf(w, "%s/%s  %s\n", uploads[i].to.bucket, s.Key, humanize.IBytes(uint64(s.Size)))
		}
	})
}

func (a *app) putOne(ctx context.Context, client *admin.Client, u upload, o putOptions, bar progress) (admin.Object, error) {
	r := admin.PutRequest{Key: u.to.key, Meta: o.metadata(u.file), IfAbsent: o.ifAbsent, IfMatch: o.ifMatch}
	if u.file == "-" {
		return client.Put(ctx, u.to.bucket, r, bar.reader(a.in))
	}
	f, err := os.Open(u.file)
	if err != nil {
		return admin.Object{}, err
	}
	defer f.Close()
	r.Size = u.size
	return client.Put(ctx, u.to.bucket, r, bar.reader(f))
}

// metadata is what is stored beside a file's content.
func (o putOptions) metadata(file string) map[string]string {
	meta := map[string]string{}
	for k, v := range o.meta {
		meta["x-amz-meta-"+strings.ToLower(k)] = v
	}
	kind := o.contentType
	if kind == "" {
		kind = mime.TypeByExtension(filepath.Ext(file))
	}
	if kind != "" {
		meta["content-type"] = kind
	}
	return meta
}

// plan says what is stored where.
func plan(files []string, to place, recursive bool) ([]upload, error) {
	var all []upload
	folder := to.key == "" || strings.HasSuffix(to.key, "/")
	if len(files) > 1 && !folder {
		return nil, usagef("several files need a key that ends in a slash: %s/", to)
	}
	for _, file := range files {
		if file == "-" {
			if folder {
				return nil, usagef("standard input has no name: give the whole key, not %s", to)
			}
			all = append(all, upload{"-", to, -1})
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			key := to.key
			if folder {
				key += filepath.Base(file)
			}
			all = append(all, upload{file, place{to.bucket, key}, info.Size()})
			continue
		}
		if !recursive {
			return nil, usagef("%s is a directory: say --recursive to store all of it", file)
		}
		below, err := planDir(file, to)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// planDir plans all regular files below dir.
func planDir(dir string, to place) ([]upload, error) {
	prefix := to.key
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var all []upload
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		all = append(all, upload{file, place{to.bucket, prefix + filepath.ToSlash(rel)}, info.Size()})
		return nil
	})
	return all, err
}
