// Package site runs segments as their users do: the binary in a process of its own, driven by S3, by the command line and by the admin API.
package site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/internal/admin"
)

// Config says how to run a segment.
type Config struct {
	Binary string // the edgefs command
	Dir    string // its data is in DIR/NAME, what it says in DIR/NAME.log
	Name   string
	Flags  []string // more of edgefs serve
}

// Site is a segment. What it was started with stays over a restart, its S3 address too.
type Site struct {
	cfg     Config
	process *process // nil when it does not run
	address string   // of S3

	Admin *admin.Client
	S3    *minio.Core
}

// Start runs a segment and waits until it serves.
func Start(ctx context.Context, c Config) (*Site, error) {
	s := &Site{cfg: c, address: "127.0.0.1:0"}
	client, err := admin.Dial(s.Dir(), admin.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	s.Admin = client
	if _, err := s.Run(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	k, err := client.Credentials(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.Name, err), s.Stop())
	}
	s.address = strings.TrimPrefix(k.Endpoint, "http://")
	if s.S3, err = dialS3(s.address, k); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.Name, err), s.Stop())
	}
	return s, nil
}

// Name is what the segment is called.
func (s *Site) Name() string { return s.cfg.Name }

// Dir is where its data is.
func (s *Site) Dir() string { return filepath.Join(s.cfg.Dir, s.cfg.Name) }

// Endpoint is where it serves S3.
func (s *Site) Endpoint() string { return "http://" + s.address }

func (s *Site) logFile() string { return s.Dir() + ".log" }

// readyTime is how long a segment may take until it serves.
const readyTime = 30 * time.Second

// Run starts the segment, which is stopped, and waits until it serves. It returns how long that took.
func (s *Site) Run(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	args := append([]string{
		"serve", s.Dir(), "--name", s.cfg.Name, "--s3", s.address, "--metrics", "off", "--log-level", "warn",
	}, s.cfg.Flags...)
	p, err := start(s.logFile(), s.cfg.Binary, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	s.process = p
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("it does not serve after %v", readyTime))
	defer cancel()
	err = Until(ctx, 5*time.Millisecond, func() (bool, error) {
		if p.ended() {
			return false, fmt.Errorf("it ended: %w", p.err)
		}
		h, err := s.Admin.Health(ctx)
		return err == nil && h.Ready, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	return time.Since(begun), nil
}

// Kill ends the segment's process by SIGKILL.
func (s *Site) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Stop ends the segment in order. A site that does not run is stopped already.
func (s *Site) Stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.stop()
	s.process = nil
	if err != nil {
		return fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	return nil
}

// PID is the segment's process, 0 when it does not run.
func (s *Site) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Said is the last lines of what the segment said on standard error.
func (s *Site) Said(lines int) string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// CLI runs a verb of the command line against the segment, and reads its answer in JSON into out, unless that is nil.
func (s *Site) CLI(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, s.cfg.Binary, append([]string{"--endpoint", s.Dir(), "--json"}, args...)...)
	var text, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &errs
	shown := "edgefs " + strings.Join(args, " ")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s at %s: %w: %s", shown, s.cfg.Name, err, strings.TrimSpace(errs.String()))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text.Bytes(), out); err != nil {
		return fmt.Errorf("%s at %s: its answer: %w", shown, s.cfg.Name, err)
	}
	return nil
}

// Until asks again and again, pausing between, until the answer is yes, an error, or the context ends, whose cause is then the error.
func Until(ctx context.Context, pause time.Duration, ask func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// FreeUDP is an address of loopback that nobody has at the moment.
func FreeUDP() (string, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), c.Close()
}
