package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/supervise"
)

// runOptions are the flags of run.
type runOptions struct {
	dir  string
	port int
}

func (a *app) runCommand() *cobra.Command {
	o := runOptions{dir: clusterDir, port: 9000}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run two linked segments on this machine, to try it out",
		Long: `Run two linked segments on this machine, hawaii and tokyo, each in a process of its own, until Ctrl-C. They are made and linked at the
first start, and keep their data for the next one. One that is killed is started again.

Ports are counted from --port: hawaii has S3, link and metrics at the first three, tokyo at the same plus ten.`,
		Example: `  edgefs run
  edgefs run --port 9100 --dir /tmp/try`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSites(cmd.Context(), o) },
	}
	c.Flags().StringVar(&o.dir, "dir", o.dir, "directory of both segments")
	c.Flags().IntVar(&o.port, "port", o.port, "first port")
	return c
}

// site is one of the two.
type site struct {
	name string
	dir  string
	port int
}

func (s site) address(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port+n)) }

// purposes of a site's ports, in order.
func purposes() []string { return []string{"S3", "link", "metrics"} }

func (a *app) runSites(ctx context.Context, o runOptions) error {
	if o.port < 1 || o.port > 65535-12 {
		return usagef("--port %d: want a number from 1 to %d", o.port, 65535-12)
	}
	sites := []site{
		{"hawaii", filepath.Join(o.dir, "hawaii"), o.port},
		{"tokyo", filepath.Join(o.dir, "tokyo"), o.port + 10},
	}
	if err := checkPorts(sites); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	out := supervise.Lines(a.errs)
	for _, s := range sites {
		child := supervise.Child{Name: s.name, Path: self, Out: out, Args: []string{
			"serve", s.dir, "--name", s.name, "--s3", s.address(0), "--link", s.address(1), "--metrics", s.address(2), "--log-level", "warn",
		}}
		group.Go(func() error { return child.Run(ctx) })
	}
	err = a.introduce(ctx, sites, self, o)
	if err != nil {
		stop()
	}
	// A child that ended has the better reason, and its error comes first.
	return errors.Join(group.Wait(), ignoreCancelled(err))
}

func ignoreCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// checkPorts names a port that is taken. A child would find it out too, but knows no --port.
func checkPorts(sites []site) error {
	for _, s := range sites {
		for i, purpose := range purposes() {
			if err := s.try(i); err != nil {
				return fmt.Errorf("%s for %s of %s is taken: name other ports with --port (make run: PORT=9100), or end what runs there: %w",
					s.address(i), purpose, s.name, err)
			}
		}
	}
	return nil
}

// try says whether a port is free: links take a port of UDP, all else of TCP.
func (s site) try(i int) error {
	var l io.Closer
	var err error
	if purposes()[i] == "link" {
		l, err = net.ListenPacket("udp", s.address(i))
	} else {
		l, err = net.Listen("tcp", s.address(i))
	}
	if err != nil {
		return err
	}
	return l.Close()
}

// introduce waits for the sites, links them when they are new, and tells the user.
func (a *app) introduce(ctx context.Context, sites []site, self string, o runOptions) error {
	clients := make([]*admin.Client, len(sites))
	for i, s := range sites {
		client, err := admin.Dial(s.dir, admin.Options{Silence: a.silence.Std()})
		if err != nil {
			return err
		}
		defer client.Close()
		if err := waitReady(ctx, client); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		clients[i] = client
	}
	if err := linkOnce(ctx, clients[0], clients[1]); err != nil {
		return fmt.Errorf("link %s and %s: %w", sites[0].name, sites[1].name, err)
	}
	a.tell(sites, self, o)
	return nil
}

// startTime is what a segment may take to be ready.
const startTime = 2 * time.Minute

func waitReady(ctx context.Context, client *admin.Client) error {
	ctx, stop := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("not ready after %v", startTime))
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if h, err := client.Health(ctx); err == nil && h.Ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// linkOnce joins guest to host, unless they are linked.
func linkOnce(ctx context.Context, host, guest *admin.Client) error {
	links, err := guest.Links(ctx)
	if err != nil || len(links) > 0 {
		return err
	}
	i, err := host.Invite(ctx, admin.InvitationRequest{Valid: "5m"})
	if err != nil {
		return err
	}
	_, err = guest.Join(ctx, i.Invitation)
	return err
}

func (a *app) tell(sites []site, self string, o runOptions) {
	command, name := shortest(self), func(s site) string { return s.name }
	if o.dir != clusterDir {
		name = func(s site) string { return quoted(s.dir) }
	}
	for _, s := range sites {
		a.said("%-8s S3 http://%s   data %s", s.name, s.address(0), s.dir)
	}
	a.said("\nTry, in another terminal:")
	a.said("  %s -e %s bucket create demo", command, name(sites[0]))
	a.said("  %s -e %s put README.md demo/README.md", command, name(sites[0]))
	a.said("  %s -e %s cat demo/README.md", command, name(sites[1]))
	a.said("\nFor S3 clients: eval $(%s env %s)", command, name(sites[1]))
	a.said("Ctrl-C ends both; their data stays in %s.", o.dir)
}

// shortest is how a person calls this program from here.
func shortest(self string) string {
	if found, err := exec.LookPath("edgefs"); err == nil && found == self {
		return "edgefs"
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, self); err == nil && len(rel) < len(self) {
			return rel
		}
	}
	return self
}
