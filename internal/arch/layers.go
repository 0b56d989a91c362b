package arch

// Layer says which packages of the project a package may import, tests aside. A name that ends in "/..." is everything below it.
type Layer struct {
	Path string
	May  []string
}

// Layers has a row for each package, from the bottom up. A row that ends in "/..." is for packages that have none of their own.
//
// One way down: gateways, segment, dedup, chunk. Only the daemon, which wires a process together, knows everything.
func Layers() []Layer {
	return []Layer{
		// The ground: file systems, build.

		{"internal/vfs", nil},
		{"internal/vfs/...", []string{"internal/vfs"}},
		{"internal/finding", nil},
		{"internal/journal", []string{"internal/finding", "internal/vfs"}},
		{"internal/linear", nil},
		{"internal/buildinfo", nil},
		{"internal/arch", nil},
		{"internal/gotest", nil},
		{"internal/supervise", nil},
		{"internal/disks", nil},
		{"internal/tlsfile", nil},

		// Bytes.
		{"chunk", nil},
		{"chunk/chunktest", []string{"chunk"}},
		{"chunk/idset", []string{"chunk"}},
		{"chunk/pack", []string{"chunk", "chunk/idset", "internal/finding", "internal/vfs"}},
		{"chunk/spread", []string{"chunk", "chunk/pack", "internal/finding", "internal/vfs"}},
		{"chunk/stage", []string{"chunk", "internal/vfs"}},
		{"chunk/...", []string{"chunk"}},
		{"dedup", []string{"chunk", "chunk/idset"}},
		{"dedup/...", []string{"chunk", "dedup"}},

		// A site.
		{"segment/tree", []string{"chunk"}},
		{"segment/stream", nil},
		{"segment", []string{"internal/finding", "internal/journal", "chunk", "chunk/idset", "chunk/stage", "dedup", "segment/...", "internal/vfs"}},
		{"segment/...", []string{"chunk", "internal/vfs"}},

		// What joins sites.
		{"isgw", []string{"chunk", "segment", "isgw/...", "internal/vfs"}},
		{"isgw/...", []string{"chunk", "segment", "isgw/...", "internal/vfs"}},

		// What serves clients.
		{"gateways/s3", []string{"segment", "gateways/s3/..."}},
		{"gateways/s3/...", []string{"gateways/s3/..."}},

		// What manages: the API and its client know nothing of the data path, so that whoever manages does not either.
		{"internal/admin", []string{"internal/buildinfo", "internal/finding"}},
		{"internal/admin/server", []string{"internal/admin", "internal/buildinfo", "internal/finding", "segment", "segment/stream", "isgw", "dedup", "chunk"}},
		{"operator", nil},
		{"operator/...", []string{"internal/admin", "internal/buildinfo", "operator/..."}},

		// What wires and what asks.
		{"internal/config", nil},
		{"internal/datadir", []string{"internal/finding", "internal/vfs"}},
		{"internal/daemon", []string{"..."}},
		{"internal/migrate", []string{"internal/admin"}},
		{"internal/fsck", []string{"..."}},
		{"cmd/edgefs", []string{"segment/stream", "internal/migrate", "internal/admin", "internal/buildinfo", "internal/config", "internal/daemon", "internal/finding", "internal/fsck", "internal/supervise"}},

		// What loads and what shows: they meet a segment as its users do.
		{"loadtest", nil},
		{"loadtest/...", []string{"loadtest/..."}},
		{"test/measure", nil},
		{"test/scale", []string{"..."}},
		{"test/chunks", []string{"..."}},
		{"test/...", []string{"internal/admin", "internal/buildinfo", "loadtest/...", "test/..."}},
	}
}
