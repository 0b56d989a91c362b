package segment

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	posixSeeds = flag.Int("posix.seeds", 200, "how many seeds TestFilesAreThoseOfPOSIX runs")
	posixSeed  = flag.Uint64("posix.seed", 0, "the one seed to replay, with its steps printed")
	posixSteps = flag.Int("posix.steps", 40, "random steps of each seed")
)

// TestFilesAreThoseOfPOSIX does the same random things to a bucket's files and to a directory of the host, and compares both after each: what was
// answered, and all that is there.
func TestFilesAreThoseOfPOSIX(t *testing.T) {
	seeds := uint64(*posixSeeds)
	if *posixSeed != 0 {
		newPosixWorld(t).run(*posixSeed, true)
		return
	}
	var p *posixWorld
	for seed := range seeds {
		if seed%50 == 0 {
			p = newPosixWorld(t)
		}
		if p.run(seed+1, false); t.Failed() {
			t.Fatalf("replay with: go test -run TestFilesAreThoseOfPOSIX ./segment -posix.seed %d", seed+1)
		}
	}
}

type posixWorld struct {
	*world
	s      *site
	xattrs bool // the host's file system has them
}

func newPosixWorld(t *testing.T) *posixWorld {
	w := newWorld(t, "a")
	dir := t.TempDir()
	return &posixWorld{w, w.site("a"), syscall.Setxattr(dir, "user.edgefs", []byte("1"), 0) == nil}
}

// posix is one seed: the same tree twice.
type posix struct {
	*posixWorld
	rng    *rand.Rand
	root   string // the host's
	bucket string
	trace  []string
	open   *os.File // the host's
}

func (w *posixWorld) run(seed uint64, verbose bool) {
	p := &posix{w, rand.New(rand.NewPCG(seed, 7)), filepath.Join(w.t.(*testing.T).TempDir(), "root"), fmt.Sprintf("bucket%d", seed), nil, nil}
	if err := os.Mkdir(p.root, 0o755); err != nil {
		w.t.Fatal(err)
	}
	b, err := w.s.CreateBucket(w.ctx, p.bucket, BucketOptions{Settings: &Settings{Versioning: Versioning(seed % 3)}})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := b.Files().SetAttr(w.ctx, "", SetFile{Mode: ptr(uint32(0o755))}); err != nil {
		w.t.Fatal(err)
	}
	for range *posixSteps {
		w.tick(time.Duration(p.rng.IntN(50)) * time.Millisecond)
		step, host, ours := p.act()
		p.trace = append(p.trace, fmt.Sprintf("%s: %v", step, host))
		if verbose {
			w.t.Logf("%s: host %v, files %v", step, host, ours)
		}
		if h, o := errnoOf(host), errnoOf(ours); h != o {
			w.t.Errorf("seed %d, %s: the host says %v, files %v (%v)\n%s", seed, step, h, o, ours, strings.Join(p.trace, "\n"))
			return
		}
		if h, o := p.hostTree(), p.ourTree(); h != o {
			w.t.Errorf("seed %d, after %s: the host has\n%sfiles are\n%s\n%s", seed, step, h, o, strings.Join(p.trace, "\n"))
			return
		}
	}
	p.checkKeys()
}

func ptr[T any](v T) *T { return &v }

func (p *posix) files() Files {
	b, err := p.s.Bucket(p.bucket)
	if err != nil {
		p.t.Fatal(err)
	}
	return b.Files()
}

func (p *posix) host(path string) string { return filepath.Join(p.root, path) }

// path is a random one, below no symbolic link: those the host would follow.
func (p *posix) path() string {
	names := []string{"a", "b", "c", "d-", "d", "é", "%~@", "\xe9"}
	if there := p.there(); len(there) > 0 && p.rng.IntN(5) < 3 {
		return there[p.rng.IntN(len(there))]
	}
	path := names[p.rng.IntN(len(names))]
	for p.rng.IntN(5) < 2 {
		if i, err := os.Lstat(p.host(path)); err == nil && i.Mode()&os.ModeSymlink != 0 {
			break
		}
		path += "/" + names[p.rng.IntN(len(names))]
	}
	if path == "%~@" || strings.HasSuffix(path, "/%~@") { // the name of an empty component, which is refused
		path += "x"
	}
	return path
}

// there are the paths that the host has.
func (p *posix) there() (paths []string) {
	err := filepath.WalkDir(p.root, func(path string, _ os.DirEntry, err error) error {
		if path != p.root {
			paths = append(paths, strings.TrimPrefix(path, p.root+"/"))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return paths
}

// is says whether the host has something of a mode there.
func (p *posix) is(path string, mode os.FileMode) bool {
	i, err := os.Lstat(p.host(path))
	return err == nil && i.Mode().Type() == mode
}

// act does one random thing to both.
func (p *posix) act() (step string, host, ours error) {
	f, path, mode := p.files(), p.path(), 0o600|uint32(p.rng.IntN(0o1000))
	switch p.rng.IntN(21) {
	case 0, 1, 2:
		step = fmt.Sprintf("create %q", path)
		_, ours = f.Create(p.ctx, path, NewFile{Mode: mode, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Exclusive: true})
		var h *os.File
		if h, host = os.OpenFile(p.host(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); host == nil {
			host = errors.Join(h.Chmod(os.FileMode(mode)), h.Close())
		}
	case 3, 4, 5:
		step = fmt.Sprintf("mkdir %q", path)
		_, ours = f.Mkdir(p.ctx, path, NewFile{Mode: mode | 0o700, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
		if host = os.Mkdir(p.host(path), 0o700); host == nil {
			host = os.Chmod(p.host(path), os.FileMode(mode|0o700))
		}
	case 6:
		target := strings.Repeat("t", 1+p.rng.IntN(100))
		step = fmt.Sprintf("symlink %q", path)
		_, ours = f.Symlink(p.ctx, target, path, NewFile{Mode: 0o777, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
		host = os.Symlink(target, p.host(path))
	case 7, 8:
		step = fmt.Sprintf("unlink %q", path)
		ours, host = f.Remove(p.ctx, path), syscall.Unlink(p.host(path))
	case 9:
		step = fmt.Sprintf("rmdir %q", path)
		ours, host = f.Rmdir(p.ctx, path), syscall.Rmdir(p.host(path))
	case 10, 11:
		return p.rename(path)
	case 12:
		return p.chmod(path, mode|0o700)
	case 13:
		return p.xattr(path)
	case 14:
		return p.turn()
	case 15:
		return p.link(path)
	default:
		return p.content(path)
	}
	return step, host, ours
}

func (p *posix) rename(from string) (step string, host, ours error) {
	to := p.path()
	step = fmt.Sprintf("rename %q to %q", from, to)
	return step, syscall.Rename(p.host(from), p.host(to)), p.files().Rename(p.ctx, from, to)
}

func (p *posix) link(from string) (step string, host, ours error) {
	to := p.path()
	host = syscall.Link(p.host(from), p.host(to))
	if _, ours = p.files().Link(p.ctx, from, to); host == syscall.EPERM && errors.Is(ours, ErrIsDirectory) {
		host, ours = nil, nil // a directory has one name
	}
	return fmt.Sprintf("link %q to %q", from, to), host, ours
}

func (p *posix) chmod(path string, mode uint32) (step string, host, ours error) {
	if p.is(path, os.ModeSymlink) {
		return "nothing", nil, nil
	}
	step = fmt.Sprintf("chmod %q %o", path, mode)
	c := SetFile{Mode: &mode}
	host = syscall.Chmod(p.host(path), mode)
	if os.Getuid() == 0 && p.rng.IntN(2) == 0 && host == nil {
		c.UID, c.GID = ptr(uint32(p.rng.IntN(100))), ptr(uint32(p.rng.IntN(100)))
		host = errors.Join(os.Chown(p.host(path), int(*c.UID), int(*c.GID)), syscall.Chmod(p.host(path), mode))
	}
	_, ours = p.files().SetAttr(p.ctx, path, c)
	return step, host, ours
}

func (p *posix) xattr(path string) (step string, host, ours error) {
	if !p.xattrs || p.is(path, os.ModeSymlink) {
		return "nothing", nil, nil
	}
	name, value := fmt.Sprintf("user.%d", p.rng.IntN(3)), fmt.Sprint(p.rng.IntN(1000))
	switch how := p.rng.IntN(4); how {
	case 3:
		step = fmt.Sprintf("removexattr %q %s", path, name)
		return step, syscall.Removexattr(p.host(path), name), p.files().RemoveXattr(p.ctx, path, name)
	default: // the constants are the kernel's
		step = fmt.Sprintf("setxattr %q %s %d", path, name, how)
		return step, syscall.Setxattr(p.host(path), name, []byte(value), how), p.files().SetXattr(p.ctx, path, name, value, SetXattr(how))
	}
}

// turn is what must change nothing that is seen.
func (p *posix) turn() (step string, host, ours error) {
	if p.rng.IntN(4) == 0 {
		p.s.restart()
		return "restart", nil, nil
	}
	b, err := p.s.Bucket(p.bucket)
	if err == nil {
		_, err = b.Fold(p.ctx)
	}
	return "fold", nil, err
}

// content changes what is in a file, by one of the ways that there are.
func (p *posix) content(path string) (step string, host, ours error) {
	i, err := os.Lstat(p.host(path))
	if err != nil || !i.Mode().IsRegular() {
		return "nothing", nil, nil
	}
	if p.rng.IntN(4) == 0 {
		return p.put(path)
	}
	p.open, host = os.OpenFile(p.host(path), os.O_RDWR, 0)
	h, ours := p.files().Open(p.ctx, path)
	if host != nil || ours != nil {
		return fmt.Sprintf("open %q", path), host, ours
	}
	defer h.Close()
	defer p.open.Close()
	for range 1 + p.rng.IntN(3) {
		step, host, ours = p.change(h, step)
		if host != nil || ours != nil {
			break
		}
	}
	if to := p.path(); p.rng.IntN(3) == 0 && path != to {
		step += fmt.Sprintf(" rename to %q", to)
		if host, ours = syscall.Rename(p.host(path), p.host(to)), p.files().Rename(p.ctx, path, to); host != nil || ours != nil {
			_, err := h.Flush(p.ctx, nil)
			return step, host, errors.Join(ours, err)
		}
	}
	_, ours = h.Flush(p.ctx, nil)
	return fmt.Sprintf("in %q %s", path, step), nil, ours
}

// change is one write of an open file.
func (p *posix) change(h *FileHandle, steps string) (step string, host, ours error) {
	off, data := p.rng.Int64N(h.Size()+2000), make([]byte, p.rng.IntN(3000))
	for i := range data {
		data[i] = byte(p.rng.IntN(256))
	}
	switch p.rng.IntN(4) {
	case 0:
		_, host = p.open.WriteAt(data, off)
		_, ours = h.WriteAt(p.ctx, data, off)
		return fmt.Sprintf("%s write %d at %d", steps, len(data), off), host, ours
	case 1:
		return fmt.Sprintf("%s truncate to %d", steps, off), p.open.Truncate(off), h.Truncate(off)
	case 2:
		_, host = p.open.Seek(0, io.SeekEnd)
		if host == nil {
			_, host = p.open.Write(data)
		}
		_, ours = h.Append(p.ctx, data)
		return fmt.Sprintf("%s append %d", steps, len(data)), host, ours
	}
	again := slices.Clone(data)
	n, host := p.open.ReadAt(data, off)
	m, ours := h.ReadAt(p.ctx, again, off)
	if host == io.EOF && ours == io.EOF {
		host, ours = nil, nil
	}
	if n != m || !bytes.Equal(data[:n], again[:m]) {
		ours = fmt.Errorf("read %d bytes, the host %d, or others", m, n)
	}
	return fmt.Sprintf("%s read %d at %d", steps, len(data), off), host, ours
}

// put replaces all of a file, as S3 clients do.
func (p *posix) put(path string) (step string, host, ours error) {
	data := strings.Repeat("x", p.rng.IntN(5000))
	at, err := p.files().GetAttr(p.ctx, path)
	if err != nil || at.Links > 1 { // of one name among others S3 makes another file
		return "put", nil, err
	}
	b, v := p.files().b, Version{}
	if v, err = b.Stat(p.ctx, at.Key, VersionRef{}); err == nil {
		_, err = b.Put(p.ctx, at.Key, Attrs{File: v.Attrs.File}, Cond{}, strings.NewReader(data))
	}
	return "put", os.WriteFile(p.host(path), []byte(data), 0), err
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	for _, c := range []struct {
		is    error
		errno syscall.Errno
	}{
		{ErrFileExists, syscall.EEXIST}, {ErrNotDirectory, syscall.ENOTDIR}, {ErrIsDirectory, syscall.EISDIR}, {ErrDirectoryInUse, syscall.ENOTEMPTY},
		{ErrNoSuchKey, syscall.ENOENT}, {ErrNameTooLong, syscall.ENAMETOOLONG}, {ErrInvalidArgument, syscall.EINVAL}, {ErrNoSuchXattr, syscall.ENODATA},
	} {
		if errors.Is(err, c.is) {
			return c.errno
		}
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	}
	return syscall.EIO
}

// node is what is compared of a file.
type node struct {
	path    string
	kind    FileType
	mode    uint32
	uid     uint32
	gid     uint32
	size    int64
	links   int
	content string // or target
	xattrs  string
}

func render3(nodes []node) string {
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.path, b.path) })
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "%q type %d mode %o owner %d:%d size %d links %d %.50q %s\n", n.path, n.kind, n.mode, n.uid, n.gid, n.size, n.links, n.content, n.xattrs)
	}
	return b.String()
}

func (p *posix) hostTree() string {
	var nodes []node
	err := filepath.WalkDir(p.root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		st := i.Sys().(*syscall.Stat_t)
		n := node{strings.TrimPrefix(strings.TrimPrefix(path, p.root), "/"), RegularFile, st.Mode & modeBits, st.Uid, st.Gid, st.Size, int(st.Nlink), "", ""}
		switch i.Mode().Type() {
		case os.ModeDir:
			n.kind, n.size, n.links = Directory, 0, 1
		case os.ModeSymlink:
			n.kind = SymbolicLink
			n.content, err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			n.content = string(data)
		}
		if p.xattrs && n.kind != SymbolicLink {
			n.xattrs = hostXattrs(path)
		}
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return render3(nodes)
}

func hostXattrs(path string) string {
	list := make([]byte, 4096)
	n, err := syscall.Listxattr(path, list)
	if err != nil {
		return err.Error()
	}
	var out []string
	for name := range strings.SplitSeq(string(bytes.TrimRight(list[:n], "\x00")), "\x00") {
		if strings.HasPrefix(name, "user.") {
			value := make([]byte, 100)
			n, err := syscall.Getxattr(path, name, value)
			out = append(out, fmt.Sprintf("%s=%s,%v", name, value[:max(n, 0)], err))
		}
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

func (p *posix) ourTree() string {
	f := p.files()
	i, err := f.GetAttr(p.ctx, "")
	if err != nil {
		p.t.Fatal(err)
	}
	nodes := []node{p.nodeOf(f, "", i)}
	nodes[0].uid, nodes[0].gid = uint32(os.Getuid()), uint32(os.Getgid())
	for dirs := []string{""}; len(dirs) > 0; dirs = dirs[1:] {
		for after := ""; ; {
			entries, more, err := f.ReadDir(p.ctx, dirs[0], after, 1+p.rng.IntN(3))
			if err != nil {
				p.t.Fatalf("read directory %q: %v", dirs[0], err)
			}
			for _, e := range entries {
				path := strings.TrimPrefix(dirs[0]+"/"+e.Name, "/")
				nodes = append(nodes, p.nodeOf(f, path, e.FileInfo))
				if e.Type == Directory {
					dirs = append(dirs, path)
				}
				after = e.Cursor
			}
			if !more {
				break
			}
		}
	}
	return render3(nodes)
}

func (p *posix) nodeOf(f Files, path string, i FileInfo) node {
	n := node{path, i.Type, i.Mode, i.UID, i.GID, i.Size, i.Links, "", ""}
	again, err := f.GetAttr(p.ctx, path)
	if err == nil && again != i {
		err = fmt.Errorf("the directory says %+v, the file %+v", i, again)
	}
	switch {
	case err != nil:
	case i.Type == SymbolicLink:
		n.content, err = f.Readlink(p.ctx, path)
	case i.Type == RegularFile:
		var o *Object
		if o, err = f.b.Open(p.ctx, i.Key, VersionRef{}); err == nil {
			n.content, err = p.s.content(o)
		}
	}
	if err != nil && err != io.EOF {
		p.t.Fatalf("%q: %v", path, err)
	}
	if p.xattrs && i.Type != SymbolicLink {
		n.xattrs = p.ourXattrs(f, path)
	}
	return n
}

func (p *posix) ourXattrs(f Files, path string) string {
	names, err := f.Xattrs(p.ctx, path)
	if err != nil {
		return err.Error()
	}
	out := []string{}
	for _, name := range names {
		value, err := f.Xattr(p.ctx, path, name)
		out = append(out, fmt.Sprintf("%s=%s,%v", name, value, err))
	}
	return fmt.Sprint(out)
}

// checkKeys compares with what S3 clients see: each key that is listed is a file or a directory under its path, and each file is a key.
func (p *posix) checkKeys() {
	f := p.files()
	page, err := f.b.List(p.ctx, ListOptions{Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range page.Entries {
		path := PathOfKey(strings.TrimSuffix(e.Version.Key, "/"), false)
		i, err := f.GetAttr(p.ctx, path)
		if err != nil || i.Key != e.Version.Key || i.Type != SymbolicLink && i.Size != e.Version.Size() {
			p.t.Errorf("key %q of %d bytes is %q, %+v, %v", e.Version.Key, e.Version.Size(), path, i, err)
		}
	}
}
