package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/test/demo/site"
)

// bench is what one figure starts, and ends.
type bench struct {
	options
	dir  string
	ends []func()
}

// target is a server to load.
type target struct {
	endpoint string
	pid      int
	loadtest.Credentials
	site *site.Site
}

func (b *bench) end() {
	for i := len(b.ends) - 1; i >= 0; i-- {
		b.ends[i]()
	}
	b.ends = nil
}

// start runs a segment at its defaults.
func (b *bench) start(ctx context.Context, name string, flags ...string) (target, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return target{}, err
	}
	if len(flags) == 0 {
		flags = []string{"--link", "off"}
	}
	s, err := site.Start(ctx, site.Config{Binary: b.edgefs, Dir: b.dir, Name: name, Flags: flags})
	if err != nil {
		return target{}, err
	}
	b.ends = append(b.ends, func() { _ = s.Stop() })
	k, err := s.Admin.Credentials(ctx)
	if err != nil {
		return target{}, err
	}
	c := loadtest.Credentials{AccessKey: k.AccessKey, SecretKey: k.SecretKey, Region: k.Region}
	return target{s.Endpoint(), s.PID(), c, s}, nil
}

// pair runs two linked segments with a bucket that both have.
func (b *bench) pair(ctx context.Context) (hawaii, tokyo target, err error) {
	for _, t := range []struct {
		name string
		to   *target
	}{{"hawaii", &hawaii}, {"tokyo", &tokyo}} {
		address, err := site.FreeUDP()
		if err != nil {
			return hawaii, tokyo, err
		}
		if *t.to, err = b.start(ctx, t.name, "--link", address); err != nil {
			return hawaii, tokyo, err
		}
	}
	var invitation admin.Invitation
	if err := hawaii.site.CLI(ctx, &invitation, "link", "invite"); err != nil {
		return hawaii, tokyo, err
	}
	if err := tokyo.site.CLI(ctx, nil, "link", "join", invitation.Invitation); err != nil {
		return hawaii, tokyo, err
	}
	c, err := b.client(ctx, hawaii)
	if err != nil {
		return hawaii, tokyo, err
	}
	if err := c.EnsureBucket(ctx); err != nil {
		return hawaii, tokyo, err
	}
	limit, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return hawaii, tokyo, site.Until(limit, 10*time.Millisecond, func() (bool, error) {
		return tokyo.site.CLI(ctx, nil, "bucket", "show", bucket) == nil, nil
	})
}

const bucket = "bench"

// bare runs a bare server.
func (b *bench) bare(ctx context.Context, mode string, file int64) (target, error) {
	dir := filepath.Join(b.dir, "bare")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return target{}, err
	}
	cmd := exec.CommandContext(ctx, b.loadtest, "bare", "--mode", mode, "--dir", dir, "--file-size", fmt.Sprintf("%dMiB", file>>20))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return target{}, err
	}
	if err := cmd.Start(); err != nil {
		return target{}, err
	}
	b.ends = append(b.ends, func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return target{}, fmt.Errorf("bare %s: %w", mode, err)
	}
	i := strings.Index(line, "http://")
	if i < 0 {
		return target{}, fmt.Errorf("bare %s: it said %q", mode, line)
	}
	return target{endpoint: strings.Fields(line[i:])[0], pid: cmd.Process.Pid}, nil
}

func (b *bench) client(ctx context.Context, t target) (*loadtest.Client, error) {
	return loadtest.NewClient(ctx, loadtest.ClientConfig{Endpoint: t.endpoint, Bucket: bucket, Credentials: t.Credentials, Timeout: 5 * time.Minute})
}

// load runs the generator in this process. Whatever fails or is wrong ends the figure.
func (b *bench) load(ctx context.Context, t target, o loadtest.Options) (*loadtest.Report, error) {
	c, err := b.client(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := c.EnsureBucket(ctx); err != nil {
		return nil, err
	}
	r, err := loadtest.Run(ctx, c, o)
	if err != nil {
		return nil, err
	}
	if !r.OK() {
		return nil, errors.New(strings.Join(append([]string{fmt.Sprintf("%d failures", r.Failures)}, r.Examples...), "\n"))
	}
	return r, ctx.Err()
}

func size(text string) loadtest.Sizes {
	s, err := loadtest.ParseSizes(text)
	if err != nil {
		panic(err)
	}
	return s
}
