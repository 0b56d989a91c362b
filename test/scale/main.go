// Command scale measures what the number of keys of a bucket costs, through the segment's own interface on a real disk: loading them, memory,
// bytes written, pages of listings, point reads, snapshots, differences, a start after a crash. The store that it builds is kept and used again
// where a folder is given.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/edgefs/edgefs/test/measure"
)

func main() {
	var o options
	flag.Uint64Var(&o.keys, "keys", 1_000_000, "keys of the largest bucket")
	flag.StringVar(&o.dir, "dir", "", "where the store is built, and found again; a temporary folder by default")
	flag.IntVar(&o.workers, "workers", 64, "writers at a time")
	flag.Int64Var(&o.overlay, "overlay", 0, "memory of records that are not folded, in bytes; the segment's default by default")
	flag.Int64Var(&o.file, "file", 1<<30, "bytes of the large file")
	crash := flag.Uint64("crash", 0, "write so many records into a store that is there, and die")
	only := flag.String("only", "", "figures to measure, by name, with commas; all by default")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *crash > 0 {
		fmt.Fprintln(os.Stderr, "scale:", o.crash(ctx, *crash))
		os.Exit(1)
	}
	results, err := o.run(ctx)
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(results)
	} else {
		measure.PrintTable(results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// memoryLimit is the soft limit that the daemon has by default.
const memoryLimit = 400 << 20

// storeFormat is part of the name of a store that is kept: raised when one of an earlier build would not be measured alike.
const storeFormat = 1

type options struct {
	keys    uint64
	dir     string
	workers int
	file    int64
	overlay int64
	only    []string
}

// figures are measured in this order. What writes comes behind what only reads. A new figure is a line here, and a method.
var figures = []struct {
	name    string
	measure func(*bench, context.Context) ([]measure.Result, error)
	alone   bool // it needs no bucket that was loaded
}{
	{"load", (*bench).load, false},
	{"start", (*bench).start, false},
	{"pages", (*bench).pages, false},
	{"points", (*bench).points, false},
	{"delimiter", (*bench).delimiter, false},
	{"listing", (*bench).listing, false},
	{"s3", (*bench).s3, false},
	{"versions", (*bench).versions, true},
	{"acknowledge", (*bench).acknowledge, false},
	{"diff", (*bench).diff, false},
	{"rename", (*bench).rename, true},
	{"file", (*bench).largeFile, true},
}

// wanted are the figures that the options name, behind the load, where one of them needs that.
func (o options) wanted() map[string]bool {
	want := map[string]bool{}
	for _, f := range figures {
		want[f.name] = want[f.name] || len(o.only) == 0 || slices.Contains(o.only, f.name)
		want["load"] = want["load"] || want[f.name] && !f.alone
	}
	return want
}

// bench is one run.
type bench struct {
	options
	*site
}

// store is where the store of the options is.
func (o options) store(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("keys-%d.v%d", o.keys, storeFormat))
}

// crash ends by a signal, or with an error.
func (o options) crash(ctx context.Context, records uint64) (err error) {
	b := &bench{options: o}
	b.dir = o.store(o.dir)
	if b.site, err = open(ctx, b.dir, o.overlay); err != nil {
		return err
	}
	return b.die(ctx, records)
}

func (o options) run(ctx context.Context) (results []measure.Result, err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "edgefs-scale-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	b := &bench{options: o}
	b.dir = o.store(dir)
	if err := b.room(); err != nil {
		return nil, err
	}
	if b.site, err = open(ctx, b.dir, o.overlay); err != nil {
		return nil, err
	}
	defer func() {
		if b.site != nil {
			err = errors.Join(err, b.close())
		}
	}()
	want := o.wanted()
	for _, f := range figures {
		if !want[f.name] {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", f.name)
		rs, err := f.measure(b, ctx)
		results = append(results, rs...)
		if err != nil {
			return results, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return results, nil
}
