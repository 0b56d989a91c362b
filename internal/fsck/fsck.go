// Package fsck checks the data directory of a segment that does not run, format by format: each package that owns one brings its checker, and here they are put together.
package fsck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/datadir"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/segment"
)

// Options say what is checked.
type Options struct {
	Dir    string // data directory
	Device string // storage.device of the segment's configuration
	Data   bool   // content is read, too
	// Repair, unless nil, is asked once with all repairs that can be made, if there are any; what it returns nil for is done, and then all is checked once more.
	Repair func([]Repair) error
	// Repaired is told of each repair, before it is made (done is false) and after; not nil where Repair is not.
	Repaired func(r Repair, done bool, err error)
	// Salvage, unless empty, is a folder, new or empty, that gets every version that can be read.
	Salvage string
	// Tell is told of each finding as it comes; Progress of what is done, and how much of it. Neither is nil.
	Tell     finding.Tell
	Progress func(phase string, done, of int64)
}

// ErrInUse says that a process has the data directory.
var ErrInUse = errors.New("a segment runs there")

// maxFindings bounds the findings that a report lists; it counts all.
const maxFindings = 10000

// Report is what a check has found.
type Report struct {
	Dir      string            `json:"dir"`
	Segment  string            `json:"segment,omitempty"`
	Data     bool              `json:"data"` // content was read
	Damage   int64             `json:"damage"`
	Notes    int64             `json:"notes"`
	Kinds    map[string]int64  `json:"kinds"`    // of findings
	Findings []finding.Finding `json:"findings"` // the first of them

	Devices   int       `json:"devices"`
	Packs     int       `json:"packs"`
	Records   int64     `json:"records"`
	Bytes     int64     `json:"bytes"`             // that records hold
	Unreached int64     `json:"unreached"`         // chunks that nothing reaches
	Repairs   []Repair  `json:"repairs,omitempty"` // that were made; what is found is what is left
	Salvaged  *Salvaged `json:"salvaged,omitempty"`
	segment.CheckReport
}

func newReport(o Options) *Report {
	return &Report{Dir: o.Dir, Data: o.Data, Kinds: map[string]int64{}, Findings: []finding.Finding{}}
}

func (r *Report) take(f finding.Finding) {
	r.Kinds[f.Kind]++
	if f.Grade == finding.Damage {
		r.Damage++
	} else {
		r.Notes++
	}
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// Check checks the data directory, and changes nothing in it but who holds its lock. An error is that there was nothing to check, or that it could not go on; what was found up to then is in
// the report. A directory that is in use gives [ErrInUse].
func Check(ctx context.Context, o Options) (_ *Report, err error) {
	dir, err := datadir.Look(o.Dir)
	if errors.Is(err, vfs.ErrLocked) {
		err = fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return newReport(o), err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	r, found, err := check(ctx, o, dir)
	if err != nil || o.Repair == nil || len(found) == 0 {
		return r, err
	}
	made, err := repair(ctx, o, found)
	if len(made) == 0 {
		return r, err
	}
	if err != nil {
		r.Repairs = made
		return r, err
	}
	r, _, err = check(ctx, o, dir)
	r.Repairs = made
	return r, err
}

func check(ctx context.Context, o Options, dir *datadir.Dir) (*Report, []Repair, error) {
	v := visit{o: o, dir: dir, report: newReport(o), mends: mends{}}
	v.tell = func(f finding.Finding) {
		v.report.take(f)
		v.mends.take(f)
		o.Tell(f)
	}
	err := v.all(ctx)
	return v.report, v.mends.all, errors.Join(err, v.close())
}

// visit is one look at a data directory.
type visit struct {
	o      Options
	dir    *datadir.Dir
	tell   finding.Tell
	report *Report
	mends  mends

	id      *identity.Identity
	devices *spread.Inspection
	segment *segment.Segment // nil where it cannot be opened
}

func (v *visit) all(ctx context.Context) error {
	v.o.Progress("keys", 0, 0)
	v.dir.Check(v.tell)
	if err := v.identify(); err != nil || v.id == nil {
		return err
	}
	if err := v.openDevices(ctx); err != nil {
		return err
	}
	if err := v.openSegment(ctx); err != nil || v.segment == nil {
		return err
	}
	if err := v.walk(ctx); err != nil || v.o.Salvage == "" {
		return err
	}
	return v.salvage(ctx)
}

// identify reads whose directory it is. Without that nothing else can be read: names of chunks are keyed.
func (v *visit) identify() (err error) {
	v.id, err = identity.Load(vfs.OS{}, v.dir.Keys())
	if errors.Is(err, fs.ErrNotExist) || err != nil && !errors.Is(err, fs.ErrPermission) {
		v.tell.Damage("identity", v.dir.Keys(), 0, err.Error()+"; restore the folder keys from your backup. Without it nothing can be read")
		v.id = nil
		return nil
	}
	if err != nil {
		return err
	}
	v.report.Segment = v.id.Name
	if _, err := identity.OpenAuthority(vfs.OS{}, v.dir.Keys(), v.id, nil, nil); err != nil {
		v.tell.Damage("identity.members", v.dir.Keys(), 0, err.Error())
	}
	if name, err := isgw.CheckPeers(vfs.OS{}, v.dir.Path()); err != nil {
		v.tell.Repairable("links", name, 0, err.Error()+"; the segment does not start", "it is put aside: links have to be made again", func() error {
			_, err := vfs.Aside(vfs.OS{}, name, filepath.Dir(name))
			return err
		})
	}
	return nil
}

func (v *visit) data(name ...string) string {
	return v.dir.Path(append([]string{"data", v.id.Federation.String()}, name...)...)
}

func (v *visit) firstDevice() string {
	if v.o.Device != "" {
		return filepath.Join(v.o.Device, v.id.Federation.String())
	}
	return v.data("device")
}

// owner is what a device says of whose it is.
func (v *visit) owner() (o pack.Owner) {
	copy(o[:8], v.id.Federation[:])
	binary.BigEndian.PutUint64(o[8:], uint64(v.id.Segment))
	return o
}

func (v *visit) openDevices(ctx context.Context) (err error) {
	v.devices, err = spread.Inspect(ctx, spread.InspectOptions{
		Dir: v.data(), First: v.firstDevice(), Owner: v.owner(),
		Each: pack.InspectOptions{
			Data: v.o.Data, Domains: []chunk.Domain{segment.DomainOf(v.id.Secret, "")},
			Progress: func(done, of int64) { v.o.Progress("packs", done, of) },
		},
	}, v.tell)
	if err != nil {
		return err
	}
	for _, d := range v.devices.Devices {
		v.report.Devices++
		v.report.Packs += d.Packs
		v.report.Records += d.Records
		v.report.Bytes += d.Bytes
	}
	return nil
}

func (v *visit) openSegment(ctx context.Context) (err error) {
	dir := v.data("segment")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if v.report.Records > 0 {
			v.tell.Damage("segment.missing", dir, 0, "log and state are not there, and the devices hold chunks; restore the folder from your backup")
		}
		return nil
	}
	v.o.Progress("log", 0, 0)
	v.segment, err = segment.Inspect(ctx, segment.Config{
		FS: vfs.OS{}, Dir: dir, ID: v.id.Segment, Name: v.id.Name, Secret: v.id.Secret, Chunks: stage.New(v.devices), Logger: slog.New(slog.DiscardHandler),
	}, v.tell)
	return err
}

// walk goes through all that the segment reaches, and then knows what it does not.
func (v *visit) walk(ctx context.Context) (err error) {
	v.report.CheckReport, err = v.segment.Check(ctx, segment.CheckOptions{Tell: v.tell, Progress: func(r segment.CheckReport) {
		v.o.Progress("bucket "+r.Bucket, r.Versions, 0)
	}})
	if err != nil {
		return fmt.Errorf("check buckets: %w", err)
	}
	for _, d := range v.devices.Devices {
		_, unreached := d.Unreached()
		v.report.Unreached += unreached
	}
	return nil
}

func (v *visit) close() error {
	if v.devices == nil {
		return nil
	}
	return v.devices.Close()
}
