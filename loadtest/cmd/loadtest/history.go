package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/history"
)

func historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Check that a server forgets nothing that it acknowledged, across crashes",
		Long: `history put writes versions to keys and notes what it sends and what is acknowledged in a file; kill the server meanwhile.
history check, after the server is back, reads everything and fails if an acknowledged write is lost, stale, wrong or not listed.
Rounds of put and check may alternate over one file, also with other numbers of workers.`,
	}
	cmd.AddCommand(historyPutCommand(), historyCheckCommand())
	return cmd
}

func historyPutCommand() *cobra.Command {
	var c clientFlags
	var opts history.PutOptions
	var sizes string
	var asJSON bool
	cmd := &cobra.Command{Use: "put", Short: "Write and note, until interrupted or the duration is over", Args: cobra.NoArgs}
	c.add(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.State, "state", "", "file of the history, appended to")
	f.IntVarP(&opts.Workers, "concurrency", "c", 16, "workers, each with keys of its own")
	f.IntVar(&opts.Keys, "keys", 16, "keys of each worker")
	f.StringVar(&sizes, "size", "4KiB:80,64KiB:15,1MiB:5", "sizes of objects, at least 16 bytes")
	f.Float64Var(&opts.Deletes, "deletes", 0.1, "part of the writes that are deletes")
	f.DurationVarP(&opts.Duration, "duration", "d", 0, "how long; 0: until interrupted")
	f.BoolVar(&opts.UntilDown, "until-down", false, "end when the server refuses connections")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	cobra.CheckErr(cmd.MarkFlagRequired("state"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if opts.Sizes, err = loadtest.ParseSizes(sizes); err != nil {
			return err
		}
		client, err := c.client(cmd.Context())
		if err != nil {
			return err
		}
		if err := client.EnsureBucket(cmd.Context()); err != nil {
			return err
		}
		opts.Bucket = c.cfg.Bucket
		report, err := history.Put(cmd.Context(), client, opts)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), report)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d acknowledged, %d of unknown outcome, %d not sent\n", report.Acknowledged, report.Unknown, report.NotSent)
		return err
	}
	return cmd
}

func historyCheckCommand() *cobra.Command {
	var c clientFlags
	var opts history.CheckOptions
	var asJSON bool
	cmd := &cobra.Command{Use: "check", Short: "Read everything back and compare", Args: cobra.NoArgs}
	c.add(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.State, "state", "", "file of the history")
	f.IntVarP(&opts.Workers, "concurrency", "c", 16, "reads at a time")
	f.DurationVar(&opts.Wait, "wait", 30*time.Second, "how long to wait for the server to answer")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	cobra.CheckErr(cmd.MarkFlagRequired("state"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client(cmd.Context())
		if err != nil {
			return err
		}
		opts.Bucket = c.cfg.Bucket
		report, err := history.Check(cmd.Context(), client, opts)
		if err != nil {
			return err
		}
		if asJSON {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			err = writeCheck(cmd, report)
		}
		if err == nil && !report.OK() {
			err = errFailed
		}
		return err
	}
	return cmd
}

func writeCheck(cmd *cobra.Command, r *history.CheckReport) error {
	w := cmd.OutOrStdout()
	for _, example := range r.Examples {
		fmt.Fprintln(w, example)
	}
	_, err := fmt.Fprintf(w, "%d keys: %d show the acknowledged write, %d a later one in flight; %d listed; %d wrong\n", r.Keys, r.Acked, r.InFlight, r.Listed, r.Failures)
	return err
}
