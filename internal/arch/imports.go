package arch

import (
	"fmt"
	"strings"
)

// CheckImports says which packages have no row in the table, and which import what their row does not allow.
func CheckImports(packages []Package, table []Layer) []string {
	var faults []string
	for _, p := range packages {
		row, ok := rowOf(p.Path, table)
		if !ok {
			faults = append(faults, fmt.Sprintf("package %s has no row in the table of layers (internal/arch/layers.go)", p.Path))
			continue
		}
		for _, i := range p.Imports {
			if !allows(row, i) {
				faults = append(faults, fmt.Sprintf("package %s must not import %s", p.Path, i))
			}
		}
	}
	return faults
}

// rowOf is the row of the package itself, or the one with the longest pattern that covers it.
func rowOf(path string, table []Layer) (best Layer, ok bool) {
	for _, l := range table {
		if l.Path == path {
			return l, true
		}
		if covers(l.Path, path) && (!ok || len(l.Path) > len(best.Path)) {
			best, ok = l, true
		}
	}
	return best, ok
}

func allows(row Layer, path string) bool {
	for _, m := range row.May {
		if m == path || covers(m, path) {
			return true
		}
	}
	return false
}

// covers says whether a pattern that ends in "..." covers path; "a/..." covers a too.
func covers(pattern, path string) bool {
	prefix, ok := strings.CutSuffix(pattern, "...")
	return ok && strings.HasPrefix(path+"/", prefix)
}
