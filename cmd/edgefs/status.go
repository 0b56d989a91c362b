package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how the segment is: what it holds, its links, its endpoints",
		Long: `Tell how the segment is: what it holds, its links, its endpoints.

Exposed bytes are content that no other segment is known to hold: what would be lost with this site.`,
		Example: `  edgefs status
  edgefs -e tokyo status --json`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeStatus(w, s) })
		}),
	}
}

func writeStatus(w io.Writer, s admin.Status) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s "+format+"\n", append([]any{name}, args...)...)
	}
	ready := "serving"
	if !s.Ready {
		ready = "not ready"
	}
	line("segment", "%s (%s), %s since %s", s.Name, s.Segment, ready, stamp(s.Started))
	line("build", "%v", s.Build)
	line("data", "%s", s.Dir)
	for _, e := range []struct{ name, address string }{
		{"s3", s.Endpoints.S3}, {"admin", s.Endpoints.Admin}, {"link", s.Endpoints.Link}, {"metrics", s.Endpoints.Metrics},
	} {
		if e.address != "" {
			line(e.name, "%s", e.address)
		}
	}
	line("holds", "%s in %s, %s", counted(s.Objects, "object"), counted(int64(s.Buckets), "bucket"), bytesText(s.Bytes))
	line("chunks", "%d, %s; %d cached, %s; %s of disk on %s, %s are free", s.Storage.Chunks, bytesText(s.Storage.Bytes),
		s.Storage.CachedChunks, bytesText(s.Storage.CachedBytes), bytesText(s.Storage.DeviceBytes), counted(int64(len(s.Storage.Devices)), "device"), bytesText(s.Storage.FreeBytes))
	if s.Storage.ExposedWhy != "" {
		line("exposed", "not known: %s (edgefs verify tells more)", s.Storage.ExposedWhy)
	}
	if s.Storage.ExposedBytes >= 0 {
		line("exposed", "%s that no other segment is known to hold", bytesText(s.Storage.ExposedBytes))
	}
	if s.Storage.DamagedChunks > 0 {
		line("damage", "%s found since the start", counted(s.Storage.DamagedChunks, "damaged chunk"))
	}
	for _, d := range s.Storage.Devices {
		if d.State != admin.DeviceServing {
			line("device", "%s at %s: %s", strings.ToUpper(d.State), d.Path, cmp.Or(d.Why, "edgefs device list tells more"))
		}
	}
	if s.Conflicts > 0 {
		line("conflicts", "%d (edgefs conflicts shows them)", s.Conflicts)
	}
	for _, l := range s.Links {
		line("link", "%s %s%s", linkName(l), linkState(l), behindText(l.Behind))
	}
}

// behindText goes on with what is said of a link.
func behindText(l admin.Lag) string {
	if !l.Known {
		return ""
	}
	return fmt.Sprintf(", behind by %.1fs", l.Seconds)
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
