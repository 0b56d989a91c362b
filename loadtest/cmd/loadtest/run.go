package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/edgefs/edgefs/loadtest"
)

// runFlags are those of put, get, head, list, delete and mixed.
type runFlags struct {
	clientFlags
	opts   loadtest.Options
	sizes  string
	mix    string
	json   bool
	verify bool
}

func runCommands() []*cobra.Command {
	shorts := []struct {
		kind  loadtest.Kind
		short string
		keys  int
	}{
		{loadtest.Put, "Write objects", 0},
		{loadtest.Get, "Write objects, then read them at random and check every byte", 1000},
		{loadtest.Head, "Write objects, then ask for their sizes at random", 1000},
		{loadtest.List, "Write objects, then list them page by page, again and again", 10000},
		{loadtest.Delete, "Write objects, then delete each", 10000},
		{loadtest.Mixed, "Write objects, then do several things to them, at random and at once", 1000},
	}
	var commands []*cobra.Command
	for _, s := range shorts {
		commands = append(commands, runCommand(s.kind, s.short, s.keys))
	}
	return commands
}

func runCommand(kind loadtest.Kind, short string, keys int) *cobra.Command {
	flags := &runFlags{opts: loadtest.Options{Kind: kind}}
	cmd := &cobra.Command{Use: string(kind), Short: short, Args: cobra.NoArgs}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) }
	flags.clientFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.sizes, "size", "4KiB", "size of objects, or a mix by number: 4KiB:70,1MiB:30")
	f.IntVarP(&flags.opts.Concurrency, "concurrency", "c", 16, "requests at a time, each over its own connection")
	f.Uint64VarP(&flags.opts.Count, "count", "n", 0, "operations; 0: until the duration is over")
	f.DurationVarP(&flags.opts.Duration, "duration", "d", 0, "how long; 10s unless there is a count")
	f.Float64Var(&flags.opts.Rate, "rate", 0, "operations a second to send, latency counted from when each was due; 0: as fast as answers come")
	f.IntVar(&flags.opts.Keys, "keys", keys, "size of the fixed set of keys; for put, 0 makes every key new")
	f.StringVar(&flags.opts.Prefix, "prefix", "", "of keys; made of the seed by default")
	f.Uint64Var(&flags.opts.Seed, "seed", 0, "of contents, keys and choices; 0: random, reported")
	f.Float64Var(&flags.opts.Repeat, "repeat", 0, "part of the bytes that repeat between objects, 0 to 1")
	f.BoolVar(&flags.verify, "verify", true, "check what is read")
	f.IntSliceVar(&flags.opts.PIDs, "pid", nil, "server processes on this machine: report their CPU time and peak RssAnon")
	f.BoolVar(&flags.json, "json", false, "report as JSON")
	if kind != loadtest.Put {
		f.BoolVar(&flags.opts.Existing, "existing", false, "use the keys of an earlier run with the same seed, prefix, sizes and repeat")
	}
	if kind == loadtest.Mixed {
		f.StringVar(&flags.mix, "mix", "get:45,head:30,put:15,delete:10", "operations by weight")
	}
	return cmd
}

func (f *runFlags) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	if f.opts.Sizes, err = loadtest.ParseSizes(f.sizes); err != nil {
		return err
	}
	if f.opts.Kind == loadtest.Mixed {
		if f.opts.Mix, err = loadtest.ParseMix(f.mix); err != nil {
			return err
		}
	}
	f.opts.SkipVerify = !f.verify
	client, err := f.client(ctx)
	if err != nil {
		return err
	}
	line := newProgressLine(os.Stderr)
	f.opts.Progress = line.show
	report, err := loadtest.Run(ctx, client, f.opts)
	line.clear()
	if report == nil {
		return err
	}
	if writeErr := f.write(cmd.OutOrStdout(), report); writeErr != nil {
		return writeErr
	}
	if err == nil && !report.OK() {
		return errFailed
	}
	return err
}

func (f *runFlags) write(w io.Writer, report *loadtest.Report) error {
	if f.json {
		return writeJSON(w, report)
	}
	return report.WriteTable(w)
}

func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// progressLine is one line that is written over and over, on a terminal only.
type progressLine struct {
	w    io.Writer // nil: not a terminal
	last loadtest.Progress
}

func newProgressLine(f *os.File) *progressLine {
	if !term.IsTerminal(int(f.Fd())) {
		return &progressLine{}
	}
	return &progressLine{w: f}
}

func (l *progressLine) show(p loadtest.Progress) {
	if l.w == nil {
		return
	}
	last := l.last
	if p.Phase != last.Phase {
		last = loadtest.Progress{}
	}
	l.last = p
	seconds := (p.Elapsed - last.Elapsed).Seconds()
	rate, bytes := float64(p.Done-last.Done)/seconds, float64(p.Bytes-last.Bytes)/seconds
	const width = 24
	full := int(p.Part * width)
	fmt.Fprintf(l.w, "\r\033[K%s [%s%s] %s  %s op/s  %s/s", p.Phase, strings.Repeat("#", full), strings.Repeat(".", width-full),
		p.Elapsed.Truncate(time.Second), humanize.Comma(int64(rate)), humanize.IBytes(uint64(bytes)))
	if p.Failed > 0 {
		fmt.Fprintf(l.w, "  %d failed", p.Failed)
	}
}

func (l *progressLine) clear() {
	if l.w != nil {
		fmt.Fprint(l.w, "\r\033[K")
	}
}
