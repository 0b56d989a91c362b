package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

func (a *app) bucketCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bucket",
		Short: "Create, list, show, set, rename and delete buckets, and move their homes",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.bucketCreateCommand(), a.bucketListCommand(), a.bucketShowCommand(), a.bucketSetCommand(), a.bucketHomeCommand(), a.bucketRenameCommand(), a.bucketDeleteCommand())
	return c
}

// settingsFlags are the settings that create and set share.
type settingsFlags struct {
	versioning, data      string
	policy, ack           string
	compression           string
	eager                 config.Size
	keepLosers, loserDays int
	locks                 bool
	retention             string
	snapshots             string
}

func (s *settingsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&s.versioning, "versioning", "", "off, enabled or suspended")
	c.Flags().StringVar(&s.data, "data", "", "lazy: other segments fetch content when it is read; full: every segment keeps all of it")
	c.Flags().Var(&s.eager, "eager", "other segments fetch objects up to this size at once; 0 for none")
	c.Flags().StringVar(&s.policy, "policy", "", "newest: readers see the newest version; keep-both: also those that lost a conflict, as NAME~VERSION; home: every write is the home's")
	c.Flags().StringVar(&s.ack, "ack", "", "local, or copies: a write waits until a second segment has it")
	c.Flags().StringVar(&s.compression, "compression", "", "off, or fast: content that is written from now on is stored compressed (S2) where that saves a tenth")
	c.Flags().IntVar(&s.keepLosers, "keep-losers", 0, "versions that lost a conflict that are kept of a key, the newest; 0 for all")
	c.Flags().StringVar(&s.snapshots, "snapshots", "", "snapshots that are taken by themselves, as 1h:24,1d:30: every hour, the last 24 kept, and every day; off")
	c.Flags().IntVar(&s.loserDays, "loser-days", 0, "days that they are kept; 0 for ever")
	c.Flags().BoolVar(&s.locks, "locks", false, "versions can be locked; needs versioning, and stays, both for ever")
	c.Flags().StringVar(&s.retention, "retention", "", "lock that each version gets that is put, not moved by mv: none, or as governance:30d or compliance:7y")
}

// change is what the command line names.
func (s *settingsFlags) change(c *cobra.Command) (change admin.SettingsChange) {
	if c.Flags().Changed("versioning") {
		change.Versioning = &s.versioning
	}
	if c.Flags().Changed("data") {
		change.Data = &s.data
	}
	if c.Flags().Changed("eager") {
		n := int64(s.eager)
		change.EagerBytes = &n
	}
	if c.Flags().Changed("policy") {
		change.Policy = &s.policy
	}
	if c.Flags().Changed("ack") {
		change.Ack = &s.ack
	}
	if c.Flags().Changed("compression") {
		change.Compression = &s.compression
	}
	if c.Flags().Changed("locks") {
		change.Locks = &s.locks
	}
	if c.Flags().Changed("retention") {
		change.Retention = &s.retention
	}
	if c.Flags().Changed("keep-losers") {
		change.KeepLosers = &s.keepLosers
	}
	if c.Flags().Changed("loser-days") {
		change.LoserDays = &s.loserDays
	}
	if c.Flags().Changed("snapshots") {
		change.Snapshots = &s.snapshots
	}
	return change
}

func (a *app) bucketCreateCommand() *cobra.Command {
	var settings settingsFlags
	var chunks string
	c := &cobra.Command{
		Use:   "create BUCKET",
		Short: "Make a bucket, with this segment as its home",
		Long: `Make a bucket, with this segment as its home. Its name is known at all linked segments.

How payload is cut into chunks is fixed when a bucket is made: small chunks find more that is alike, large ones cost less.`,
		Example: `  edgefs bucket create photos
  edgefs bucket create media --chunks 1MiB
  edgefs bucket create config --data full --versioning enabled`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := admin.NewBucket{Name: args[0], Chunks: chunks, Settings: settings.change(cmd)}
			return a.withBucket(func(client *admin.Client) (admin.Bucket, error) { return client.CreateBucket(cmd.Context(), n) },
				func(b admin.Bucket) { a.said("created %s", b.Name) })
		},
	}
	settings.add(c)
	c.Flags().StringVar(&chunks, "chunks", "", "average size of chunks that are cut by content, as 64KiB (default) or 1MiB; fixed:SIZE for disk images")
	return c
}

func (a *app) bucketSetCommand() *cobra.Command {
	var settings settingsFlags
	c := &cobra.Command{
		Use:   "set BUCKET",
		Short: "Change a bucket's settings, at its home",
		Example: `  edgefs bucket set photos --versioning enabled
  edgefs bucket set photos --data full
  edgefs bucket set ledger --policy home`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := settings.change(cmd)
			if change == (admin.SettingsChange{}) {
				return usagef("nothing to set: name a setting, as --versioning enabled")
			}
			return a.withBucket(func(client *admin.Client) (admin.Bucket, error) {
				return client.SetBucket(cmd.Context(), args[0], change)
			},
				func(b admin.Bucket) { a.said("%s: %s%s", b.Name, settingsText(b.Settings), pendingText(b)) })
		},
	}
	settings.add(c)
	return c
}

// withBucket does something whose result is a bucket: JSON shows all of it, people get a line.
func (a *app) withBucket(do func(*admin.Client) (admin.Bucket, error), say func(admin.Bucket)) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	b, err := do(client)
	if err != nil {
		return err
	}
	if a.json {
		return a.show(b, nil)
	}
	say(b)
	return nil
}

func (a *app) bucketListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List all buckets, of all linked segments",
		Example: "  edgefs bucket list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.bucketList(cmd.Context()) },
	}
}

func (a *app) bucketList(ctx context.Context) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	buckets, err := client.Buckets(ctx)
	if err != nil {
		return err
	}
	return a.show(buckets, func(w io.Writer) {
		for _, b := range buckets {
			fmt.Fprintf(w, "%s  %-32s  home %s, %s\n", stamp(b.Created), b.Name, homeText(b), settingsText(b.Settings))
		}
	})
}

func (a *app) bucketShowCommand() *cobra.Command {
	var fold bool
	c := &cobra.Command{
		Use:   "show BUCKET",
		Short: "Describe a bucket and count what is in it",
		Long: `Describe a bucket and count what is in it.

The root is the name of everything in the bucket, all versions included: two segments that show the same root hold the same.
What was written a moment ago may not be in it yet; --fold puts it there.`,
		Example: `  edgefs bucket show photos
  edgefs bucket show photos --fold --json`,
		Args: cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			b, err := client.Bucket(cmd.Context(), args[0], fold)
			if err != nil {
				return err
			}
			return a.show(b, func(w io.Writer) { writeBucket(w, b) })
		}),
	}
	c.Flags().BoolVar(&fold, "fold", false, "put everything written so far into the root")
	return c
}

func (a *app) bucketRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Give a bucket another name, at all segments",
		Long: `Give a bucket another name, at all segments. What is in it stays, its snapshots, branches and settings too; no data moves. Clients that use
the old name are told that there is no such bucket, or find the one that has the name then. Where two segments made a bucket of one
name apart, the younger shows as NAME~SEGMENT until it is renamed.`,
		Example: `  edgefs bucket rename photos pictures
  edgefs bucket rename photos~tokyo photos-tokyo`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBucket(func(client *admin.Client) (admin.Bucket, error) {
				return client.RenameBucket(cmd.Context(), args[0], args[1])
			},
				func(b admin.Bucket) { a.said("%s is %s now", args[0], b.Name) })
		},
	}
}

func (a *app) bucketDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "delete BUCKET",
		Short:   "Delete an empty bucket",
		Example: "  edgefs bucket delete photos --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			if err := a.confirm(cmd.Context(), "Delete the bucket %s at all segments", args[0]); err != nil {
				return err
			}
			if err := client.DeleteBucket(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{"deleted": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "deleted %s\n", args[0]) })
		}),
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func homeText(b admin.Bucket) string {
	if b.HomeName != "" {
		return b.HomeName
	}
	return b.Home
}

func settingsText(s admin.Settings) string {
	text := fmt.Sprintf("versioning %s, data %s, eager %s", s.Versioning, s.Data, config.Size(s.EagerBytes))
	if s.Policy != "newest" {
		text += ", policy " + s.Policy
	}
	if s.Ack != "local" {
		text += ", ack " + s.Ack
	}
	if s.Compression == "fast" {
		text += ", compression " + s.Compression
	}
	if s.Locks {
		text += ", locks"
	}
	if s.Retention != "" {
		text += ", retention " + s.Retention
	}
	if len(s.Snapshots) > 0 {
		text += ", snapshots " + scheduleText(s.Snapshots)
	}
	return text
}

// losersText says what conflicts keep.
func losersText(l admin.Losers) string {
	text := "all losers"
	if l.Keep > 0 {
		text = fmt.Sprintf("%d losers of a key", l.Keep)
	}
	if l.Days > 0 {
		text += fmt.Sprintf(", for %d days", l.Days)
	}
	return text
}

func writeBucket(w io.Writer, b admin.Bucket) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	line("bucket", "%s", b.Name)
	line("id", "%s", b.ID)
	line("created", "%s", stamp(b.Created))
	line("home", "%s", homeText(b))
	line("chunks", "%s", b.Chunks)
	line("versioning", "%s", b.Settings.Versioning)
	line("data", "%s", b.Settings.Data)
	line("epoch", "%d", b.Epoch)
	line("eager", "%v", config.Size(b.Settings.EagerBytes))
	if len(b.Settings.Snapshots) > 0 {
		line("snapshots", "%s", scheduleText(b.Settings.Snapshots))
	}
	line("policy", "%s", b.Settings.Policy)
	line("ack", "%s", b.Settings.Ack)
	line("compression", "%s", b.Settings.Compression)
	line("keeps", "%s", losersText(b.Settings.Conflicts))
	if b.Settings.Locks {
		line("locks", "each new version: %s", cmp.Or(b.Settings.Retention, "none"))
	}
	if len(b.Pending) > 0 {
		line("settings", "pending: not known yet at %s", strings.Join(b.Pending, ", "))
	}
	if b.Stats == nil {
		return
	}
	line("objects", "%d", b.Stats.Objects)
	line("bytes", "%d (%s)", b.Stats.Bytes, humanize.IBytes(uint64(b.Stats.Bytes)))
	line("versions", "%d", b.Stats.Versions)
	line("conflicts", "%d", b.Stats.Conflicts)
	line("root", "%s", b.Stats.Root)
	if b.Stats.Pending > 0 {
		line("pending", "%s written since the root was made (--fold puts them in)", counted(int64(b.Stats.Pending), "key"))
	}
	for _, origin := range slices.Sorted(maps.Keys(b.Stats.Seen)) {
		line("seen", "%s up to %d", origin, b.Stats.Seen[origin])
	}
}
