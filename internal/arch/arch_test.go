package arch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/edgefs/edgefs"

func house(t *testing.T) []Package {
	t.Helper()
	packages, err := Load("../..", module)
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Fatalf("found %d packages only", len(packages))
	}
	return packages
}

func TestPackagesImportWhatTheirLayerAllows(t *testing.T) { none(t, CheckImports(house(t), Layers())) }

func TestNoStateOutsideOfValues(t *testing.T) { none(t, CheckState(house(t))) }

func TestFilesAreOneNotion(t *testing.T) { none(t, CheckSize(house(t), MaxLines)) }

func TestPackagesAreDocumented(t *testing.T) { none(t, CheckDocs(house(t))) }

func TestEachRowIsUsedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Layers() {
		if seen[l.Path] {
			t.Errorf("two rows for %s", l.Path)
		}
		seen[l.Path] = true
	}
}

func none(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// The planted house breaks each rule, so that a check that finds nothing any more is found out.
func TestPlantedFaultsAreFound(t *testing.T) {
	planted, err := Load("testdata/house", "example.com/house")
	if err != nil {
		t.Fatal(err)
	}
	table := []Layer{{"low", nil}, {"high", []string{"low"}}, {"wide", []string{"high/..."}}}
	same(t, CheckImports(planted, table), []string{
		"package low must not import high",
		"package stray has no row in the table of layers (internal/arch/layers.go)",
	})
	same(t, CheckState(planted), []string{
		"package low, line 14 of low.go: package-level variable mu is a sync.Mutex",
		"package low, line 20 of low.go: func init",
		"package low, line 20 of low.go: package-level variable count is assigned to",
		"package low, line 22 of low.go: package-level variable count is assigned to",
		"package low, line 24 of low.go: package-level variable table has entries removed",
		"package low, line 26 of low.go: package-level variable count has its address taken",
		"package low, line 3 of other.go: package-level variable table is assigned to",
	})
	same(t, CheckSize(planted, 30), []string{"low/low.go has 32 lines: more than 30 are more than one notion"})
	same(t, CheckDocs(planted), []string{"package stray has no comment that places it"})
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
