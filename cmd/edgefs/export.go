package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment/stream"
)

// exportOptions are the flags of export.
type exportOptions struct {
	current bool
	force   bool
}

func (a *app) exportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export BUCKET[@NAME] [FILE]",
		Short: "Write a bucket, or a snapshot of it, as one stream",
		Long: `Write a bucket, a snapshot of it (BUCKET@NAME), or what it was at a time (BUCKET@2h), as one stream: all versions with their metadata, tags,
locks and times, the bucket's settings, and each chunk of content once, however many versions share it. edgefs import makes a bucket of it
again, here or anywhere else. Writing to the bucket goes on meanwhile; the stream is of one moment. The same state gives the same bytes.

Without FILE, or with "-", the stream goes to standard output. The file appears when all of it was written, or not at all.`,
		Example: `  edgefs export photos photos.edgefs
  edgefs export photos@monday | zstd > monday.edgefs.zst
  edgefs export photos | ssh other edgefs import - photos
  edgefs export --current photos current.edgefs`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.export(cmd.Context(), args[0], strings.Join(args[1:], ""), o)
		},
	}
	c.Flags().BoolVar(&o.current, "current", false, "only the current version of each file, no history")
	c.Flags().BoolVarP(&o.force, "force", "f", false, "replace a local file that exists")
	return c
}

// exported is a stream that was written, for JSON.
type exported struct {
	Bucket   string `json:"bucket"`
	File     string `json:"file"`
	Size     int64  `json:"size"` // of the stream
	Versions uint64 `json:"versions"`
	Logical  int64  `json:"logical"` // bytes of the versions
	Chunks   uint64 `json:"chunks"`
	Bytes    int64  `json:"bytes"` // of the chunks
	Hash     string `json:"hash"`  // of the stream

	AsOf []admin.AsOf `json:"asOf,omitempty"`
}

func (a *app) export(ctx context.Context, bucket, file string, o exportOptions) error {
	bucket = strings.TrimSuffix(strings.TrimPrefix(bucket, "s3://"), "/")
	if bucket == "" || strings.Contains(bucket, "/") {
		return usagef("%q: want a bucket, BUCKET@SNAPSHOT or BUCKET@TIME; a part of one cannot be exported", bucket)
	}
	if file == "" {
		file = "-"
	}
	if file == "-" && isTerminal(a.out) {
		return usagef("a stream is not for a terminal: name a FILE, or send it on with | or >")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	write := func(out io.Writer) (exported, error) {
		in, err := client.Export(ctx, bucket, o.current)
		if err != nil {
			return exported{}, err
		}
		defer in.Close()
		bar := a.progress("export "+bucket, -1)
		defer bar.done()
		return checked(bar.reader(in), out)
	}
	if file == "-" {
		done, err := write(a.out)
		if err != nil {
			return fmt.Errorf("export %s: %w", bucket, err)
		}
		done.Bucket, done.File = bucket, file
		return a.tellExported(a.errs, done)
	}
	var done exported
	err = wholeFile(file, o.force, func(out io.Writer) (err error) {
		done, err = write(out)
		return err
	})
	if err != nil {
		return fmt.Errorf("export %s: %w", bucket, err)
	}
	done.Bucket, done.File = bucket, file
	return a.tellExported(a.out, done)
}

// tellExported tells what was written: on standard error where the stream itself went to standard output.
func (a *app) tellExported(out io.Writer, e exported) error {
	if e.AsOf = a.states; a.json {
		text, err := marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", text)
		}
		return err
	}
	what := ""
	if e.File != "-" {
		what = word(e.File) + "  "
	}
	_, err := fmt.Fprintf(out, "%s%s: %s of %s, as %s of %s\n", what, bytesText(e.Size), counted(int64(e.Versions), "version"), bytesText(e.Logical),
		counted(int64(e.Chunks), "chunk"), bytesText(e.Bytes))
	return err
}

// checked copies a stream and checks it on the way: what is written is whole, or this fails.
func checked(in io.Reader, out io.Writer) (e exported, err error) {
	size := &sizeWriter{w: out}
	r := stream.NewReader(io.TeeReader(in, size))
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			e.Size = size.n
			return e, nil
		}
		if err != nil {
			return e, streamFailure(err)
		}
		if rec.Kind == stream.KindEnd {
			e.Versions, e.Logical, e.Chunks, e.Bytes = rec.End.Versions, rec.End.Logical, rec.End.Chunks, rec.End.Bytes
			e.Hash = hex.EncodeToString(rec.End.Hash[:])
		}
	}
}

// streamFailure is why a stream cannot be read, as scripts are told.
func streamFailure(err error) error {
	if errors.Is(err, stream.ErrDamaged) || errors.Is(err, stream.ErrShort) || errors.Is(err, stream.ErrFormat) {
		return failed(codeCorrupt, "%v", err)
	}
	return err
}

// sizeWriter counts what was written.
type sizeWriter struct {
	w io.Writer
	n int64
}

func (s *sizeWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

// wholeFile makes a file that is there, durably, when write has succeeded, or not at all.
func wholeFile(name string, force bool, write func(io.Writer) error) error {
	if info, err := os.Lstat(name); err == nil {
		if !force {
			e := failed(codeExists, "%s exists", word(name))
			e.hint = "say --force to replace it"
			return e
		}
		if !info.Mode().IsRegular() {
			return failed(codeInvalid, "%s is a %s, which is not replaced", word(name), kind(info.Mode()))
		}
	}
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	part := ".edgefs-" + rand.Text()
	f, err := dir.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = dir.Rename(part, filepath.Base(name))
	}
	if err != nil {
		return errors.Join(err, dir.Remove(part))
	}
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
