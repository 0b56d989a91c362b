package history

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

var golden = []record{
	{verb: verbPut, key: "history-1/w000/000001", version: 1, size: 4096},
	{verb: verbOK, key: "history-1/w000/000001", version: 1},
	{verb: verbDelete, key: "history-1/w000/000001", version: 2},
	{verb: verbLost, key: "history-1/w000/000001", version: 2, reason: "no answer: EOF"},
	{verb: verbPut, key: "history-1/w001/000007", version: 1, size: 16},
	{verb: verbNo, key: "history-1/w001/000007", version: 1},
}

func TestFileIsWrittenAsItAlwaysWas(t *testing.T) {
	text := appendLine(nil, head{seed: 1, bucket: "b", prefix: "history-1/"}.String())
	for _, r := range golden {
		text = appendLine(text, r.String())
	}
	want, err := os.ReadFile("testdata/history.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	s, whole, err := readState(bytes.NewReader(want))
	if err != nil || whole != int64(len(want)) {
		t.Fatalf("%d of %d bytes, %v", whole, len(want), err)
	}
	first, second := s.keys["history-1/w000/000001"], s.keys["history-1/w001/000007"]
	if first.acked != (write{version: 1, size: 4096}) || len(first.flying) != 1 || !first.flying[0].deletes {
		t.Errorf("first key: %+v", first)
	}
	if second.acked.version != 0 || len(second.flying) != 0 || second.last != 1 {
		t.Errorf("second key: %+v", second)
	}
}

func TestImpossibleHistoriesAreRefused(t *testing.T) {
	for _, body := range []string{
		"ok k 1",
		"put k 1 5\nput k 1 5",
		"put k 2 5\nput k 1 5",
		"put k 1 5\nok k 2",
		"put k 0 5", "put k 1", "put k 1 -5", "ok k 1 more", "fly k 1", "put  1 5", "",
	} {
		text := appendLine(nil, head{1, "b", "p/"}.String())
		for line := range strings.SplitSeq(body, "\n") {
			text = appendLine(text, line)
		}
		text = appendLine(text, "put other 1 5") // the damage is not at the end
		if _, _, err := readState(bytes.NewReader(text)); err == nil {
			t.Errorf("accepted %q", body)
		}
	}
	if _, _, err := readState(bytes.NewReader(appendLine(nil, "history 2 1 b p/"))); err == nil {
		t.Error("read a format of the future")
	}
}

func FuzzReadState(f *testing.F) {
	text := appendLine(nil, head{seed: 1, bucket: "b", prefix: "history-1/"}.String())
	for _, r := range golden {
		text = appendLine(text, r.String())
	}
	f.Add(text)
	f.Add(text[:len(text)-3])
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, whole, err := readState(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, wholeAgain, err := readState(bytes.NewReader(data[:whole]))
		if err != nil || wholeAgain != whole || len(again.keys) != len(s.keys) {
			t.Errorf("what was whole reads differently: %d of %d bytes, %v", wholeAgain, whole, err)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	for _, r := range golden {
		f.Add(r.String())
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := parseRecord(body)
		if err != nil {
			return
		}
		again, err := parseRecord(r.String())
		if err != nil || again != r {
			t.Errorf("%q reads as %+v, which reads as %+v, %v", body, r, again, err)
		}
	})
}
