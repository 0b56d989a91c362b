package disks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine is a tree as /proc, /sys and /dev have it.
type machine struct {
	t      *testing.T
	root   string
	mounts []string
}

func (m *machine) file(name string, content []byte) {
	m.t.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) mount(number, root, at, options, kind, source string) {
	m.mounts = append(m.mounts, fmt.Sprintf("36 35 %s %s %s %s master:1 - %s %s rw", number, root, at, options, kind, source))
	if err := os.MkdirAll(filepath.Join(m.root, strings.ReplaceAll(at, `\040`, " ")), 0o700); err != nil {
		m.t.Fatal(err)
	}
	m.file("proc/self/mountinfo", []byte(strings.Join(m.mounts, "\n")+"\n"))
}

func (m *machine) disk(name, number string, content []byte) {
	sys := filepath.Join("sys/class/block", name)
	m.file(filepath.Join(sys, "size"), fmt.Appendf(nil, "%d\n", len(content)/512))
	m.file(filepath.Join(sys, "dev"), []byte(number+"\n"))
	m.file(filepath.Join(sys, "ro"), []byte("0\n"))
	m.file(filepath.Join("dev", name), content)
}

func TestOnlyWhatIsEmptyIsFound(t *testing.T) {
	m := &machine{t: t, root: t.TempDir()}
	m.mount("8:1", "/", "/", "rw", "ext4", "/dev/sda1")
	m.mount("8:17", "/", "/mnt/empty", "rw,noatime", "ext4", "/dev/sdb1")
	m.mount("8:18", "/", `/mnt/with\040space`, "rw", "xfs", "/dev/sdb2")
	m.mount("8:19", "/", "/mnt/used", "rw", "ext4", "/dev/sdb3")
	m.mount("8:20", "/", "/mnt/readonly", "ro", "ext4", "/dev/sdb4")
	m.mount("8:21", "/below", "/mnt/bound", "rw", "ext4", "/dev/sdb5")
	m.mount("0:9", "/", "/mnt/memory", "rw", "tmpfs", "tmpfs")
	m.file("mnt/used/thesis.tex", []byte("mine"))
	if err := os.Mkdir(filepath.Join(m.root, "mnt/empty/lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	const size = 10 << 20
	at := func(off int) []byte {
		b := make([]byte, size)
		b[off] = 1
		return b
	}
	m.disk("sdc", "8:32", make([]byte, size))
	m.disk("sdd", "8:48", at(1080))   // a file system of the ext family
	m.disk("sde", "8:64", at(65600))  // btrfs
	m.disk("sdf", "8:80", at(size-1)) // a spare partition table
	m.disk("sdg", "8:96", make([]byte, size))
	m.file("sys/class/block/sdg/sdg1/partition", []byte("1\n"))
	m.disk("sdh", "8:112", make([]byte, size))
	m.file("sys/class/block/sdh/holders/dm-0/size", []byte("1\n"))
	m.disk("sdb1", "8:17", make([]byte, size)) // mounted
	m.disk("sdi", "8:128", make([]byte, size))
	m.file("sys/class/block/sdi/ro", []byte("1\n"))
	m.disk("loop0", "7:0", make([]byte, size))
	m.disk("sdj", "8:144", nil)

	found, err := Discover(t.Context(), m.root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range found {
		names = append(names, c.Kind+" "+c.Path)
		if c.Bytes <= 0 {
			t.Errorf("%+v has no size", c)
		}
	}
	if want := []string{"folder /mnt/empty", "folder /mnt/with space", "disk /dev/sdc"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
}

func TestThisMachineCanBeAsked(t *testing.T) {
	if _, err := Discover(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
}
