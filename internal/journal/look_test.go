package journal

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

func checkAll(t *testing.T, fs vfs.FS, from uint64) (found []finding.Finding, e Extent) {
	t.Helper()
	e, err := Check(small(fs), from, func(f finding.Finding) { found = append(found, f) })
	must(t, err)
	return found, e
}

func TestALookReadsWhatOpenReads(t *testing.T) {
	fs, want := several(t, 40, 3000)
	ops := fs.Ops()
	for _, from := range []uint64{1, 17, 41} {
		var got []string
		e, err := Look(small(fs), from, collect(&got, from))
		must(t, err)
		if !slices.Equal(got, want[from-1:]) || e.Last != 40 || e.Records != len(got) {
			t.Errorf("from %d: %d records, %+v", from, len(got), e)
		}
		if found, _ := checkAll(t, fs, from); len(found) > 0 {
			t.Errorf("from %d: %v", from, found)
		}
	}
	if fs.Ops() != ops {
		t.Errorf("%d operations that write", fs.Ops()-ops)
	}
}

// TestALookFindsWhatOpenRefuses flips bits all over a journal: a check finds damage exactly where opening fails.
func TestALookFindsWhatOpenRefuses(t *testing.T) {
	fs, _ := several(t, 40, 3000)
	rng := rand.New(rand.NewPCG(5, 6))
	told := 0
	for _, name := range logs(t, fs) {
		info, err := fs.Stat(name)
		must(t, err)
		for off := int64(0); off < info.Size; off += 1 + rng.Int64N(700) {
			flip(t, fs, name, off)
			found, _ := checkAll(t, fs, 1)
			j, err := Open(small(fs.Crash(rng)), 1, nil)
			if err == nil {
				must(t, j.Close())
			}
			if (err != nil) != (len(found) > 0) {
				t.Fatalf("bit at %d of %s: open says %v, a check %v", off, name, err, found)
			}
			told += len(found)
			flip(t, fs, name, off)
		}
	}
	if told < 100 {
		t.Errorf("damage was found only %d times", told)
	}
}

func TestALookFindsDamageThatOnlyOthersMind(t *testing.T) {
	fs, _ := several(t, 60, 3000)
	flip(t, fs, logs(t, fs)[0], dataStart+10)
	must(t, fs.Remove(logs(t, fs)[1]))
	found, _ := checkAll(t, fs, 1)
	if len(found) != 1 || found[0].Kind != "log.records" {
		t.Errorf("needed: %v", found)
	}
	fs, _ = several(t, 60, 3000)
	flip(t, fs, logs(t, fs)[1], dataStart+3*vfs.Align+100)
	found, e := checkAll(t, fs, 59)
	if len(found) != 1 || found[0].Kind != "log.old" || e.Last != 60 {
		t.Errorf("not needed: %v, %+v", found, e)
	}
}
