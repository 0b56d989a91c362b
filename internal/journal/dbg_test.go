package journal

import (
	"fmt"
	"github.com/edgefs/edgefs/internal/vfs"
	"strings"
)

func dump(fs vfs.FS) string {
	var b strings.Builder
	names, _ := fs.ReadDir("log")
	for _, n := range names {
		f, _ := fs.Open("log/"+n, 0)
		size, _ := f.Size()
		hd := make([]byte, 64)
		f.ReadAt(hd, 0)
		info, err := decodeFileInfo(hd)
		fmt.Fprintf(&b, "%s size %d gen %d %v\n", n, size, info.generation, err)
		for off := int64(4096); off < size; off += 4096 {
			bb := make([]byte, 64)
			f.ReadAt(bb, off)
			g := info
			if h, ok := decodeHeader(g, off, bb); ok {
				fmt.Fprintf(&b, "   %d: first %d count %d\n", off, h.first, h.count)
			}
		}
	}
	return b.String()
}
