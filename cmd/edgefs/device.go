package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) deviceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "device",
		Short: "See, add, drain and remove the devices that keep a segment's chunks",
		Long: `See, add, drain and remove the devices that keep a segment's chunks.

A device is a folder, best on a disk of its own. What is written goes to the devices by their free space; metadata goes to the first in the list. Each chunk lies on one device. When
one fails, the others go on: what it alone held is not available here, and is read from another segment that has it.

DEVICE is an id, the beginning of one, or a path.`,
		Example: `  edgefs device discover
  edgefs device add /mnt/disk2
  edgefs device drain /mnt/disk1 && edgefs device remove /mnt/disk1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.deviceListCommand(), a.deviceAddCommand(), a.deviceDrainCommand(), a.deviceRemoveCommand(), a.deviceDiscoverCommand())
	return c
}

func (a *app) deviceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the devices, and how they are",
		Example: `  edgefs device list
  edgefs device list --json`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			all, err := client.Devices(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(admin.Devices{Devices: all}, func(w io.Writer) {
				for _, d := range all {
					writeDevice(w, d)
				}
			})
		}),
	}
}

// shortID is enough of an id to name a device by.
const shortID = 12

func writeDevice(w io.Writer, d admin.Device) {
	fmt.Fprintf(w, "%-*.*s  %-8s  %s, %s; %s free  %s\n", shortID, shortID, d.ID, d.State, counted(d.Chunks, "chunk"), bytesText(d.Bytes), bytesText(d.FreeBytes), d.Path)
	if d.Why != "" {
		fmt.Fprintf(w, "  %s\n", d.Why)
	}
	if o := d.Opening; o != nil {
		fmt.Fprintf(w, "  %d of %s were looked at\n", o.Packs, counted(o.Of, "pack"))
	}
	if n := d.Drain; n != nil && !n.Done {
		fmt.Fprintf(w, "  %s of %s are on other devices\n", bytesText(n.Passed), bytesText(n.Bytes))
	}
	if d.DamagedChunks > 0 || d.UnreadableChunks > 0 {
		fmt.Fprintf(w, "  since the start %s and %s\n", counted(d.DamagedChunks, "damaged chunk"), counted(d.UnreadableChunks, "unreadable chunk"))
	}
}

func (a *app) deviceAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add PATH",
		Short: "Make an empty folder a device",
		Long: `Make an empty folder, at the segment's machine, a device of the segment. It takes writes at once.

A folder that holds anything is refused and left as it is, unless it is a device of this segment that was removed: that one comes back with what it holds.`,
		Example: "  edgefs device add /mnt/disk2",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			if !filepath.IsAbs(args[0]) {
				return usagef("%s: name the folder from / on, as the segment sees it", args[0])
			}
			d, err := client.AddDevice(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) { fmt.Fprintf(w, "added %s as device %.*s\n", d.Path, shortID, d.ID) })
		}),
	}
}

func (a *app) deviceDrainCommand() *cobra.Command {
	var stop bool
	c := &cobra.Command{
		Use:   "drain DEVICE",
		Short: "Move what a device holds to the others",
		Long: `Move what a device holds to the others. It takes no writes any more, and is read until it is removed.

The segment does it, at a limited rate, and goes on with it after a restart: when this command is interrupted, the drain is not. Run it again to see how far it is; --stop ends
the drain, and the device takes writes again. The exit status is 4 when the drain waits for something, as for room: it goes on by itself.`,
		Example: `  edgefs device drain /mnt/disk1
  edgefs device drain 3f09a2c1 --stop`,
		Args: cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			d, err := device(cmd, client, args[0])
			if err != nil {
				return err
			}
			if stop {
				if err := client.UndrainDevice(cmd.Context(), d.ID); err != nil {
					return err
				}
				d.State, d.Drain = admin.DeviceServing, nil
				return a.show(d, func(w io.Writer) { fmt.Fprintf(w, "device %.*s takes writes\n", shortID, d.ID) })
			}
			return a.drain(cmd, client, d)
		}),
	}
	c.Flags().BoolVar(&stop, "stop", false, "end the drain: the device takes writes again")
	return c
}

func (a *app) drain(cmd *cobra.Command, client *admin.Client, d admin.Device) error {
	if err := client.DrainDevice(cmd.Context(), d.ID); err != nil {
		return err
	}
	bar := a.progress("drain", d.Bytes)
	defer bar.done()
	err := client.FollowDevice(cmd.Context(), d.ID, func(now admin.Device) error {
		if d = now; d.Drain != nil {
			bar.at(d.Drain.Passed)
		}
		return nil
	})
	bar.done()
	switch {
	case err != nil:
		return err
	case d.State == admin.DeviceDrained:
		return a.show(d, func(w io.Writer) {
			fmt.Fprintf(w, "device %.*s is drained: %s moved (edgefs device remove takes it out)\n", shortID, d.ID, bytesText(d.Drain.Moved))
		})
	case d.State == admin.DeviceDraining:
		return failed(codeUnavailable, "the drain waits, and goes on by itself: %s", d.Why)
	}
	return failed(codeUnavailable, "the device is %s now", d.State)
}

func (a *app) deviceRemoveCommand() *cobra.Command {
	var lose bool
	c := &cobra.Command{
		Use:   "remove DEVICE",
		Short: "Take a device out of the segment",
		Long: `Take a device that is drained out of the segment. Its folder is left as it is, and may be deleted.

A device that may hold what no other device does is refused, and the answer says how much that is. --lose takes it out nevertheless: what it alone held is then lost here, and is read
from another segment that has it.`,
		Example: `  edgefs device remove /mnt/disk1
  edgefs device remove 3f09a2c1 --lose`,
		Args: cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			d, err := device(cmd, client, args[0])
			if err != nil {
				return err
			}
			if lose {
				if err := a.confirm(cmd.Context(), "Remove device %.*s at %s, and lose what it alone holds, of %s (%s)", shortID, d.ID, d.Path, counted(d.Chunks, "chunk"), bytesText(d.Bytes)); err != nil {
					return err
				}
			}
			if err := client.RemoveDevice(cmd.Context(), d.ID, lose); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": d.ID}, func(w io.Writer) {
				fmt.Fprintf(w, "removed device %.*s; nobody uses %s any more\n", shortID, d.ID, d.Path)
			})
		}),
	}
	c.Flags().BoolVar(&lose, "lose", false, "what is on no other device may be lost")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) deviceDiscoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "discover",
		Short: "Look for empty disks and folders that could be devices",
		Long: `Look, at the segment's machine, for file systems that are mounted and empty, which can be added as they are, and for disks and partitions without anything on them, which need a
file system first. It only reads, and what is not empty is not named.`,
		Example: "  edgefs device discover",
		Args:    cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			all, err := client.DiscoverDevices(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(admin.Candidates{Candidates: all}, func(w io.Writer) { writeCandidates(w, all) })
		}),
	}
}

func writeCandidates(w io.Writer, all []admin.Candidate) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing empty was found; any empty folder can be added: edgefs device add PATH")
	}
	for _, c := range all {
		if c.Kind == "disk" {
			fmt.Fprintf(w, "%-24s  %s, a blank disk: make a file system on it, mount that, and add the folder\n", c.Path, bytesText(c.Bytes))
			continue
		}
		fmt.Fprintf(w, "%-24s  %s free, an empty %s: edgefs device add %s\n", c.Path, bytesText(c.Bytes), c.Type, c.Path)
	}
}

// device finds the device that a person means.
func device(cmd *cobra.Command, client *admin.Client, name string) (admin.Device, error) {
	all, err := client.Devices(cmd.Context())
	if err != nil {
		return admin.Device{}, err
	}
	var found []admin.Device
	for _, d := range all {
		if d.ID == name || d.Path == filepath.Clean(name) {
			return d, nil
		}
		if len(name) >= 4 && strings.HasPrefix(d.ID, name) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := failed(codeNotFound, "no device %s", name)
		e.hint = refusalHint(admin.NoSuchDevice)
		return admin.Device{}, e
	}
	return admin.Device{}, usagef("%s begins the ids of %s: say more of it", name, counted(int64(len(found)), "device"))
}
