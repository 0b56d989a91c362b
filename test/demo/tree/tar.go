package tree

import (
	"archive/tar"
	"fmt"
	"io"
	"time"
)

const tarBlock = 512

// TarSize is the size of what [Tree.WriteTar] writes.
func (t *Tree) TarSize() int64 {
	size := int64(2 * tarBlock) // the end
	for _, f := range t.Files {
		size += tarBlock + (f.Size+tarBlock-1)/tarBlock*tarBlock
	}
	return size
}

// WriteTar writes the tree as one archive. Equal trees are equal archives.
func (t *Tree) WriteTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, f := range t.Files {
		content, err := f.Content()
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		// USTAR has one block for a header, whatever the name.
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("tar: %s: %w", f.Name, err)
		}
		if _, err := archive.Write(content); err != nil {
			return fmt.Errorf("tar: %s: %w", f.Name, err)
		}
	}
	return archive.Close()
}
