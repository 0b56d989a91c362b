package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/edgefs/edgefs/test/measure"
)

// manyKeys is how many a bucket has here, and manyChunks a device. make bench-full takes ten million.
const (
	manyKeys   = 300_000
	manyChunks = 500_000
)

// keys are the figures of test/scale, in a process of its own, whose memory it is.
func (b *bench) keys(ctx context.Context) ([]measure.Result, error) {
	return b.command(ctx, b.scale, "-keys", fmt.Sprint(manyKeys))
}

// chunkEngine are the figures of test/chunks.
func (b *bench) chunkEngine(ctx context.Context) ([]measure.Result, error) {
	return b.command(ctx, b.chunks, "-chunks", fmt.Sprint(manyChunks), "-each", "2s")
}

func (b *bench) command(ctx context.Context, name string, args ...string) ([]measure.Result, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, append(args, "-json", "-dir", b.dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var results []measure.Result
	return results, json.Unmarshal(out, &results)
}
