package journal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden files")

// goldenID is an identity that no journal has by chance.
var goldenID = identity{'g', 'o', 'l', 'd', 'e', 'n', ' ', 'i', 'd', 'e', 'n', 't', 'i', 't', 'y', '.'}

// goldenFile is the start of a journal's file: its header, a batch of three records and a mark.
func goldenFile() []byte {
	b := make([]byte, 3*vfs.Align)
	fileInfo{goldenID, 7, 4 << 20}.encode(b)
	var payload []byte
	for _, r := range []string{"first", "", "third record"} {
		payload = appendFrame(payload, []byte(r))
	}
	h := header{generation: 7, offset: dataStart, first: 41, count: 3, prev: 0xabcdef01, length: int64(len(payload)), payload: payloadSum(0, payload), life: 0x1122334455667788}
	h.encode(goldenID, b[dataStart:])
	copy(b[dataStart+batchHeader:], payload)
	m := header{generation: 7, offset: 2 * vfs.Align, first: 44, prev: h.sum, life: h.life}
	m.encode(goldenID, b[2*vfs.Align:])
	return b
}

func TestGoldenFile(t *testing.T) {
	name := filepath.Join("testdata", "file.v1.hex")
	b := goldenFile() // the rest of it is zero
	got := []byte(hex.Dump(b[:fileHeader]) + "\n" + hex.Dump(b[dataStart:dataStart+2*batchHeader]) + "\n" + hex.Dump(b[2*vfs.Align:2*vfs.Align+batchHeader]))

	if *update {
		must(t, os.WriteFile(name, got, 0o600))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("the format has changed: files of older builds could not be read")
	}
}

func TestGoldenFileIsRead(t *testing.T) {
	b := goldenFile()
	info, err := decodeFileInfo(b)
	if err != nil || info != (fileInfo{goldenID, 7, 4 << 20}) {
		t.Errorf("header %+v, %v", info, err)
	}
	h, ok := decodeHeader(info, dataStart, b[dataStart:])
	if !ok || h.first != 41 || h.next() != 44 || h.end() != 2*vfs.Align {
		t.Errorf("batch %+v, %v", h, ok)
	}
	var got []string
	for r, err := range frames(b[dataStart+batchHeader:][:h.length], h.first, h.count) {
		must(t, err)
		must(t, collect(&got, 41)(r))
	}
	if len(got) != 3 || got[0] != "first" || got[2] != "third record" {
		t.Errorf("records %q", got)
	}
	if m, ok := decodeHeader(info, h.end(), b[h.end():]); !ok || m.count != 0 || m.prev != h.sum {
		t.Errorf("mark %+v, %v", m, ok)
	}
}

func TestABatchCountsOnlyWhereItWasWritten(t *testing.T) {
	b := goldenFile()
	info, err := decodeFileInfo(b)
	must(t, err)
	for what, i := range map[string]fileInfo{
		"generation": {info.id, 8, info.size},
		"journal":    {identity{1}, 7, info.size},
	} {
		if _, ok := decodeHeader(i, dataStart, b[dataStart:]); ok {
			t.Errorf("a batch of another %s was taken", what)
		}
	}
	if _, ok := decodeHeader(info, 2*vfs.Align, b[dataStart:]); ok {
		t.Error("a batch was taken at another offset")
	}
}

func FuzzDecode(f *testing.F) {
	golden := goldenFile()
	f.Add(golden[:fileHeader], uint32(3))
	f.Add(golden[dataStart:dataStart+batchHeader], uint32(0))
	f.Add(golden[dataStart+batchHeader:dataStart+batchHeader+40], uint32(3))
	f.Fuzz(func(t *testing.T, b []byte, count uint32) {
		if info, err := decodeFileInfo(b); err == nil {
			again := make([]byte, fileHeader)
			info.encode(again)
			if !bytes.Equal(again[16:48], b[16:48]) {
				t.Error("a header is not what it was encoded from")
			}
		}
		if h, ok := decodeHeader(fileInfo{goldenID, 7, 0}, dataStart, b); ok {
			again := make([]byte, batchHeader)
			h.encode(goldenID, again)
			if !bytes.Equal(again[4:52], b[4:52]) {
				t.Error("a batch is not what it was encoded from")
			}
		}
		size := 0
		for r, err := range frames(b, 1, count) {
			if err == nil {
				size += frameHeader + len(r.Data)
			}
		}
		if size > len(b) {
			t.Errorf("records of %d bytes in %d", size, len(b))
		}
	})
}

// FuzzOpen opens a journal whose first file begins with any bytes after the header.
func FuzzOpen(f *testing.F) {
	golden := goldenFile()
	f.Add(golden[dataStart:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := vfs.NewCrash()
		must(t, fs.MkdirAll("log"))
		w, err := fs.Open(logName("log", 7), vfs.Create)
		must(t, err)
		head := make([]byte, dataStart)
		fileInfo{goldenID, 7, 4 * vfs.Align}.encode(head)
		_, err = w.WriteAt(head, 0)
		must(t, err)
		_, err = w.WriteAt(append(b, make([]byte, 4*vfs.Align)...), dataStart)
		must(t, err)
		var got []string
		j, err := Open(unconfirmed(fs), 41, collect(&got, 41))
		if err != nil {
			return
		}
		_, err = j.Append([]byte("more"), nil)
		must(t, err)
		must(t, j.Close())
		var again []string
		j, err = Open(unconfirmed(fs), 41, collect(&again, 41))
		must(t, err)
		must(t, j.Close())
		if len(again) != len(got)+1 || again[len(got)] != "more" {
			t.Errorf("%q, then %q", got, again)
		}
	})
}
