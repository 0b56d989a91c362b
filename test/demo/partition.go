package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/test/demo/site"
	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

const (
	// cutWrites is how many files each site writes while the link is cut.
	cutWrites = 300
	// bothWrite is the key that both sites write.
	bothWrite = cutPrefix + "both.txt"
)

// partition is step 5.
func (d *demo) partition(ctx context.Context, st *story.Step) error {
	d.relay.Cut()
	defer d.relay.Heal()
	cut := time.Now()
	both, err := d.writeApart(ctx, st)
	if err != nil {
		return err
	}
	if err := d.readApart(ctx, st); err != nil {
		return err
	}
	st.Say("the link was cut for %s", since(cut))
	d.relay.Heal()
	took, err := until(ctx, "both sites hold the same", d.agreed)
	if err != nil {
		return err
	}
	if err := d.compareRoots(ctx, st, took); err != nil {
		return err
	}
	return d.settleConflict(ctx, st, both)
}

// writeApart has each site write files of its own, and both the same key. It returns what they wrote there.
func (d *demo) writeApart(ctx context.Context, st *story.Step) (both [2]tree.File, err error) {
	var wrong [2]int
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range d.sites() {
		group.Go(func() error {
			var files []tree.File
			for n := range cutWrites {
				files = append(files, tree.Made(fmt.Sprintf("%s/%03d.txt", s.Name(), n), note(s.Name(), n)))
			}
			var err error
			if wrong[i], err = d.put(ctx, st, s, cutPrefix, files); err != nil {
				return err
			}
			both[i] = tree.Made(bothWrite, note(s.Name(), -1))
			_, err = s.Put(ctx, bucket, bothWrite, note(s.Name(), -1))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return both, err
	}
	took := time.Since(begun)
	st.Measured("while the link is cut, each site writes %d files, and one that both write: %s writes/s", cutWrites, count(rate(2*cutWrites+2, took)))
	st.Check(wrong == [2]int{}, "both sites acknowledge all of them")
	return both, nil
}

// note is a text of some 2 KiB that no other is like.
func note(name string, n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("note %d, written at %s\n", n, name), 80))
}

// readApart reads what each site has, and at tokyo something that it has not.
func (d *demo) readApart(ctx context.Context, st *story.Step) error {
	for _, s := range d.sites() {
		r, err := d.get(ctx, st, s, firstPrefix, d.readHere, readers)
		if err != nil {
			return err
		}
		st.Check(r.right(), "%s reads what it has: %v", s.Name(), r)
	}
	has := func(f tree.File) bool {
		return slices.ContainsFunc(d.readHere, func(h tree.File) bool { return h.ETag == f.ETag })
	}
	for _, f := range d.pick(len(d.first.Files), 5, d.first.Files) {
		if f.Size < 4096 || has(f) {
			continue
		}
		st.Say("tokyo is asked for what only hawaii has, and waits for the link for a while ...")
		begun := time.Now()
		_, err := d.tokyo.Get(ctx, bucket, firstPrefix+f.Name, "")
		st.Check(site.Unavailable(err), "that is 503, not 404, after %s", since(begun))
		return nil
	}
	return nil
}

// agreed says whether both sites have seen the same writes.
func (d *demo) agreed(ctx context.Context) (bool, error) {
	var seen [2]map[string]uint64
	for i, s := range d.sites() {
		b, err := s.Admin.Bucket(ctx, bucket, false)
		if err != nil {
			return false, err
		}
		seen[i] = b.Stats.Seen
	}
	return len(seen[0]) == len(seen[1]) && covers(seen[0], seen[1]), nil
}

func covers(a, b map[string]uint64) bool {
	for origin, n := range b {
		if a[origin] != n {
			return false
		}
	}
	return true
}

// compareRoots compares what a person would see.
func (d *demo) compareRoots(ctx context.Context, st *story.Step, took time.Duration) error {
	var roots [2]string
	for i, s := range d.sites() {
		var b admin.Bucket
		if err := s.CLI(ctx, &b, "bucket", "show", bucket, "--fold"); err != nil {
			return err
		}
		roots[i] = b.Stats.Root
	}
	st.Measured("%s after it heals both sites have each other's writes; their roots: %.12s… and %.12s…", story.Duration(took), roots[0], roots[1])
	st.Check(roots[0] == roots[1] && roots[0] != "", "the roots of both sites are the same hash")
	return nil
}

// settleConflict looks at the key that both wrote, and at both listings.
func (d *demo) settleConflict(ctx context.Context, st *story.Step, both [2]tree.File) error {
	var listed struct{ Conflicts []admin.Conflict }
	if err := d.tokyo.CLI(ctx, &listed, "conflicts", bucket); err != nil {
		return err
	}
	found := listed.Conflicts
	if !st.Check(len(found) == 1 && found[0].Key == bothWrite && len(found[0].Losers) == 1,
		"edgefs conflicts shows one: %s, with the version that reads answer and the one that is kept", bothWrite) {
		return nil
	}
	versions := []admin.Object{found[0].Current, found[0].Losers[0]}
	for _, s := range d.sites() {
		readable := 0
		for _, v := range versions {
			got, err := s.Get(ctx, bucket, bothWrite, v.Version)
			if err != nil {
				st.Say("version %s at %s: %v", v.Version, s.Name(), err)
				continue
			}
			for _, f := range both {
				want, err := f.Content()
				if err == nil && bytes.Equal(got, want) && f.ETag == v.ETag {
					readable++
				}
			}
		}
		st.Check(readable == 2 && versions[0].ETag != versions[1].ETag, "%s reads both of its versions by their versionId", s.Name())
	}
	d.acknowledged.add(bothWrite, entry{versions[0].Size, versions[0].ETag})
	for _, s := range d.sites() {
		c, err := d.compare(ctx, s)
		if err != nil {
			return err
		}
		st.Check(c.same(), "%s lists all that was acknowledged at either site: %v", s.Name(), c)
	}
	return nil
}
