package spread

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

const goldenList = "454447454445564c01000000" + "55455958" + "02000000000000000000000000000000" +
	"66697273742064657669636500000000" + "01000000" +
	"7365636f6e6420646576696365000000" + "02000900" + "2f6d6e742f73646232"

func goldenEntries() []entry {
	a, b := entry{use: serving}, entry{use: draining, path: "/mnt/sdb2"}
	copy(a.id[:], "first device")
	copy(b.id[:], "second device")
	return []entry{a, b}
}

func TestGoldenList(t *testing.T) {
	if got := hex.EncodeToString(encodeList(goldenEntries())); got != goldenList {
		t.Errorf("the format has changed: %s", got)
	}
	b, err := hex.DecodeString(goldenList)
	must(t, err)
	got, err := decodeList(b)
	if err != nil || len(got) != 2 || got[0] != goldenEntries()[0] || got[1] != goldenEntries()[1] {
		t.Errorf("read as %v, %v", got, err)
	}
}

func TestADamagedListIsRefused(t *testing.T) {
	b := encodeList(goldenEntries())
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 4
		if _, err := decodeList(damaged); err == nil {
			t.Errorf("a list with byte %d changed is read", i)
		}
		if _, err := decodeList(b[:i]); err == nil {
			t.Errorf("a list of %d bytes of %d is read", i, len(b))
		}
	}
}

func TestAStoreWithADamagedListDoesNotOpen(t *testing.T) {
	n := newNode(t, 2)
	must(t, n.Close())
	f, err := n.opts.FS.Open("/"+listFile, vfs.Write)
	must(t, err)
	_, err = f.WriteAt([]byte{9}, 50) // of the length of a path
	must(t, err)
	if _, err := Open(t.Context(), n.opts); err == nil {
		t.Error("it was opened")
	}
}

func FuzzList(f *testing.F) {
	f.Add(encodeList(goldenEntries()))
	f.Add(encodeList([]entry{{id: pack.ID{1}, use: serving}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if entries, err := decodeList(b); err == nil && !bytes.Equal(encodeList(entries), b) {
			t.Error("a list is not what it was encoded from")
		}
	})
}
