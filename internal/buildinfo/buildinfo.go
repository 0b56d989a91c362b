// Package buildinfo tells which build of EdgeFS is running.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info names a build.
type Info struct {
	Version  string `json:"version"`            // a module version, or "devel"
	Revision string `json:"revision,omitempty"` // the commit it was built from, when the build knew
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes on top of Revision
	Go       string `json:"go"`                 // the Go release that built it
	Platform string `json:"platform"`           // as linux/amd64
}

// Read is what the linker and the Go tool left in this binary.
func Read() Info {
	info := Info{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if v := build.Main.Version; v != "" && v != "(devel)" {
		info.Version = v
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}

// String is one line for people.
func (i Info) String() string {
	s := "edgefs " + i.Version
	if i.Revision != "" {
		s += fmt.Sprintf(" (%.12s", i.Revision)
		if i.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return fmt.Sprintf("%s %s %s", s, i.Go, i.Platform)
}
