// Command loadtest drives S3 endpoints, checks what they give back, and measures them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errFailed ends the program with status 1 when the figures already say why.
var errFailed = errors.New("something failed or was wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	err := root().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
	}
	os.Exit(1)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "loadtest",
		Short: "Drive an S3 endpoint, check what it gives back, and measure it",
		Long: `loadtest writes objects whose every byte is known to any S3 endpoint, reads them back, and reports latency, throughput and errors.

Credentials come from flags or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION; the endpoint also from AWS_ENDPOINT_URL.
The exit status is 1 when anything failed or was wrong.

  loadtest put   --endpoint http://127.0.0.1:9000 --size 4KiB --concurrency 64 --duration 10s
  loadtest get   --size 64MiB --keys 16 --concurrency 2 --count 100 --pid $(pidof edgefs)
  loadtest mixed --mix get:70,put:20,delete:10 --size 4KiB:90,1MiB:10 --keys 1000 --rate 500 --json
  loadtest list  --size 1KiB --keys 100000`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(runCommands()...)
	cmd.AddCommand(historyCommand(), bareCommand())
	return cmd
}
