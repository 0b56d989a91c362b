package faults

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// op is what the file system is asked to do with a file.
type op struct {
	kind string // read, write or sync
	name string // of the file
}

// fault is what goes wrong with an operation; zero for nothing.
type fault struct {
	err  syscall.Errno // of a sync: what was written since the last one is forgotten, as Linux does
	lose bool          // a write is acknowledged and not done
	flip bool          // a bit of what is read is another one
}

// disk is a folder that shows another one, through which everything goes.
type disk struct {
	dir string

	mu  sync.Mutex
	ask func(op) fault
	ops map[string]int // by kind, of packs
}

// mount makes a disk without faults. Where that is not possible, the test is skipped.
func mount(t *testing.T) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("there are no file systems in user space here: %v", err)
	}
	d := &disk{dir: t.TempDir(), ops: map[string]int{}}
	root, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := fs.Mount(d.dir, &node{root.(*fs.LoopbackNode), d}, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "faults"}})
	if err != nil {
		t.Skipf("no file system in user space can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		d.set(nil)
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
		server.Wait()
	})
	return d
}

// set asks f what goes wrong with each operation on a pack. While f does not return, the operation hangs. nil ends all faults.
func (d *disk) set(f func(op) fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ask = f
}

// all makes a fault of each operation of a kind.
func (d *disk) all(kind string, of fault) {
	d.set(func(o op) fault {
		if o.kind == kind {
			return of
		}
		return fault{}
	})
}

// hang makes all operations wait until release is called.
func (d *disk) hang() (release func()) {
	held := make(chan struct{})
	d.set(func(op) fault { <-held; return fault{} })
	return sync.OnceFunc(func() { d.set(nil); close(held) })
}

// count is how often a kind of operation was asked for.
func (d *disk) count(kind string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops[kind]
}

func (d *disk) begin(o op) fault {
	if !strings.Contains(o.name, "/packs/") { // by the name that it was opened with
		return fault{}
	}
	d.mu.Lock()
	d.ops[o.kind]++
	ask := d.ask
	d.mu.Unlock()
	if ask == nil {
		return fault{}
	}
	return ask(o)
}

// node is a file or a folder.
type node struct {
	*fs.LoopbackNode
	d *disk
}

// WrapChild is [fs.NodeWrapChilder].
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{child.(*fs.LoopbackNode), n.d}
}

// flags are those to open the file below with: a fault file system has no aligned memory.
func flags(given uint32) uint32 { return given &^ uint32(syscall.O_DIRECT) }

// Open is [fs.NodeOpener]. The kernel keeps nothing of the file, so that each read and write comes here.
func (n *node) Open(_ context.Context, given uint32) (fs.FileHandle, uint32, syscall.Errno) {
	name := n.RootData.Path + "/" + n.Path(n.Root())
	f, err := os.OpenFile(name, int(flags(given))&^os.O_CREATE, 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	return &file{f: f, d: n.d}, fuse.FOPEN_DIRECT_IO, 0
}

// Create is [fs.NodeCreater].
func (n *node) Create(ctx context.Context, name string, given, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, h, _, errno := n.LoopbackNode.Create(ctx, name, flags(given), mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	if r, ok := h.(fs.FileReleaser); ok {
		r.Release(ctx)
	}
	f, err := os.OpenFile(n.RootData.Path+"/"+n.Path(n.Root())+"/"+name, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	return inode, &file{f: f, d: n.d}, fuse.FOPEN_DIRECT_IO, 0
}

// file is an open one.
type file struct {
	f *os.File
	d *disk

	mu   sync.Mutex
	undo []old // of writes since the last sync
}

// old is what a write has replaced.
type old struct {
	data []byte
	off  int64
}

// Read is [fs.FileReader].
func (f *file) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	what := f.d.begin(op{"read", f.f.Name()})
	if what.err != 0 {
		return nil, what.err
	}
	n, err := syscall.Pread(int(f.f.Fd()), dest, off)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	if what.flip && n > 0 {
		dest[n/2] ^= 4
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write is [fs.FileWriter].
func (f *file) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	what := f.d.begin(op{"write", f.f.Name()})
	if what.err != 0 {
		return 0, what.err
	}
	if what.lose {
		return uint32(len(data)), 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	was := make([]byte, len(data))
	if _, err := syscall.Pread(int(f.f.Fd()), was, off); err != nil && err != syscall.EBADF { // not open for reading
		return 0, fs.ToErrno(err)
	}
	n, err := syscall.Pwrite(int(f.f.Fd()), data, off)
	f.undo = append(f.undo, old{was, off})
	return uint32(n), fs.ToErrno(err)
}

// Fsync is [fs.FileFsyncer].
func (f *file) Fsync(context.Context, uint32) syscall.Errno {
	what := f.d.begin(op{"sync", f.f.Name()})
	f.mu.Lock()
	defer f.mu.Unlock()
	undo := f.undo
	f.undo = nil
	if what.err == 0 {
		return fs.ToErrno(syscall.Fdatasync(int(f.f.Fd())))
	}
	for i := len(undo) - 1; i >= 0; i-- {
		if _, err := syscall.Pwrite(int(f.f.Fd()), undo[i].data, undo[i].off); err != nil {
			return fs.ToErrno(err)
		}
	}
	return what.err
}

// Allocate is [fs.FileAllocater].
func (f *file) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	return fs.ToErrno(syscall.Fallocate(int(f.f.Fd()), mode, int64(off), int64(size)))
}

// Flush is [fs.FileFlusher].
func (f *file) Flush(context.Context) syscall.Errno { return 0 }

// Release is [fs.FileReleaser].
func (f *file) Release(context.Context) syscall.Errno { return fs.ToErrno(f.f.Close()) }
