package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/spf13/pflag"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/migrate"
)

// migrateOptions are the flags of import that are for a store of S3.
type migrateOptions struct {
	source    migrate.Source
	tags      bool
	overwrite bool
	parallel  int
}

func (o *migrateOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.source.Endpoint, "s3-endpoint", "", "URL of the store that s3://BUCKET is in (default $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, or AWS)")
	f.StringVar(&o.source.Region, "s3-region", "", "its region (default $AWS_REGION, or what the store says)")
	f.StringVar(&o.source.Profile, "s3-profile", "", "the profile of ~/.aws with its keys (default $AWS_PROFILE; $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY count before it)")
	f.BoolVar(&o.source.Anonymous, "s3-anonymous", false, "ask it without keys")
	f.BoolVar(&o.tags, "tags", false, "copy tags too: one question more for each object")
	f.BoolVar(&o.overwrite, "overwrite", false, "replace objects that are there and were not copied from the source")
	f.IntVar(&o.parallel, "parallel", 8, "objects that are copied at a time")
}

// migrated is an object that was dealt with, for JSON.
type migrated struct {
	Key    string         `json:"key"`
	Source string         `json:"source"`
	Size   int64          `json:"size"`
	Action migrate.Action `json:"action"`
	Proof  migrate.Proof  `json:"verifiedBy,omitempty"`
	Error  *failure       `json:"error,omitempty"`
}

// migrate copies objects of a store of S3.
func (a *app) migrate(ctx context.Context, from, to string, o importOptions) error {
	source, err := parsePlace(from)
	if err != nil {
		return err
	}
	target, err := parsePlace(to)
	switch {
	case err != nil:
		return err
	case o.keepGoing:
		return usagef("--keep-going is for streams; objects that cannot be copied never stop the others")
	case target.key != "" && !strings.HasSuffix(target.key, "/"):
		return usagef("%s: want BUCKET, or BUCKET/PREFIX/ with a slash at its end", to)
	case o.s3.parallel < 1 || o.s3.parallel > 256:
		return usagef("--parallel %d: want 1 to 256", o.s3.parallel)
	}
	s3, err := migrate.Dial(o.s3.source)
	if err != nil {
		return usageError{err}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if !o.dryRun {
		if err := a.makeBucket(ctx, client, target.bucket); err != nil {
			return err
		}
	}
	bar := a.progress("import "+from, -1)
	defer bar.done()
	doc := a.document("objects")
	var written error
	j := &migrate.Job{
		From: s3, Bucket: source.bucket, Prefix: source.key, To: client, ToBucket: target.bucket, ToPrefix: target.key,
		Tags: o.s3.tags, Overwrite: o.s3.overwrite, DryRun: o.dryRun, Parallel: o.s3.parallel,
		Count: func(n int64) { bar.add(n) },
		Each: func(m migrate.Outcome) {
			bar.clear()
			written = errors.Join(written, a.tellMigrated(doc, target.bucket, m, o.dryRun))
		},
	}
	report, err := j.Run(ctx)
	bar.done()
	if err = errors.Join(err, written); err != nil {
		err = migrateFailure(fmt.Errorf("import %s: %w", from, err))
	}
	if err == nil || report.Objects > 0 {
		a.tellReport(report, o.dryRun)
	}
	if err == nil && report.Failed+report.Left > 0 {
		err = &partialError{failure{Code: codeFailed, Message: fmt.Sprintf("%d of %s could not be copied, %d left alone", report.Failed, counted(report.Objects, "object"), report.Left)}}
		if report.Left > 0 {
			err.(*partialError).Hint = "--overwrite replaces what was not copied from the source"
		}
	}
	return doc.end(err, field{"report", report}, field{"dryRun", o.dryRun})
}

// makeBucket makes the bucket unless it is there.
func (a *app) makeBucket(ctx context.Context, client *admin.Client, name string) error {
	_, err := client.Bucket(ctx, name, false)
	if !errors.Is(err, &admin.Error{Code: admin.NoSuchBucket}) {
		return err
	}
	if _, err = client.CreateBucket(ctx, admin.NewBucket{Name: name}); err == nil {
		a.said("created %s", name)
	}
	return err
}

// tellMigrated tells of one object: people only of what they should look at, or all that would be done.
func (a *app) tellMigrated(doc *document, bucket string, m migrate.Outcome, dry bool) error {
	if m.Action == migrate.Unchanged || m.Action == migrate.Gone {
		return nil
	}
	out := migrated{m.Key, m.Source, m.Size, m.Action, m.Proof, nil}
	line := ""
	at := a.place(place{bucket, m.Key})
	switch {
	case m.Action == migrate.Failed:
		f := explain(migrateFailure(m.Err))
		if out.Error = &f; !a.json {
			f.write(a.errs)
		}
	case m.Action == migrate.Left:
		line = at + "  left alone: another object is there"
	case dry:
		line = fmt.Sprintf("%s  would be copied, %s", at, bytesText(m.Size))
	case m.Proof == migrate.Unverified:
		line = at + "  copied, and not verified: its store says nothing that can be computed"
	}
	return doc.add(out, line)
}

func (a *app) tellReport(r migrate.Report, dry bool) {
	copied := "copied"
	if dry {
		copied = "to copy"
	}
	a.said("%s of %s: %d %s (%s), %d there already, %d left alone, %d failed", counted(r.Objects, "object"), bytesText(r.Bytes), r.Copied, copied, bytesText(r.CopiedSize), r.Unchanged, r.Left, r.Failed)
	if r.Copied > 0 && !dry {
		a.said("verified: %d by ETag, %d by checksum; %d could not be", r.ByETag, r.ByChecksum, r.Unverified)
	}
}

// migrateFailure gives what a source refuses the code that scripts know.
func migrateFailure(err error) error {
	var s3 minio.ErrorResponse
	if !errors.As(err, &s3) {
		return err
	}
	code := codeFailed
	switch {
	case s3.StatusCode == 404:
		code = codeNotFound
	case s3.StatusCode == 403 || s3.StatusCode == 401:
		code = codeDenied
	case s3.StatusCode >= 500 || s3.StatusCode == 429:
		code = codeUnavailable
	}
	return failed(code, "%v", err)
}
