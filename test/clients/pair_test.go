package clients_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pair is two linked segments.
type pair struct {
	edgefs        string // the command
	hawaii, tokyo *site
}

// site is a segment as its clients see it.
type site struct {
	Endpoint  string `json:"endpoint"` // URL of its S3
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
	Region    string `json:"region"`

	name, dir string
	cmd       *exec.Cmd
	log       *os.File
	done      chan error // gets what the process ended with
}

// startPair builds the command, starts two segments with their data below dir, and links them.
func startPair(dir string) (*pair, error) {
	p := &pair{edgefs: filepath.Join(dir, "edgefs")}
	build := exec.Command("go", "build", "-o", p.edgefs, "./cmd/edgefs")
	build.Dir = root()
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build edgefs: %w\n%s", err, out)
	}
	var err error
	if p.hawaii, err = startSite(p.edgefs, dir, "hawaii"); err != nil {
		return nil, err
	}
	if p.tokyo, err = startSite(p.edgefs, dir, "tokyo"); err != nil {
		return nil, errors.Join(err, p.hawaii.stop())
	}
	if err := p.link(); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *pair) link() error {
	invitation, err := exec.Command(p.edgefs, "-e", p.hawaii.dir, "link", "invite").Output()
	if err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	join := exec.Command(p.edgefs, "-e", p.tokyo.dir, "link", "join", "-")
	join.Stdin = bytes.NewReader(invitation)
	if out, err := join.CombinedOutput(); err != nil {
		return fmt.Errorf("join: %w\n%s", err, out)
	}
	return nil
}

// stop ends both, as a service manager would, and says if one had not ended well, or had told of errors.
func (p *pair) stop() error {
	return errors.Join(p.hawaii.stop(), p.tokyo.stop(), p.hawaii.errors(), p.tokyo.errors())
}

func (p *pair) tellLogs(w io.Writer) {
	for _, s := range []*site{p.hawaii, p.tokyo} {
		text, err := os.ReadFile(s.log.Name())
		fmt.Fprintf(w, "--- %s said (%v):\n%s", s.name, err, text[max(0, len(text)-8<<10):])
	}
}

// startSite starts a segment and waits until it serves.
func startSite(edgefs, dir, name string) (*site, error) {
	s := &site{name: name, dir: filepath.Join(dir, name), done: make(chan error, 1)}
	var err error
	if s.log, err = os.Create(s.dir + ".log"); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(edgefs, "serve", s.dir, "--name", name, "--s3", "127.0.0.1:0", "--link", "127.0.0.1:0", "--metrics", "off", "--log-level", "warn")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	if err := s.ready(edgefs); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// ready waits until the segment tells its endpoint and keys.
func (s *site) ready(edgefs string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		out, err := exec.Command(edgefs, "env", s.dir, "--json").Output()
		if err == nil {
			return json.Unmarshal(out, s)
		}
		select {
		case err := <-s.done:
			s.done <- err
			text, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("%s ended: %w\n%s", s.name, err, text)
		case <-late:
			return fmt.Errorf("%s does not serve: %w", s.name, err)
		case <-tick.C:
		}
	}
}

func (s *site) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is told below
	select {
	case err := <-s.done:
		if err != nil {
			return fmt.Errorf("%s ended: %w", s.name, err)
		}
		return nil
	case <-time.After(time.Minute):
		return errors.Join(fmt.Errorf("%s does not end", s.name), s.cmd.Process.Kill())
	}
}

// errors are what the site's log calls errors: a request that ended with 500, or was cut.
func (s *site) errors() error {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err
	}
	var found []string
	for _, line := range lines(string(text)) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic:") {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s told of %d errors, as\n%s", s.name, len(found), strings.Join(found[:min(len(found), 10)], "\n"))
}

// host is the site's HOST:PORT.
func (s *site) host() string {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		panic(err) // the segment made it
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		panic("a test must not leave this machine: " + s.Endpoint)
	}
	return u.Host
}

// env is what AWS's own tools and libraries read, and S3_ENDPOINT for those that need to be told in their code.
func (s *site) env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_DEFAULT_REGION=" + s.Region,
		"AWS_REGION=" + s.Region,
		"AWS_ENDPOINT_URL=" + s.Endpoint,
		"AWS_EC2_METADATA_DISABLED=true",
		"S3_ENDPOINT=" + s.Endpoint,
	}
}

// peerEnv tells a program of the other site.
func (s *site) peerEnv() []string {
	var env []string
	for _, v := range s.env() {
		env = append(env, "PEER_"+strings.TrimPrefix(v, "AWS_"))
	}
	return env
}
