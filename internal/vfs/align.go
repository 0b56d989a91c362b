package vfs

import "unsafe"

// Align is the alignment that direct I/O needs, of memory, offset and length: a page, which is no less than any disk's sector.
const Align = 4096

// Buffer returns size zero bytes at an address that direct I/O can use.
func Buffer(size int) []byte {
	b := make([]byte, size+Align)
	skip := (Align - int(address(b)%Align)) % Align
	return b[skip : skip+size : skip+size]
}

// AlignUp rounds n up to a multiple of [Align].
func AlignUp(n int64) int64 { return (n + Align - 1) &^ (Align - 1) }

func aligned(p []byte, off int64) bool {
	return off%Align == 0 && len(p)%Align == 0 && (len(p) == 0 || address(p)%Align == 0)
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }
