// Package tree is a directory of files in two versions: as it lies on disk, and as it would be after a day's work on it. Both are the same
// on every run, so what a demonstration measures can be compared.
package tree

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// File is one file of a tree.
type File struct {
	Name string // with slashes, below the tree
	Size int64
	ETag string // the MD5 of the content, in hexadecimal
	path string // where the content lies, unless data holds it
	data []byte
}

// Made is a file that lies on no disk. The content must not change from then on.
func Made(name string, content []byte) File {
	return File{Name: name, Size: int64(len(content)), ETag: ETag(content), data: content}
}

// Content reads the file. The caller must not change what it gets.
func (f File) Content() ([]byte, error) {
	if f.data != nil {
		return f.data, nil
	}
	b, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != f.Size {
		return nil, fmt.Errorf("%s changed since it was scanned", f.path)
	}
	return b, nil
}

// Tree is files in the order of their names.
type Tree struct {
	Files []File
	Bytes int64
}

// Scan reads and hashes all regular files below dir. It calls each for each of them, from many goroutines.
func Scan(ctx context.Context, dir string, each func()) (*Tree, error) {
	t := &Tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		t.Files = append(t.Files, File{Name: filepath.ToSlash(name), path: path})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", dir, err)
	}
	if len(t.Files) == 0 {
		return nil, fmt.Errorf("scan %s: there are no files in it", dir)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i := range t.Files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			defer each()
			return t.Files[i].hash()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("scan %s: %w", dir, err)
	}
	slices.SortFunc(t.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	t.sum()
	return t, nil
}

func (f *File) hash() error {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	f.Size, f.ETag = int64(len(b)), ETag(b)
	return nil
}

func (t *Tree) sum() {
	t.Bytes = 0
	for _, f := range t.Files {
		t.Bytes += f.Size
	}
}

// ETag is the one that S3 gives to content put at once.
func ETag(content []byte) string {
	sum := md5.Sum(content)
	return hex.EncodeToString(sum[:])
}

// Largest is the file with the most bytes.
func (t *Tree) Largest() File {
	return slices.MaxFunc(t.Files, func(a, b File) int { return int(a.Size - b.Size) })
}
