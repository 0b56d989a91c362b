package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) removeCommand() *cobra.Command {
	var o removeOptions
	c := &cobra.Command{
		Use:   "rm BUCKET/KEY...",
		Short: "Delete files",
		Long: `Delete files. In a bucket with versioning a delete leaves a marker, and the versions below it can still be read by their ids;
with --version one version, or one marker, goes for ever, unless it is locked.

What is not there is told, and the exit status is 3; with --force it is as good as deleted. One file that cannot be deleted does not stop the
others.`,
		Example: `  edgefs rm photos/2026/cat.jpg
  edgefs rm --version null photos/2026/cat.jpg
  edgefs rm --recursive photos/2025/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.versions && !o.recursive || o.version != "" && o.recursive {
				return usagef("--all-versions goes with --recursive, --version does not")
			}
			return a.remove(cmd.Context(), args, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.version, "version", "", "remove this version for ever")
	f.BoolVarP(&o.recursive, "recursive", "r", false, "delete everything below the prefixes; asks first")
	f.BoolVar(&o.versions, "all-versions", false, "with --recursive: remove every version for ever")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.bypass, "bypass-governance", false, "remove versions although a retention of mode governance is not over")
	f.BoolVarP(&o.force, "force", "f", false, "do not ask, and do not mind what is not there")
	return c
}

// removeOptions are the flags of rm.
type removeOptions struct {
	version                    string
	recursive, versions, force bool
	bypass                     bool
}

// removed is something that rm removed, or did not find, for JSON.
type removed struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	admin.Deleted
}

// removal is one run of rm.
type removal struct {
	a      *app
	client *admin.Client
	o      removeOptions
	doc    *document
	failed *failures
	absent []absent
	n      int64
}

// absent is a key, or a prefix, that nothing was found under.
type absent struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version,omitempty"`
}

func (a *app) remove(ctx context.Context, args []string, o removeOptions) error {
	var places []place
	for _, arg := range args {
		parse := parseKey
		if o.recursive {
			parse = parsePlace
		}
		p, err := parse(arg)
		if err != nil {
			return err
		}
		places = append(places, p)
	}
	a.yes = a.yes || o.force
	for _, p := range places {
		if err := a.confirmRemoval(ctx, p, o); err != nil {
			return err
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r := &removal{a: a, client: client, o: o, doc: a.document("deleted"), failed: a.failures(), absent: []absent{}}
	err = r.all(ctx, places)
	if o.recursive && (err == nil || r.n > 0) {
		a.said("%s", counted(r.n, "deletion"))
	}
	return r.doc.end(err, field{"absent", r.absent}, field{"failed", r.failed.list})
}

func (a *app) confirmRemoval(ctx context.Context, p place, o removeOptions) error {
	switch {
	case o.versions:
		return a.confirm(ctx, "Remove every version below %s for ever", p)
	case o.recursive:
		return a.confirm(ctx, "Delete everything below %s", p)
	case o.version != "":
		return a.confirm(ctx, "Remove version %s of %s for ever", o.version, p)
	}
	return nil
}

func (r *removal) all(ctx context.Context, places []place) error {
	for _, p := range places {
		do := r.one
		if r.o.recursive {
			do = r.below
		}
		err := do(ctx, p)
		if err == nil {
			continue
		}
		err = fmt.Errorf("rm %s: %w", p, err)
		if len(places) == 1 || ends(err) {
			return err
		}
		r.failed.add(undone{Bucket: p.bucket, Key: p.key}, err)
	}
	return r.failed.err("%s could not be deleted", counted(int64(r.failed.n), "file"))
}

// one deletes a key or a version.
func (r *removal) one(ctx context.Context, p place) error {
	return r.delete(ctx, p, r.o.version, fmt.Sprintf("deleted %s", r.a.place(p)))
}

// delete removes, and tells people by line. What is not there is an error, unless that does not matter.
func (r *removal) delete(ctx context.Context, p place, version, line string) error {
	d, err := r.client.Delete(ctx, p.bucket, admin.DeleteRequest{Key: p.key, Version: version, IfThere: true, Bypass: r.o.bypass})
	if gone(err) {
		return r.notThere(p, version, err)
	}
	if err != nil {
		return err
	}
	r.n++
	return r.doc.add(removed{p.bucket, p.key, d}, line)
}

func (r *removal) notThere(p place, version string, err error) error {
	if len(r.absent) < maxTold {
		r.absent = append(r.absent, absent{p.bucket, p.key, version})
	}
	if r.o.force {
		return nil
	}
	return err
}

func gone(err error) bool {
	return errors.Is(err, &admin.Error{Code: admin.NoSuchKey}) || errors.Is(err, &admin.Error{Code: admin.NoSuchVersion})
}

// below deletes everything below a prefix. Files that somebody else deletes meanwhile are as they should be.
func (r *removal) below(ctx context.Context, p place) error {
	found := false
	err := eachObject(ctx, r.client, p, r.o.versions, func(o admin.Object) error {
		found = true
		version := ""
		if r.o.versions {
			version = o.Version
		}
		key := place{p.bucket, o.Key}
		err := r.delete(ctx, key, version, "")
		switch {
		case err == nil || gone(err):
			return nil
		case ends(err):
			return fmt.Errorf("%s: %w", word(o.Key), err)
		}
		r.failed.add(undone{Bucket: p.bucket, Key: o.Key}, fmt.Errorf("rm %s: %w", key, err))
		return nil
	})
	if err == nil && !found && p.key != "" {
		return r.notThere(p, "", failed(codeNotFound, "nothing is below it"))
	}
	return err
}
