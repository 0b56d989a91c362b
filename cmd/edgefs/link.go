package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

func (a *app) linkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "link",
		Short: "Join segments, and see how their links are",
		Long: `Join segments, and see how their links are.

One segment invites, the other joins: from then on both know all buckets, and each reads what the other has. Either may be the one that
can be dialled; the other may be behind NAT.`,
		Example: `  edgefs -e hawaii link invite > invitation
  edgefs -e tokyo link join - < invitation`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.linkInviteCommand(), a.linkJoinCommand(), a.linkListCommand(), a.linkStatusCommand(), a.linkRemoveCommand())
	return c
}

func (a *app) linkInviteCommand() *cobra.Command {
	valid := config.Duration(time.Hour)
	var addresses []string
	c := &cobra.Command{
		Use:   "invite",
		Short: "Make an invitation for one other segment",
		Long: `Make an invitation for one other segment. It is a secret, and works once: hand it over as you would a password.

The other segment dials the addresses in it. They are the ones this segment's configuration advertises, unless --address names others.`,
		Example: `  edgefs link invite
  edgefs link invite --address site-a.example.com:9001 --valid 10m`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			i, err := client.Invite(cmd.Context(), admin.InvitationRequest{Valid: valid.String(), Addresses: addresses})
			if err != nil {
				return err
			}
			for _, d := range i.Doubts {
				fmt.Fprintf(a.errs, "edgefs: warning: %s (--address names what the other segment can dial)\n", printable(d))
			}
			return a.show(i, func(w io.Writer) { fmt.Fprintln(w, i.Invitation) })
		}),
	}
	c.Flags().Var(&valid, "valid", "how long it may be used")
	c.Flags().StringSliceVar(&addresses, "address", nil, "HOST:PORT at which the other segment reaches this one")
	return c
}

func (a *app) linkJoinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "join INVITATION",
		Short: "Join the segment that made an invitation",
		Long: `Join the segment that made an invitation, and its federation.

"-" reads the invitation from standard input, which keeps it out of the list of processes and of the shell's history.`,
		Example: `  edgefs link join - < invitation`,
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			invitation := args[0]
			if invitation == "-" {
				in, done, err := input(cmd.Context(), a.in)
				if err != nil {
					return err
				}
				defer done()
				text, err := io.ReadAll(io.LimitReader(in, 64<<10))
				if err != nil {
					return err
				}
				invitation = string(text)
			}
			l, err := client.Join(cmd.Context(), strings.TrimSpace(invitation))
			if err != nil {
				return err
			}
			return a.show(l, func(w io.Writer) { fmt.Fprintf(w, "linked with %s\n", linkName(l)) })
		}),
	}
}

func (a *app) linkListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the segments this one is linked with",
		Example: "  edgefs link list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.links(cmd, "", func(w io.Writer, l admin.Link) {
				fmt.Fprintf(w, "%-24s  %s  %s\n", linkName(l), l.Peer, linkState(l))
			})
		},
	}
}

func (a *app) linkStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [PEER]",
		Short: "Tell how links are: state, lag, traffic",
		Example: `  edgefs link status
  edgefs link status tokyo --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.links(cmd, strings.Join(args, ""), writeLink)
		},
	}
}

// links shows the links, or the one with a peer.
func (a *app) links(cmd *cobra.Command, peer string, write func(io.Writer, admin.Link)) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Links(cmd.Context())
	if err != nil {
		return err
	}
	shown := all[:0]
	for _, l := range all {
		if peer == "" || l.Name == peer || l.Peer == peer {
			shown = append(shown, l)
		}
	}
	if peer != "" && len(shown) == 0 {
		e := failed(codeNotFound, "no link with %s", peer)
		e.hint = "edgefs link list shows all"
		return e
	}
	return a.show(shown, func(w io.Writer) {
		for _, l := range shown {
			write(w, l)
		}
		if len(shown) == 0 {
			fmt.Fprintln(w, "no links (edgefs link invite makes an invitation for another segment)")
		}
	})
}

func (a *app) linkRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "remove PEER",
		Short:   "End the link with a segment, on this side",
		Long:    "End the link with a segment, on this side. Both keep what they have; what only the other one holds can no longer be read here.",
		Example: "  edgefs link remove tokyo --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			if err := a.confirm(cmd.Context(), "End the link with %s", args[0]); err != nil {
				return err
			}
			if err := client.RemoveLink(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "removed the link with %s\n", args[0]) })
		}),
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func linkName(l admin.Link) string {
	if l.Name != "" {
		return l.Name
	}
	return l.Peer
}

func linkState(l admin.Link) string {
	state := l.State
	if l.Why != "" {
		state += ": " + l.Why
	}
	if n := len(l.Stopped); n > 0 {
		state += fmt.Sprintf(" (%s not received)", counted(int64(n), "bucket"))
	}
	return state
}

func writeLink(w io.Writer, l admin.Link) {
	fmt.Fprintf(w, "%s (%s)\n", linkName(l), l.Peer)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s "+format+"\n", append([]any{name}, args...)...)
	}
	line("state", "%s since %s", linkState(l), stamp(l.Since))
	if l.LastError != "" {
		line("last error", "%s", l.LastError)
	}
	if len(l.Addresses) > 0 {
		line("addresses", "%s", strings.Join(l.Addresses, " "))
	}
	if l.Connected != "" {
		line("connected", "%s, %s, round trip %.1f ms", l.Connected, direction(l.Dialed), l.RTT*1000)
	}
	line("behind", "%s", lagText(l.Behind))
	line("ahead", "%s", lagText(l.Ahead))
	for _, kind := range slices.Sorted(maps.Keys(l.Traffic)) {
		t := l.Traffic[kind]
		line(kind, "%s sent, %s received", humanize.IBytes(t.Sent), humanize.IBytes(t.Received))
	}
	line("fetched", "%s; %d not there; %d repaired what was damaged", counted(int64(l.Fetched), "chunk"), l.Missed, l.Repaired)
	line("served", "%s", counted(int64(l.Served), "chunk"))
	for _, b := range l.Stopped {
		line("stopped", "bucket %s since %s: %s", cmp.Or(b.Name, b.Bucket), stamp(b.Since), b.Why)
	}
}

func lagText(l admin.Lag) string {
	if !l.Known {
		return "not known: not connected since the start"
	}
	return fmt.Sprintf("%.1fs, %s of the log", l.Seconds, counted(int64(l.Entries), "entry"))
}

func direction(dialed bool) string {
	if dialed {
		return "dialled by this side"
	}
	return "dialled by the peer"
}
