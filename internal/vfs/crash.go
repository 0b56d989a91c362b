package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrCut is what every operation gives after the power was cut.
var ErrCut = errors.New("power cut")

// Sector is what a disk writes wholly or not at all.
const Sector = 512

// Crash is a file system in memory for tests. It remembers which writes and which changes of folders were synced; [Crash.Crash] is what a power
// cut leaves. Direct files refuse what is not aligned, as disks do.
type Crash struct {
	mu      sync.Mutex
	names   map[string]*node // what is seen
	durable map[string]*node // what is on the medium
	pending []nameOp
	locks   map[string]bool
	ops     int
	cut     int  // operations still to succeed; negative for no end
	refused bool // one was, since none is left
	limit   int64
	inject  func(Op) error
}

// Op describes an operation to the function handed to [Crash.Inject].
type Op struct {
	Kind     OpKind
	Name     string // as it was opened, or the new name of a rename
	Off, Len int64
}

// OpKind names an operation. All but OpRead change something and count for [Crash.Ops] and [Crash.CutAfter].
type OpKind string

// The kinds of operations.
const (
	OpRead     OpKind = "read"
	OpWrite    OpKind = "write"
	OpTruncate OpKind = "truncate"
	OpAllocate OpKind = "allocate"
	OpSync     OpKind = "sync"
	OpCreate   OpKind = "create"
	OpRename   OpKind = "rename"
	OpRemove   OpKind = "remove"
	OpMkdir    OpKind = "mkdir"
	OpSyncDir  OpKind = "syncdir"
)

// NewCrash makes an empty file system without a limit.
func NewCrash() *Crash {
	return &Crash{names: map[string]*node{}, durable: map[string]*node{}, locks: map[string]bool{}, cut: -1, limit: 1 << 62}
}

// Ops is the number of operations that changed something so far.
func (c *Crash) Ops() int { c.mu.Lock(); defer c.mu.Unlock(); return c.ops }

// CutAfter lets n more changes succeed; then every operation fails with [ErrCut] and changes nothing.
func (c *Crash) CutAfter(n int) { c.mu.Lock(); defer c.mu.Unlock(); c.cut = n }

// IsCut says whether an operation was refused because the power was cut.
func (c *Crash) IsCut() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.refused }

// Limit sets the size of the disk: the sum of all files' sizes beyond which they do not grow.
func (c *Crash) Limit(bytes int64) { c.mu.Lock(); defer c.mu.Unlock(); c.limit = bytes }

// Inject asks f before every operation; an error of f is the operation's, which then does nothing, except that a failed sync forgets, as
// Linux does, that the writes before it are not on the disk. f must not call the file system. nil ends it.
func (c *Crash) Inject(f func(Op) error) { c.mu.Lock(); defer c.mu.Unlock(); c.inject = f }

// Crash returns what is found after a power cut at this moment. Each write that was not synced is kept, lost or torn between sectors, each
// change of a folder that was not synced is kept or lost; one that was lost takes with it those after it that build on it.
func (c *Crash) Crash(rng *rand.Rand) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := maps.Clone(c.durable)
	var lost nameOps
	for _, op := range c.pending {
		if rng.IntN(2) == 0 || lost.touch(op) {
			lost = append(lost, op)
			continue
		}
		op.apply(names)
	}
	after := NewCrash()
	for _, name := range slices.Sorted(maps.Keys(names)) { // sorted, so that a seed gives the same each time
		if parent := path.Dir(name); !root(parent) && after.names[parent] == nil {
			continue // its folder was lost
		}
		n := names[name].crash(rng)
		after.names[name], after.durable[name] = n, n
	}
	return after
}

// Kill makes the file system what the next process finds when this one was killed, but the machine goes on: all that was written is seen, though
// it may not survive a power cut yet; locks are free; a cut of [Crash.CutAfter] is over.
func (c *Crash) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.refused, c.inject = -1, false, nil
	clear(c.locks)
}

// begin is asked before each operation, with the lock held.

func (c *Crash) begin(op Op) error {
	if c.cut == 0 {
		c.refused = true
		return ErrCut
	}
	if c.inject != nil {
		if err := c.inject(op); err != nil {
			return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
		}
	}
	if op.Kind == OpRead {
		return nil
	}
	c.ops++
	if c.cut > 0 {
		c.cut--
	}
	return nil
}

// Open is [FS.Open].
func (c *Crash) Open(name string, mode Mode) (File, error) {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[name]
	switch {
	case n == nil && mode&Create == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n != nil && mode&Create != 0 && mode&Exclusive != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case n != nil && n.dir:
		return nil, pathError("open", name, syscall.EISDIR)
	}
	kind := OpRead
	if n == nil {
		kind = OpCreate
	}
	if err := c.begin(Op{Kind: kind, Name: name}); err != nil {
		return nil, err
	}
	if n == nil {
		if err := c.hasParent(name); err != nil {
			return nil, err
		}
		n = &node{}
		c.change(nameOp{link: name, node: n})
	}
	return &crashFile{c, n, name, mode}, nil
}

// Rename is [FS.Rename].
func (c *Crash) Rename(oldname, newname string) error {
	oldname, newname = path.Clean(oldname), path.Clean(newname)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[oldname]
	if n == nil {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	if n.dir {
		return pathError("rename", oldname, syscall.ENOTSUP)
	}
	if err := c.hasParent(newname); err != nil {
		return err
	}
	if err := c.begin(Op{Kind: OpRename, Name: newname}); err != nil {
		return err
	}
	c.change(nameOp{unlink: oldname, link: newname, node: n})
	return nil
}

// Remove is [FS.Remove].
func (c *Crash) Remove(name string) error {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[name]
	if n == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if n.dir && len(c.inside(name)) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	if err := c.begin(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	c.change(nameOp{unlink: name, node: n})
	return nil
}

// RemoveAll is [FS.RemoveAll].
func (c *Crash) RemoveAll(name string) error {
	names, err := c.ReadDir(name)
	for _, n := range names {
		if err := c.RemoveAll(path.Join(name, n)); err != nil {
			return err
		}
	}
	if err == nil || errors.Is(err, syscall.ENOTDIR) {
		err = c.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ReadDir is [FS.ReadDir].
func (c *Crash) ReadDir(name string) ([]string, error) {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.begin(Op{Kind: OpRead, Name: name}); err != nil {
		return nil, err
	}
	if n := c.names[name]; n == nil && !root(name) {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	} else if n != nil && !n.dir {
		return nil, pathError("readdir", name, syscall.ENOTDIR)
	}
	return c.inside(name), nil
}

func (c *Crash) inside(dir string) []string {
	var names []string
	for name := range c.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names
}

// MkdirAll is [FS.MkdirAll].
func (c *Crash) MkdirAll(name string) error {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	var todo []string
	for ; !root(name); name = path.Dir(name) {
		if n := c.names[name]; n != nil && !n.dir {
			return pathError("mkdir", name, syscall.ENOTDIR)
		} else if n != nil {
			break
		}
		todo = append(todo, name)
	}
	for _, dir := range slices.Backward(todo) {
		if err := c.begin(Op{Kind: OpMkdir, Name: dir}); err != nil {
			return err
		}
		c.change(nameOp{link: dir, node: &node{dir: true}})
	}
	return nil
}

// SyncDir is [FS.SyncDir].
func (c *Crash) SyncDir(name string) error {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.names[name]; !root(name) && (n == nil || !n.dir) {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	if err := c.begin(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	c.pending = slices.DeleteFunc(c.pending, func(op nameOp) bool {
		if !op.in(name) {
			return false
		}
		op.apply(c.durable)
		return true
	})
	return nil
}

// Stat is [FS.Stat].
func (c *Crash) Stat(name string) (Info, error) {
	name = path.Clean(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.begin(Op{Kind: OpRead, Name: name}); err != nil {
		return Info{}, err
	}
	if root(name) {
		return Info{Dir: true}, nil
	}
	n := c.names[name]
	if n == nil {
		return Info{}, pathError("stat", name, fs.ErrNotExist)
	}
	return Info{Size: int64(len(n.data)), Dir: n.dir}, nil
}

// Free is [FS.Free].
func (c *Crash) Free(string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit - c.used(), nil
}

func (c *Crash) used() int64 {
	var sum int64
	for _, n := range c.names {
		sum += int64(len(n.data))
	}
	return sum
}

// Lock is [FS.Lock]. The file system after a crash has no locks.
func (c *Crash) Lock(name string) (io.Closer, error) {
	name = path.Clean(name)
	f, err := c.Open(name, Create)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.locks[name] {
		return nil, &LockedError{Name: name, Owner: ownPID()}
	}
	c.locks[name] = true
	return unlocker{c, name, f}, nil
}

type unlocker struct {
	c    *Crash
	name string
	f    File
}

func (u unlocker) Close() error {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	delete(u.c.locks, u.name)
	return nil
}

func (c *Crash) change(op nameOp) {
	op.apply(c.names)
	c.pending = append(c.pending, op)
}

func (c *Crash) hasParent(name string) error {
	parent := path.Dir(name)
	if root(parent) {
		return nil
	}
	if n := c.names[parent]; n == nil || !n.dir {
		return pathError("open", name, fs.ErrNotExist)
	}
	return nil
}

// root says whether a folder exists without having been made.
func root(dir string) bool { return dir == "." || dir == "/" || strings.HasSuffix(dir, "..") }

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// nameOp is a change of folders: a name goes, a name comes to mean node, or both.
type nameOp struct {
	unlink, link string
	node         *node
}

type nameOps []nameOp

func (op nameOp) apply(names map[string]*node) {
	if op.unlink != "" {
		delete(names, op.unlink)
	}
	if op.link != "" {
		names[op.link] = op.node
	}
}

func (op nameOp) in(dir string) bool {
	return op.unlink != "" && path.Dir(op.unlink) == dir || op.link != "" && path.Dir(op.link) == dir
}

func (op nameOp) names(name string) bool { return name != "" && (op.unlink == name || op.link == name) }

// touch says whether op concerns a file or a name that one of ops concerns.
func (ops nameOps) touch(op nameOp) bool {
	return slices.ContainsFunc(ops, func(o nameOp) bool {
		return o.node == op.node || o.names(op.unlink) || o.names(op.link)
	})
}

// node is a file or a folder.
type node struct {
	dir     bool
	data    []byte // what is seen
	durable []byte // what is on the medium
	pending []dataOp
}

// dataOp is a write of data at off or, without data, a change of the size to off.
type dataOp struct {
	off  int64
	data []byte
}

func (op dataOp) apply(to []byte) []byte {
	if op.data == nil {
		return resize(to, op.off)
	}
	if end := op.off + int64(len(op.data)); end > int64(len(to)) {
		to = resize(to, end)
	}
	copy(to[op.off:], op.data)
	return to
}

// resize cuts b or fills it up with zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		clear(b[size:])
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (n *node) change(op dataOp) {
	n.data = op.apply(n.data)
	n.pending = append(n.pending, op)
}

func (n *node) sync() {
	for _, op := range n.pending {
		n.durable = op.apply(n.durable)
	}
	n.pending = nil
}

func (n *node) crash(rng *rand.Rand) *node {
	data := bytes.Clone(n.durable)
	for _, op := range n.pending {
		switch rng.IntN(3) {
		case 0:
			data = op.apply(data)
		case 1:
			for _, s := range op.sectors() {
				if rng.IntN(2) == 0 {
					data = s.apply(data)
				}
			}
		}
	}
	return &node{dir: n.dir, data: data, durable: bytes.Clone(data)}
}

// sectors splits a write as a disk may.
func (op dataOp) sectors() []dataOp {
	if op.data == nil {
		return []dataOp{op}
	}
	var parts []dataOp
	for len(op.data) > 0 {
		n := min(int64(len(op.data)), Sector-op.off%Sector)
		parts = append(parts, dataOp{op.off, op.data[:n]})
		op = dataOp{op.off + n, op.data[n:]}
	}
	return parts
}

// crashFile is an open file of a Crash.
type crashFile struct {
	c    *Crash
	n    *node
	name string
	mode Mode
}

func (f *crashFile) begin(kind OpKind, p []byte, off int64) error {
	if f.mode&Direct != 0 && p != nil && !aligned(p, off) {
		return pathError(string(kind), f.name, syscall.EINVAL)
	}
	if kind != OpRead && f.mode&(Write|Create) == 0 {
		return pathError(string(kind), f.name, syscall.EBADF)
	}
	return f.c.begin(Op{Kind: kind, Name: f.name, Off: off, Len: int64(len(p))})
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.begin(OpRead, p, off); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.begin(OpWrite, p, off); err != nil {
		return 0, err
	}
	fit := p
	if end := off + int64(len(p)); end > int64(len(f.n.data)) {
		room := int64(len(f.n.data)) + max(f.c.limit-f.c.used(), 0)
		fit = p[:max(min(room, end)-off, 0)]
	}
	if len(fit) > 0 {
		f.n.change(dataOp{off, bytes.Clone(fit)})
	}
	if len(fit) < len(p) {
		return len(fit), pathError("write", f.name, ErrNoSpace)
	}
	return len(p), nil
}

func (f *crashFile) Truncate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.begin(OpTruncate, nil, size); err != nil {
		return err
	}
	f.n.change(dataOp{off: size})
	return nil
}

func (f *crashFile) Allocate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.begin(OpAllocate, nil, size); err != nil {
		return err
	}
	grow := size - int64(len(f.n.data))
	if grow <= 0 {
		return nil
	}
	if f.c.used()+grow > f.c.limit {
		return pathError("allocate", f.name, ErrNoSpace)
	}
	f.n.change(dataOp{off: size})
	return nil
}

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.begin(OpSync, nil, 0); err != nil {
		if !errors.Is(err, ErrCut) {
			f.n.pending = nil // seen, but never to reach the medium
		}
		return err
	}
	f.n.sync()
	return nil
}

func (f *crashFile) Size() (int64, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *crashFile) Close() error { return nil }
