package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// passed is an entry of a folder that is not stored, since it is no file.
type passed struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// folder is what is found below a directory.
type folder struct {
	passed []passed // at most maxTold
	others int      // how many were passed over, all of them
	failed *failures
}

// walk calls file for each regular file below dir, in the order of their names, with its path from dir in slashes. It follows no symbolic
// link, so it ends, and stores nothing twice; what cannot be read is told and passed.
func (f *folder) walk(dir, rel string, file func(name, rel string, size int64)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.failed.add(undone{File: dir}, err)
		return
	}
	if len(entries) == 0 {
		f.pass(dir, "empty folder")
	}
	for _, e := range entries {
		name, below := filepath.Join(dir, e.Name()), path.Join(rel, e.Name())
		if e.IsDir() {
			f.walk(name, below, file)
			continue
		}
		info, err := e.Info()
		switch {
		case err != nil:
			f.failed.add(undone{File: name}, err)
		case info.Mode().IsRegular():
			file(name, below, info.Size())
		default:
			f.pass(name, kind(info.Mode()))
		}
	}
}

func (f *folder) pass(name, why string) {
	if f.others++; len(f.passed) < maxTold {
		f.passed = append(f.passed, passed{name, why})
	}
}

// kind is what a file is that is no regular one.
func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	case m.IsDir():
		return "folder"
	}
	return "special file"
}
