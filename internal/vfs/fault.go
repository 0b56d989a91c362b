package vfs

import (
	"io"
	"io/fs"
	"sync"
)

// Fault is a file system that tests make fail or hang, over one that works. Whatever it refuses does nothing below.
type Fault struct {
	under FS

	mu  sync.RWMutex
	ask func(Op) error
}

// NewFault makes a file system that does what under does.
func NewFault(under FS) *Fault { return &Fault{under: under} }

// Inject asks f before every operation, closing files apart; an error of f is the operation's. While f does not return, the operation hangs, and
// only that one. nil ends it for the operations that follow.
func (f *Fault) Inject(ask func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ask = ask
}

// Fail makes every operation of the kinds fail with err.
func (f *Fault) Fail(err error, kinds ...OpKind) {
	f.Inject(func(op Op) error {
		if op.is(kinds) {
			return err
		}
		return nil
	})
}

// Hang makes every operation of the kinds wait until release is called; of no kinds, every operation.
func (f *Fault) Hang(kinds ...OpKind) (release func()) {
	held := make(chan struct{})
	f.Inject(func(op Op) error {
		if len(kinds) == 0 || op.is(kinds) {
			<-held
		}
		return nil
	})
	return sync.OnceFunc(func() {
		f.Inject(nil)
		close(held)
	})
}

func (op Op) is(kinds []OpKind) bool {
	for _, k := range kinds {
		if op.Kind == k {
			return true
		}
	}
	return false
}

func (f *Fault) begin(op Op) error {
	f.mu.RLock()
	ask := f.ask
	f.mu.RUnlock()
	if ask == nil {
		return nil
	}
	if err := ask(op); err != nil {
		return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
	}
	return nil
}

// Open is [FS.Open]; it counts as [OpCreate] where it may make the file, else as [OpRead].
func (f *Fault) Open(name string, mode Mode) (File, error) {
	kind := OpRead
	if mode&Create != 0 {
		kind = OpCreate
	}
	if err := f.begin(Op{Kind: kind, Name: name}); err != nil {
		return nil, err
	}
	file, err := f.under.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return faultFile{file, f, name}, nil
}

// Rename is [FS.Rename].
func (f *Fault) Rename(oldname, newname string) error {
	if err := f.begin(Op{Kind: OpRename, Name: newname}); err != nil {
		return err
	}
	return f.under.Rename(oldname, newname)
}

// Remove is [FS.Remove].
func (f *Fault) Remove(name string) error {
	if err := f.begin(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.under.Remove(name)
}

// RemoveAll is [FS.RemoveAll].
func (f *Fault) RemoveAll(name string) error {
	if err := f.begin(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.under.RemoveAll(name)
}

// ReadDir is [FS.ReadDir].
func (f *Fault) ReadDir(name string) ([]string, error) {
	if err := f.begin(Op{Kind: OpRead, Name: name}); err != nil {
		return nil, err
	}
	return f.under.ReadDir(name)
}

// MkdirAll is [FS.MkdirAll].
func (f *Fault) MkdirAll(name string) error {
	if err := f.begin(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return f.under.MkdirAll(name)
}

// SyncDir is [FS.SyncDir].
func (f *Fault) SyncDir(name string) error {
	if err := f.begin(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return f.under.SyncDir(name)
}

// Stat is [FS.Stat].
func (f *Fault) Stat(name string) (Info, error) {
	if err := f.begin(Op{Kind: OpRead, Name: name}); err != nil {
		return Info{}, err
	}
	return f.under.Stat(name)
}

// Free is [FS.Free].
func (f *Fault) Free(name string) (int64, error) {
	if err := f.begin(Op{Kind: OpRead, Name: name}); err != nil {
		return 0, err
	}
	return f.under.Free(name)
}

// Lock is [FS.Lock].
func (f *Fault) Lock(name string) (io.Closer, error) {
	if err := f.begin(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	return f.under.Lock(name)
}

type faultFile struct {
	File
	fs   *Fault
	name string
}

func (f faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.begin(Op{OpRead, f.name, off, int64(len(p))}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.begin(Op{OpWrite, f.name, off, int64(len(p))}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f faultFile) Truncate(size int64) error {
	if err := f.fs.begin(Op{Kind: OpTruncate, Name: f.name, Off: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f faultFile) Allocate(size int64) error {
	if err := f.fs.begin(Op{Kind: OpAllocate, Name: f.name, Off: size}); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

func (f faultFile) Sync() error {
	if err := f.fs.begin(Op{Kind: OpSync, Name: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}
