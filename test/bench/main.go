// Command bench prints the figures that EdgeFS is judged by, each beside its raw limit: a bare server that does the physical work and
// nothing else, driven by the same client in the same run. It starts all it measures, on loopback and in a temporary folder, and ends it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/test/measure"
)

func main() {
	var o options
	flag.StringVar(&o.edgefs, "edgefs", "bin/edgefs", "the edgefs command")
	flag.StringVar(&o.loadtest, "loadtest", "bin/loadtest", "the loadtest command, for the bare servers")
	flag.StringVar(&o.scale, "scale", "bin/scale", "the command of test/scale")
	flag.StringVar(&o.chunks, "chunks", "bin/chunks", "the command of test/chunks")
	flag.StringVar(&o.dir, "dir", "", "where to keep what is measured; a temporary folder by default")
	flag.DurationVar(&o.each, "each", 8*time.Second, "how long each rate is measured")
	flag.BoolVar(&o.short, "short", false, "a tenth of the data of the memory figure")
	only := flag.String("only", "", "figures to measure, by name, with commas; all by default")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	results, err := o.run(ctx)
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(results)
	} else {
		measure.PrintTable(results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	edgefs, loadtest, scale, chunks, dir string
	each                                 time.Duration
	short                                bool
	only                                 []string
}

// figure measures one thing.
type figure struct {
	name    string
	measure func(*bench, context.Context) ([]measure.Result, error)
}

var figures = []figure{
	{"put-4k", (*bench).putSmall},
	{"get-4k", (*bench).getSmall},
	{"put-64m", (*bench).putLarge},
	{"get-64m", (*bench).getLarge},
	{"list", (*bench).list},
	{"visible", (*bench).visible},
	{"memory", (*bench).memory},
	{"keys", (*bench).keys},
	{"chunks", (*bench).chunkEngine},
}

func (o options) run(ctx context.Context) (results []measure.Result, err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "edgefs-bench-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	for _, f := range figures {
		if len(o.only) > 0 && !slices.Contains(o.only, f.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", f.name)
		at := time.Now()
		b := &bench{options: o, dir: filepath.Join(dir, f.name)}
		rs, err := f.measure(b, ctx)
		b.end()
		if err != nil {
			return results, fmt.Errorf("%s: %w", f.name, err)
		}
		for _, r := range rs {
			fmt.Fprintf(os.Stderr, "%s: %s (%.0fs)\n", f.name, r, time.Since(at).Seconds())
		}
		results = append(results, rs...)
		if err := os.RemoveAll(b.dir); err != nil {
			return results, err
		}
	}
	return results, nil
}
