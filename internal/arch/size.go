package arch

import "fmt"

// MaxLines is the length of a file from which on it is more than one notion.
const MaxLines = 800

// CheckSize names the files that are longer than max lines.
func CheckSize(packages []Package, max int) []string {
	var faults []string
	for _, p := range packages {
		for _, f := range p.Files {
			if f.Lines > max {
				faults = append(faults, fmt.Sprintf("%s has %d lines: more than %d are more than one notion", f.Path, f.Lines, max))
			}
		}
	}
	return faults
}

// CheckDocs names the packages whose purpose no comment tells.
func CheckDocs(packages []Package) []string {
	var faults []string
	for _, p := range packages {
		documented := false
		for _, f := range p.Files {
			documented = documented || f.ast.Doc != nil
		}
		if !documented {
			faults = append(faults, fmt.Sprintf("package %s has no comment that places it", p.Path))
		}
	}
	return faults
}
