package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// manyKeys is how many a bucket has here. make bench-full takes ten million.
const manyKeys = 300_000

// keys are the figures of test/scale, in a process of its own, whose memory it is.
func (b *bench) keys(ctx context.Context) ([]result, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.scale, "-json", "-keys", fmt.Sprint(manyKeys), "-dir", b.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.scale, err)
	}
	var results []result
	return results, json.Unmarshal(out, &results)
}
