package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/fsck"
)

func (a *app) fsckCommand() *cobra.Command {
	var o fsck.Options
	var file string
	var repair bool
	c := &cobra.Command{
		Use:   "fsck [DIR]",
		Short: "Check every format of a segment, repair it, save what is left",
		Long: `Without DIR, check the segment that serves at --endpoint: its packs and the index against them, and all that buckets, snapshots, branches and uploads reach: trees,
versions, and whether their content is here. Reading and writing go on. What is damaged in trees, and linked segments have, is mended on the way. With --data all content is read
afterwards, as by "edgefs verify".

With DIR, check the data directory DIR of a segment that does not run, format by format: keys, log, state, devices and their packs, the index against the packs, and all
that buckets, snapshots, branches and uploads reach: trees, versions, and whether their content is here. Nothing is changed. Content is read with --data only; without it a
check reads metadata, which is about a hundredth.

With --repair what can be made good is: heads and footers of packs are made again, an index that is not what the packs say is removed (the next start makes it again), of two state files
the whole one is taken, and what cannot be read is put aside, in a folder "aside" next to it, never deleted. It asks before it does, or needs --yes, and then checks once more. Acknowledged writes are
never dropped: a log that is damaged where a start needs it is left as it is.

With --salvage every version that can be read is written into plain files below a new or empty folder, whatever else is damaged.

If the segment's configuration says where its chunks are (storage.device), fsck must be told as "edgefs serve" is.

The exit status is 1 when something is damaged, and was not repaired.`,
		Example: `  edgefs -e /srv/edgefs fsck
  edgefs fsck /srv/edgefs
  edgefs fsck /srv/edgefs --data --json
  edgefs fsck /srv/edgefs --config /etc/edgefs.yaml
  edgefs fsck /srv/edgefs --repair
  edgefs fsck /srv/edgefs --salvage /mnt/rescue`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, flag := range []string{"repair", "salvage", "config", "device"} {
					if cmd.Flags().Changed(flag) {
						return usagef("--%s is for a segment that does not run: name its directory", flag)
					}
				}
				return a.fsckServing(cmd, o.Data)
			}
			o.Dir = segmentDir(args[0])
			if file != "" {
				cfg, err := config.Load(file, config.Default())
				if err != nil {
					return failed(codeInvalid, "%v", err)
				}
				if !cmd.Flags().Changed("device") {
					o.Device = cfg.Storage.Device
				}
			}
			if repair {
				a.repairs(cmd.Context(), &o)
			}
			return a.fsck(cmd.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.Data, "data", false, "read all content, and check it against checksums and names")
	c.Flags().BoolVar(&repair, "repair", false, "make good what can be")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "repair without asking")
	c.Flags().StringVar(&o.Salvage, "salvage", "", "write every version that can be read into plain files below this folder")
	c.MarkFlagsMutuallyExclusive("repair", "salvage")
	c.Flags().StringVar(&file, "config", "", "configuration file of the segment")
	c.Flags().StringVar(&o.Device, "device", "", "directory of the chunks (default: device in DIR)")
	return c
}

func (a *app) fsck(ctx context.Context, o fsck.Options) error {
	bar := a.progress("fsck", -1)
	defer bar.done()
	o.Tell = func(f finding.Finding) { a.tellFinding(bar, f) }
	o.Progress = func(phase string, done, _ int64) {
		bar.describe("fsck: " + phase)
		if phase == "packs" {
			bar.at(done)
		}
	}
	r, err := fsck.Check(ctx, o)
	bar.done()
	switch {
	case errors.Is(err, fsck.ErrInUse):
		return &toldError{codeUnavailable, err.Error(), "edgefs -e " + quoted(o.Dir) + " fsck checks a segment that runs; stop it to check its files"}
	case err != nil:
		return err
	}
	err = a.show(r, func(w io.Writer) { writeFsck(w, r) })
	if err == nil && r.Damage > 0 {
		err = failed(codeCorrupt, "%s found", counted(r.Damage, "damaged place"))
	}
	return err
}

// repairs has o ask before it repairs, and say what it does.
func (a *app) repairs(ctx context.Context, o *fsck.Options) {
	o.Repair = func(all []fsck.Repair) error {
		return a.confirm(ctx, "Make %s in %s", counted(int64(len(all)), "repair"), o.Dir)
	}
	o.Repaired = func(r fsck.Repair, done bool, err error) {
		what := "repairing"
		switch {
		case err != nil:
			what = "not repaired (" + err.Error() + ")"
		case done:
			what = "repaired"
		}
		if !a.json {
			fmt.Fprintln(a.errs, printable(fmt.Sprintf("%s: %s: %s", what, r.File, r.What)))
		}
	}
}

// findingLine is a finding as people read it.
func findingLine(f finding.Finding) string {
	where := f.File
	switch {
	case f.Bucket != "" && f.Key != "":
		where = place{f.Bucket, f.Key}.String()
	case f.Bucket != "":
		where = "bucket " + f.Bucket
	case f.File != "" && f.Offset > 0:
		where = fmt.Sprintf("%s, offset %d", f.File, f.Offset)
	}
	line := fmt.Sprintf("%s: %s: %s", f.Grade, where, f.What)
	if f.Repair != "" {
		line += " (a repair: " + f.Repair + ")"
	}
	return line
}

func writeFsck(w io.Writer, r *fsck.Report) {
	if r.Segment != "" {
		fmt.Fprintf(w, "segment %s: %s, %s, %s, %s\n", r.Segment, counted(int64(r.Buckets), "bucket"), counted(int64(r.Roots), "state"), counted(r.Nodes, "node"), counted(r.Versions, "version"))
	}
	how := "not read (--data reads it)"
	if r.Data {
		how = "read and compared"
	}
	fmt.Fprintf(w, "%s, %s, %s: %s, content %s\n", counted(int64(r.Devices), "device"), counted(int64(r.Packs), "pack"), counted(r.Records, "chunk"), bytesText(r.Bytes), how)
	if r.Absent > 0 {
		fmt.Fprintf(w, "%s not here, in whole or in part: other segments may have them\n", counted(r.Absent, "version"))
	}
	if r.Unreached > 0 {
		fmt.Fprintf(w, "%s that nothing reaches: collection removes them\n", counted(r.Unreached, "chunk"))
	}
	if r.Notes > 0 {
		fmt.Fprintf(w, "%s of what the next start sees to\n", counted(r.Notes, "note"))
	}
	if n := len(r.Repairs); n > 0 {
		fmt.Fprintf(w, "%s made\n", counted(int64(n), "repair"))
	}
	if s := r.Salvaged; s != nil {
		fmt.Fprintf(w, "%s written below %s, %s\n", counted(s.Versions, "version"), s.Dir, bytesText(s.Bytes))
		if s.Damaged > 0 {
			fmt.Fprintf(w, "%s lack %s, and are below %s/damaged\n", counted(s.Damaged, "version"), bytesText(s.Missing), s.Dir)
		}
	}
	if r.Damage == 0 {
		fmt.Fprintln(w, "no damage")
	}
}
