package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/test/demo/relay"
	"github.com/edgefs/edgefs/test/demo/site"
	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

// bucket is where nearly everything happens.
const bucket = "source"

// Prefixes of keys, one for each purpose.
const (
	firstPrefix  = "v1/"
	secondPrefix = "v2/"
	tarPrefix    = "tar/"
	cutPrefix    = "cut/"
	crashPrefix  = "crash/"
)

// demo is one telling.
type demo struct {
	options
	story *story.Story

	dir           string // of the data
	relay         *relay.Relay
	hawaii, tokyo *site.Site

	first, second *tree.Tree
	edited        []string // names of files that differ

	acknowledged ledger // what the bucket must hold
	uploaded     time.Time
	joined       relay.Count // what the link had carried when the bucket was made
	readHere     []tree.File // what tokyo has read of the first version
}

// tell tells the whole story. It returns an error only where nothing could be shown at all.
func (d *demo) tell(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	there := d.story.Step(ctx, "a source tree is uploaded at hawaii, by S3", d.upload)
	for _, step := range []struct {
		title string
		do    func(context.Context, *story.Step) error
	}{
		{"tokyo lists all of it, without its content", d.list},
		{"tokyo reads: content comes on demand, and stays", d.read},
		{"a second version of the tree costs what changed", d.version},
		{"the link is cut, both sites write, the link heals", d.partition},
		{"kill -9 of hawaii in the middle of an upload", d.crash},
		{"hawaii's disk rots, and is repaired from tokyo", d.damage},
	} {
		if ctx.Err() != nil {
			return nil
		}
		do := step.do
		if !there {
			do = func(context.Context, *story.Step) error {
				return fmt.Errorf("%w: the tree is not at hawaii", story.ErrSkipped)
			}
		}
		if !d.story.Step(ctx, step.title, do) && there && ctx.Err() == nil {
			d.tellLogs()
		}
	}
	return nil
}

// begin makes both trees, the segments and the link.
func (d *demo) begin(ctx context.Context) (err error) {
	d.story.Say("EdgeFS: two segments, hawaii and tokyo, each a process of its own; all they tell each other goes through a relay that counts it.")
	if d.dir, err = os.MkdirTemp(d.below, "edgefs-demo-"); err != nil {
		return err
	}
	begun := time.Now()
	if d.first, err = tree.Scan(ctx, d.tree, func() {}); err != nil {
		return err
	}
	if d.second, d.edited, err = d.first.Edited(editedShare, d.seed); err != nil {
		return err
	}
	d.story.Say("\n%-8s %s: %s files, %s, read and hashed in %s", "tree", d.tree, count(len(d.first.Files)), size(d.first.Bytes), since(begun))
	link, err := site.FreeUDP()
	if err != nil {
		return err
	}
	if d.relay, err = relay.Listen(link); err != nil {
		return err
	}
	hawaii := site.Config{Binary: d.binary, Dir: d.dir, Name: "hawaii", Flags: []string{"--link", link, "--advertise", d.relay.Addr()}}
	tokyo := site.Config{Binary: d.binary, Dir: d.dir, Name: "tokyo", Flags: []string{"--link", "off"}} // it dials the relay
	if d.hawaii, err = site.Start(ctx, hawaii); err != nil {
		return err
	}
	if d.tokyo, err = site.Start(ctx, tokyo); err != nil {
		return err
	}
	for _, s := range d.sites() {
		d.story.Say("%-8s S3 at %s, data in %s", s.Name(), s.Endpoint(), s.Dir())
	}
	return d.join(ctx)
}

// join links the two and makes the bucket, by the command line as a person would.
func (d *demo) join(ctx context.Context) error {
	var invitation admin.Invitation
	if err := d.hawaii.CLI(ctx, &invitation, "link", "invite"); err != nil {
		return err
	}
	if err := d.tokyo.CLI(ctx, nil, "link", "join", invitation.Invitation); err != nil {
		return err
	}
	if err := d.linked(ctx); err != nil {
		return err
	}
	d.joined = d.relay.Count()
	if err := d.hawaii.CLI(ctx, nil, "bucket", "create", bucket, "--eager", "0"); err != nil {
		return err
	}
	return d.known(ctx, bucket)
}

func (d *demo) sites() []*site.Site { return []*site.Site{d.hawaii, d.tokyo} }

// tellLogs shows what the segments had to say about a step that was not true.
func (d *demo) tellLogs() {
	for _, s := range d.sites() {
		if said := s.Said(8); said != "" {
			d.story.Say("   last words of %s:\n%s", s.Name(), said)
		}
	}
}

// end stops what was started, and removes the data unless it is to be kept.
func (d *demo) end() error {
	var errs []error
	for _, s := range []*site.Site{d.tokyo, d.hawaii} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if d.relay != nil {
		errs = append(errs, d.relay.Close())
	}
	switch {
	case d.dir == "":
	case d.keep:
		d.story.Say("\nkept: %s", d.dir)
	default:
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
