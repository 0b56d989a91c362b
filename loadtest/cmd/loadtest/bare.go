package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/bare"
)

func bareCommand() *cobra.Command {
	var mode, listen, dir, size string
	var buffered, allowRemote bool
	cmd := &cobra.Command{
		Use:   "bare",
		Short: "Serve the bare work behind one figure, to compare a real server with",
		Long: `bare answers the S3 requests of loadtest with the physical work and nothing else, until interrupted. It prints its address first.

  put-group-commit  append the body to a pre-written file, one group-committing fdatasync
  put-stages        read, MD5, cut by content, BLAKE3, append, fdatasync
  get-verify        pread from the page cache, BLAKE3, answer
  get-stages        the same in pieces of 1 MiB`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&mode, "mode", string(bare.PutGroupCommit), "put-group-commit, put-stages, get-verify or get-stages")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address; port 0 takes a free one")
	f.StringVar(&dir, "dir", "", "where to keep the file; a temporary directory by default")
	f.StringVar(&size, "file-size", "1GiB", "of the file, written before serving")
	f.BoolVar(&buffered, "buffered", false, "write through the page cache instead of O_DIRECT")
	f.BoolVar(&allowRemote, "allow-remote", false, "listen on an address that is not a loopback one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		bytes, err := humanize.ParseBytes(size)
		if err != nil {
			return fmt.Errorf("--file-size %q: want something like 1GiB", size)
		}
		if dir == "" {
			if dir, err = os.MkdirTemp("", "loadtest-bare-"); err != nil {
				return err
			}
			defer os.Remove(dir)
		}
		listener, err := listenOn(listen, allowRemote)
		if err != nil {
			return err
		}
		server, err := bare.Open(bare.Options{Mode: bare.Mode(mode), Dir: dir, FileSize: int64(bytes), Buffered: buffered})
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		fmt.Fprintf(cmd.OutOrStdout(), "http://%s\n", listener.Addr())
		return errors.Join(serve(cmd.Context(), listener, server), server.Close())
	}
	return cmd
}

func listenOn(address string, allowRemote bool) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if allowRemote || listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return listener, nil
	}
	return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, loadtest.ErrRemote), listener.Close())
}

// serve returns when ctx has ended and the last request is answered.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- server.Shutdown(context.WithoutCancel(ctx)) })
	err := server.Serve(listener)
	if stop() {
		return err // it did not end because of ctx
	}
	return <-stopped
}
