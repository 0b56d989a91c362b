package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment/stream"
)

// importOptions are the flags of import.
type importOptions struct {
	keepGoing bool
	dryRun    bool
	s3        migrateOptions
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import FILE|s3://BUCKET[/PREFIX] BUCKET[/PREFIX/]",
		Short: "Make a bucket of a stream that export wrote, or copy one from another store of S3",
		Long: `Make a bucket of a stream that edgefs export wrote, at any segment: with all versions under their ids, their times, metadata, tags and locks, and the
bucket's settings. No bucket may have the name yet. The bucket is there when all of it is, or not at all. One that was interrupted is
run again: chunks that are here are not written again.

The file "-" is standard input. A stream that is damaged is refused, unless --keep-going imports what is whole of it: versions of which
something is missing are named, and left out; where the newest version of a file is, an older one is current.

With s3://BUCKET the objects of a bucket of another store are copied into one of the segment, which is made unless it is there: AWS, MinIO, Ceph, anything that
speaks S3. Metadata and ETags stay; where and of when an object is stands in its metadata (source-etag, source-last-modified). Each is checked against what its store
says of it before it is there. What was copied before is passed over, so one that was interrupted is run again; what changed at the source since is copied again; objects
that were not copied from there are left alone. Keys come from where AWS' own programs look. Only current versions are copied.

With --dry-run the stream is read and checked, or what would be copied is listed, and nothing is changed.`,
		Example: `  edgefs import photos.edgefs photos
  zstd -dc monday.edgefs.zst | edgefs import - photos-of-monday
  edgefs import --dry-run photos.edgefs
  edgefs import s3://photos photos --s3-endpoint https://minio.example.com:9000
  edgefs import s3://photos/2026/ photos/2026/ --tags`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "s3://") {
				if len(args) != 2 {
					return usagef("into which bucket?")
				}
				return a.migrate(cmd.Context(), args[0], args[1], o)
			}
			if o.dryRun {
				return a.checkStream(cmd.Context(), args[0], o)
			}
			if len(args) != 2 {
				return usagef("into which bucket?")
			}
			bucket := strings.TrimSuffix(args[1], "/")
			if strings.ContainsAny(bucket, "/@") {
				return usagef("%q: a stream becomes a bucket, whose name has no / or @", args[1])
			}
			return a.importStream(cmd.Context(), args[0], bucket, o)
		},
	}
	c.Flags().BoolVar(&o.keepGoing, "keep-going", false, "import what is whole of a stream that is damaged")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only read and check the stream, or list what would be copied")
	o.s3.flags(c.Flags())
	return c
}

// streamFile opens a stream: its size is 0 when that is not known.
func (a *app) streamFile(ctx context.Context, file string) (in io.Reader, size int64, done func(), err error) {
	from, closed := a.in, func() {}
	if file != "-" {
		f, err := open(file)
		if err != nil {
			return nil, 0, nil, err
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		from, closed = f, func() { f.Close() }
	} else if isTerminal(a.in) {
		return nil, 0, nil, usagef("a stream does not come from a terminal: name a FILE, or send it here with | or <")
	}
	in, end, err := input(ctx, from)
	if err != nil {
		closed()
		return nil, 0, nil, err
	}
	return in, size, func() { end(); closed() }, nil
}

func (a *app) importStream(ctx context.Context, file, bucket string, o importOptions) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	in, size, done, err := a.streamFile(ctx, file)
	if err != nil {
		return err
	}
	defer done()
	total := size
	if total == 0 {
		total = -1
	}
	bar := a.progress("import "+bucket, total)
	defer bar.done()
	i, err := client.Import(ctx, bucket, admin.ImportRequest{KeepGoing: o.keepGoing}, bar.reader(in), size)
	bar.done()
	if err != nil {
		return fmt.Errorf("import %s: %w", word(file), err)
	}
	if !a.json {
		for _, d := range i.Damages {
			fmt.Fprintf(a.errs, "edgefs: damage at byte %d: %s (%d bytes passed over)\n", d.Offset, printable(d.Why), d.Bytes)
		}
		for _, l := range i.Lost {
			fmt.Fprintf(a.errs, "edgefs: left out: %s version %s\n", word(l.Key), l.Version)
		}
	}
	err = a.show(i, func(w io.Writer) {
		fmt.Fprintf(w, "%s  %s of %s; %s of %s in the stream, %s of %s new here\n", i.Bucket.Name, counted(i.Versions, "version"), bytesText(i.Logical),
			counted(i.Chunks, "chunk"), bytesText(i.Bytes), counted(i.NewChunks, "chunk"), bytesText(i.NewBytes))
	})
	if err == nil && (i.DamagedAt > 0 || i.LostVersions > 0) {
		err = failed(codeCorrupt, "the stream is damaged in %s; %s left out, as far as that is known", counted(i.DamagedAt, "place"), counted(i.LostVersions, "version"))
	}
	return err
}

// checkedStream is what a stream holds, for JSON.
type checkedStream struct {
	exported
	Current bool                 `json:"current"` // only current versions
	Damages []admin.StreamDamage `json:"damages,omitempty"`
}

// checkStream reads a stream and says whether it is whole.
func (a *app) checkStream(ctx context.Context, file string, o importOptions) error {
	in, size, done, err := a.streamFile(ctx, file)
	if err != nil {
		return err
	}
	defer done()
	if size == 0 {
		size = -1
	}
	bar := a.progress("check", size)
	defer bar.done()
	c := checkedStream{exported: exported{File: file}}
	err = c.read(ctx, bar.reader(in), o.keepGoing)
	bar.done()
	if err != nil {
		return fmt.Errorf("check %s: %w", word(file), streamFailure(err))
	}
	if !a.json {
		for _, d := range c.Damages {
			fmt.Fprintf(a.errs, "edgefs: damage at byte %d: %s (%d bytes passed over)\n", d.Offset, printable(d.Why), d.Bytes)
		}
	}
	err = a.show(c, func(w io.Writer) {
		if len(c.Damages) > 0 {
			fmt.Fprint(w, "what is whole: ")
		}
		fmt.Fprintf(w, "%s of %s, as %s of %s", counted(int64(c.Versions), "version"), bytesText(c.Logical), counted(int64(c.Chunks), "chunk"), bytesText(c.Bytes))
		if c.Current {
			fmt.Fprint(w, "; current versions only")
		}
		fmt.Fprintln(w)
	})
	if err == nil && len(c.Damages) > 0 {
		err = failed(codeCorrupt, "the stream is damaged in %s", counted(int64(len(c.Damages)), "place"))
	}
	return err
}

func (c *checkedStream) read(ctx context.Context, in io.Reader, keepGoing bool) error {
	r := stream.NewReader(in)
	if keepGoing {
		r.Damaged = func(d stream.Damage) error {
			if len(c.Damages) < maxTold {
				c.Damages = append(c.Damages, admin.StreamDamage{Offset: d.Offset, Bytes: d.Bytes, Frames: d.Frames, Chunks: d.Lost, Why: d.Why.Error()})
			}
			return nil
		}
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		switch rec.Kind {
		case stream.KindHeader:
			c.Current = rec.Header.Current
		case stream.KindChunk:
			c.Chunks++
			c.Bytes += int64(len(rec.Data))
		case stream.KindVersion:
			c.Versions++
			for _, ref := range rec.List.Refs {
				c.Logical += ref.Size
			}
		}
	}
}
