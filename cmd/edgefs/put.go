package main

import (
	"context"
	"errors"
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
	resolve     bool
}

func (a *app) putCommand() *cobra.Command {
	var o putOptions
	c := &cobra.Command{
		Use:   "put FILE... BUCKET/KEY",
		Short: "Store files",
		Long: `Store files. When put returns, what it stored is durable and listed.

A key that is empty or ends in a slash takes the file's name at its end. The file "-" is standard input; a FIFO or a device that is named is
read to its end.

With --recursive the regular files below a folder are stored. Symbolic links in it are not followed, and they, FIFOs, sockets, devices and
empty folders are passed over, and named. One file that cannot be stored does not stop the others.`,
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
	f.BoolVar(&o.resolve, "resolve", false, "settle the key's conflict: take the place of all versions that are in it")
	return c
}

// upload is one file on its way.
type upload struct {
	file string // "-" for standard input
	to   place
	size int64 // -1: not known
}

// stored is a file that was put, for JSON.
type stored struct {
	Bucket string `json:"bucket"`
	File   string `json:"file"`
	admin.Object
}

func (a *app) put(ctx context.Context, files []string, target string, o putOptions) error {
	to, err := parsePlace(target)
	if err != nil {
		return err
	}
	found := &folder{passed: []passed{}, failed: a.failures()}
	uploads, err := plan(files, to, o.recursive, found)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := apart(uploads); err != nil {
		return err
	}
	unread := found.failed.n // of folders
	doc := a.document("stored")
	err = a.putAll(ctx, client, uploads, o, doc, found.failed)
	if err == nil {
		err = found.failed.err("%d of %s could not be stored", found.failed.n, counted(int64(len(uploads)+unread), "file"))
	}
	a.tellPassed(found)
	return doc.end(err, field{"skipped", found.passed}, field{"failed", found.failed.list})
}

// putAll stores one after the other. It goes on after a file that cannot be stored, unless the next one cannot be either.
func (a *app) putAll(ctx context.Context, client *admin.Client, uploads []upload, o putOptions, doc *document, failed *failures) error {
	bar := a.progress("put", totalSize(uploads))
	defer bar.done()
	for _, u := range uploads {
		bar.describe(path.Base(u.to.key))
		object, err := a.putOne(ctx, client, u, o, bar)
		if err == nil {
			bar.clear()
			err = doc.add(stored{u.to.bucket, u.file, object}, fmt.Sprintf("%s  %s", a.place(u.to), humanize.IBytes(uint64(object.Size))))
			if err != nil {
				return err
			}
			continue
		}
		err = fmt.Errorf("put %s: %w", u.to, err)
		if len(uploads) == 1 || ends(err) || errors.Is(err, &admin.Error{Code: admin.NoSuchBucket}) {
			return err
		}
		bar.clear()
		failed.add(undone{u.to.bucket, u.to.key, u.file, failure{}}, err)
	}
	return nil
}

func totalSize(uploads []upload) (total int64) {
	for _, u := range uploads {
		if u.size < 0 {
			return -1
		}
		total += u.size
	}
	return total
}

func (a *app) putOne(ctx context.Context, client *admin.Client, u upload, o putOptions, bar progress) (admin.Object, error) {
	r := admin.PutRequest{Key: u.to.key, Meta: o.metadata(u.file), IfAbsent: o.ifAbsent, IfMatch: o.ifMatch, Resolve: o.resolve}
	from, size := a.in, int64(0)
	if u.file != "-" {
		f, err := open(u.file)
		if err != nil {
			return admin.Object{}, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return admin.Object{}, err
		}
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		from = f
	}
	in, done, err := input(ctx, from)
	if err != nil {
		return admin.Object{}, err
	}
	defer done()
	if size > 0 { // files of /proc have 0, whatever is in them
		r.Size = size
		in = &exactReader{r: in, name: u.file, rest: size}
	}
	return client.Put(ctx, u.to.bucket, r, bar.reader(in))
}

// exactReader reads the bytes that a file had when it was opened: not those that are added to a log meanwhile, and not fewer.
type exactReader struct {
	r    io.Reader
	name string
	rest int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.rest == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.rest)])
	e.rest -= int64(n)
	if err == io.EOF && e.rest > 0 {
		err = fmt.Errorf("%s became shorter while it was read", word(e.name))
	}
	return n, err
}

// told is how many of the entries that put passed over it names to people.
const told = 20

func (a *app) tellPassed(f *folder) {
	if a.json || f.others == 0 {
		return
	}
	things := "entry that is no file"
	if f.others != 1 {
		things = "entries that are no files"
	}
	fmt.Fprintf(a.errs, "edgefs: passed over %d %s:\n", f.others, things)
	for i, p := range f.passed {
		if i == told {
			fmt.Fprintf(a.errs, "  and %d more\n", f.others-told)
			break
		}
		fmt.Fprintf(a.errs, "  %s: %s\n", word(p.File), p.Why)
	}
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
func plan(files []string, to place, recursive bool, found *folder) ([]upload, error) {
	var all []upload
	into := to.key == "" || strings.HasSuffix(to.key, "/")
	if len(files) > 1 && !into {
		return nil, usagef("several files need a key that ends in a slash: %s/", to)
	}
	for _, file := range files {
		if file == "-" {
			if into {
				return nil, usagef("standard input has no name: give the whole key, not %s", to)
			}
			all = append(all, upload{"-", to, -1})
			continue
		}
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir() && !recursive:
			return nil, usagef("%s is a directory: say --recursive to store all of it", word(file))
		case info.IsDir():
			all = append(all, planDir(file, to, found)...)
			continue
		case info.Mode()&fs.ModeSocket != 0:
			return nil, usagef("%s is a socket, which cannot be read", word(file))
		}
		key, size := to.key, int64(-1)
		if into {
			key += filepath.Base(file)
		}
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		all = append(all, upload{file, place{to.bucket, key}, size})
	}
	return all, nil
}

// apart refuses files of which one would replace another.
func apart(uploads []upload) error {
	at := make(map[string]string, len(uploads))
	for _, u := range uploads {
		if other, taken := at[u.to.key]; taken {
			return usagef("%s and %s would both be stored as %s", word(other), word(u.file), u.to)
		}
		at[u.to.key] = u.file
	}
	return nil
}

// planDir plans all regular files below dir.
func planDir(dir string, to place, found *folder) (all []upload) {
	prefix := to.key
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	found.walk(dir, "", func(name, rel string, size int64) {
		all = append(all, upload{name, place{to.bucket, prefix + rel}, size})
	})
	return all
}
