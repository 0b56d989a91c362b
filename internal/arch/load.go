package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Package is a folder's Go files, tests aside.
type Package struct {
	Path    string   // below the module; "." is the module itself
	Imports []string // of the module, as Path, sorted, each once
	Files   []File

	fset *token.FileSet
}

// File is a parsed file.
type File struct {
	Path  string // below the root
	Lines int
	ast   *ast.File
}

// Load reads the packages of a module below root. Folders that the Go tool skips (testdata, names that begin with a dot or an underscore)
// and folders of other modules are left out.
func Load(root, module string) ([]Package, error) {
	var packages []Package
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if path != root && skipped(path, d.Name()) {
			return filepath.SkipDir
		}
		p, err := loadPackage(root, path, module)
		if err == nil && len(p.Files) > 0 {
			packages = append(packages, p)
		}
		return err
	})
	return packages, err
}

func skipped(path, name string) bool {
	if name == "testdata" || name == "vendor" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

func loadPackage(root, dir, module string) (Package, error) {
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return Package{}, err
	}
	p := Package{Path: filepath.ToSlash(rel), fset: token.NewFileSet()}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return Package{}, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(p.fset, name, nil, parser.ParseComments)
		if err != nil {
			return Package{}, fmt.Errorf("parse: %w", err)
		}
		p.Files = append(p.Files, File{
			Path:  filepath.ToSlash(filepath.Join(rel, filepath.Base(name))),
			Lines: p.fset.File(f.Pos()).LineCount(),
			ast:   f,
		})
		for _, i := range f.Imports {
			if own, ok := strings.CutPrefix(importPath(i), module+"/"); ok {
				p.Imports = append(p.Imports, own)
			}
		}
	}
	slices.Sort(p.Imports)
	p.Imports = slices.Compact(p.Imports)
	return p, nil
}

func importPath(i *ast.ImportSpec) string {
	path, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		return ""
	}
	return path
}
