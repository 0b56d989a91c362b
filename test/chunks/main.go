// Command chunks measures the chunk engine through its own interfaces on a real disk, each figure beside the raw limit of the same run: what the
// disk and the processors do when nothing but the physical work is done. Each figure has a process of its own, whose memory is only its own.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/test/measure"
)

func main() {
	var o options
	flag.Int64Var(&o.chunks, "chunks", 1_000_000, "chunks of 1 KiB that the figures of many chunks are measured with")
	flag.StringVar(&o.dir, "dir", "", "where to keep what is measured; a temporary folder by default")
	flag.DurationVar(&o.each, "each", 3*time.Second, "how long each rate is measured")
	flag.StringVar(&o.inside, "figure", "", "measure only this figure, in this process")
	flag.StringVar(&o.profile, "profile", "", "write a processor profile of a figure to this file")
	die := flag.Bool("die", false, "put chunks into the device that is in the folder, and be killed")
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
	if *die {
		fmt.Fprintln(os.Stderr, "chunks:", (&bench{options: o}).die(ctx))
		os.Exit(1)
	}
	results, err := o.run(ctx)
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(results)
	} else {
		measure.PrintTable(results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chunks:", err)
		os.Exit(1)
	}
}

// memoryLimit is the soft limit that the daemon has by default.
const memoryLimit = 400 << 20

type options struct {
	chunks  int64
	dir     string
	each    time.Duration
	only    []string
	inside  string
	profile string
}

// figure is a group of figures that one process measures.
type figure struct {
	name    string
	measure func(*bench, context.Context) ([]measure.Result, error)
	needs   string // another, measured before in the same folder, which this one goes on with
}

// A new figure is a line here, and a method.
var figures = []figure{
	{"ingest", (*bench).ingest, ""},
	{"put", (*bench).put, ""},
	{"read", (*bench).read, ""},
	{"cold", (*bench).cold, ""},
	{"dedup", (*bench).ratios, ""},
	{"mark", (*bench).mark, ""},
	{"serve", (*bench).serve, ""},
	{"load", (*bench).load, ""},
	{"start", (*bench).start, "load"},
	{"crash", (*bench).crash, "load"},
	{"rebuild", (*bench).rebuild, "load"},
}

func (o options) wanted() []figure {
	want := map[string]bool{}
	for _, f := range figures {
		if len(o.only) == 0 || slices.Contains(o.only, f.name) {
			want[f.name] = true
			want[f.needs] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(figures), func(f figure) bool { return !want[f.name] })
}

// bench is what measures.
type bench struct {
	options
	buffers *dedup.Buffers // as many as the daemon lends
}

func (o options) run(ctx context.Context) (results []measure.Result, err error) {
	if o.inside != "" {
		return o.here(ctx)
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "edgefs-chunks-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	if o.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	defer o.clean()
	for _, f := range o.wanted() {
		fmt.Fprintf(os.Stderr, "%s ...\n", f.name)
		rs, err := o.apart(ctx, f)
		results = append(results, rs...)
		if err != nil {
			return results, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return results, nil
}

// clean removes what the figures have left.
func (o options) clean() {
	for _, f := range figures {
		_ = os.RemoveAll(filepath.Join(o.dir, f.name))
	}
}

// here measures a figure in this process.
func (o options) here(ctx context.Context) ([]measure.Result, error) {
	i := slices.IndexFunc(figures, func(f figure) bool { return f.name == o.inside })
	if i < 0 {
		return nil, fmt.Errorf("there is no figure %q", o.inside)
	}
	f := figures[i]
	b := &bench{o, dedup.NewBuffers(64 << 20)}
	if b.dir = filepath.Join(o.dir, f.name); f.needs != "" {
		b.dir = filepath.Join(o.dir, f.needs)
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	if o.profile == "" {
		return f.measure(b, ctx)
	}
	to, err := os.Create(o.profile)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	if err := pprof.StartCPUProfile(to); err != nil {
		return nil, err
	}
	defer pprof.StopCPUProfile()
	return f.measure(b, ctx)
}

// apart measures a figure in a process of its own.
func (o options) apart(ctx context.Context, f figure) ([]measure.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-json", "-figure", f.name, "-dir", o.dir, "-chunks", fmt.Sprint(o.chunks), "-each", fmt.Sprint(o.each), "-profile", o.profile)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var results []measure.Result
	if err := json.Unmarshal(out, &results); err != nil {
		return nil, err
	}
	for _, r := range results {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", r.What, r)
	}
	if f.name != "load" {
		err = os.RemoveAll(filepath.Join(o.dir, f.name))
	}
	return results, err
}
