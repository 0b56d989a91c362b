package disks

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Candidate is an empty place.
type Candidate struct {
	Kind  string // Folder or Disk
	Path  string
	Bytes int64  // of the disk, or free in the folder's file system
	Type  string // of the file system
}

// The kinds of candidates.
const (
	// Folder is where an empty file system is mounted.
	Folder = "folder"
	// Disk is a disk or a partition without anything on it, and without a file system.
	Disk = "disk"
)

// Discover finds the file systems that are mounted and hold nothing, and the disks and partitions that nobody uses and that hold nothing where file systems, partition
// tables and volume managers keep what tells them. Those that this process may not read it leaves out. It reads /proc, /sys and /dev below root, for Linux.
func Discover(ctx context.Context, root string) ([]Candidate, error) {
	mounts, err := readMounts(root)
	if err != nil {
		return nil, err
	}
	var all []Candidate
	for _, m := range mounts {
		if c, ok := m.candidate(root); ok {
			all = append(all, c)
		}
	}
	names, err := os.ReadDir(filepath.Join(root, "sys/class/block"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c, ok := blank(root, n.Name(), mounts); ok {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Candidate) int { return cmp.Or(-cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path)) })
	return all, nil
}

// mount is a line of /proc/self/mountinfo: proc_pid_mountinfo(5).
type mount struct {
	number string // of the device, as MAJOR:MINOR
	root   string // of the mount, in its file system
	at     string
	kind   string
	source string
	only   bool // it may only be read
}

func readMounts(root string) ([]mount, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	var all []mount
	for line := range strings.Lines(string(text)) {
		head, tail, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(head), strings.Fields(tail)
		if len(f) < 6 || len(g) < 3 {
			continue
		}
		readOnly := func(options string) bool { return slices.Contains(strings.Split(options, ","), "ro") }
		all = append(all, mount{f[2], f[3], unescape(f[4]), g[0], g[1], readOnly(f[5]) || readOnly(g[2])})
	}
	return all, nil
}

// unescape reads what the kernel writes for spaces and the like: a backslash and three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// candidate is the mount if it is an empty file system on a disk.
func (m mount) candidate(root string) (Candidate, bool) {
	if m.only || m.root != "/" || m.at == "/" || !strings.HasPrefix(m.source, "/dev/") && m.kind != "zfs" && m.kind != "btrfs" {
		return Candidate{}, false
	}
	dir := filepath.Join(root, m.at)
	names, err := os.ReadDir(dir)
	if err != nil || slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() != "lost+found" }) {
		return Candidate{}, false
	}
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || unix.Access(dir, unix.W_OK) != nil {
		return Candidate{}, false
	}
	return Candidate{Folder, m.at, int64(s.Bavail) * s.Bsize, m.kind}, true
}

// blank is the disk or partition if nobody uses it and nothing is on it.
func blank(root, name string, mounts []mount) (Candidate, bool) {
	sys := filepath.Join(root, "sys/class/block", name)
	for _, p := range []string{"loop", "ram", "zram", "sr", "fd"} {
		if strings.HasPrefix(name, p) {
			return Candidate{}, false
		}
	}
	sectors, err := strconv.ParseInt(attribute(sys, "size"), 10, 64)
	number := attribute(sys, "dev")
	if err != nil || sectors == 0 || attribute(sys, "ro") != "0" || busy(sys) {
		return Candidate{}, false
	}
	if slices.ContainsFunc(mounts, func(m mount) bool { return m.number == number }) {
		return Candidate{}, false
	}
	path := filepath.Join("/dev", name)
	if !empty(filepath.Join(root, path), sectors*512) {
		return Candidate{}, false
	}
	return Candidate{Kind: Disk, Path: path, Bytes: sectors * 512}, true
}

func attribute(sys, name string) string {
	text, _ := os.ReadFile(filepath.Join(sys, name))
	return strings.TrimSpace(string(text))
}

// busy says whether a disk has partitions, or others stand on it.
func busy(sys string) bool {
	if holders, _ := os.ReadDir(filepath.Join(sys, "holders")); len(holders) > 0 {
		return true
	}
	parts, _ := filepath.Glob(filepath.Join(sys, "*", "partition"))
	return len(parts) > 0
}

// look is how much of a disk's both ends must be zero: more than what partition tables, file systems, LVM, MD and ZFS keep there.
const look = 4 << 20

// empty says whether a disk that nobody has open for himself has nothing at its ends.
func empty(path string, size int64) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_EXCL, 0) // the kernel refuses it for a disk that is mounted, or a part of something
	if err != nil {
		return false
	}
	defer f.Close()
	return zero(f, 0, min(look, size)) && zero(f, max(0, size-look), min(look, size))
}

func zero(r io.ReaderAt, off, size int64) bool {
	b := make([]byte, size)
	if n, _ := r.ReadAt(b, off); int64(n) < size {
		return false
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}
