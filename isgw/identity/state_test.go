package identity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someState() authorityState {
	return authorityState{
		invitations: []invitation{{hash: [32]byte{1}, expires: time.Unix(100, 0).UTC()}, {hash: [32]byte{2}, expires: time.Unix(200, 0).UTC(), used: true}},
		members:     []Member{{Segment: 7, Name: "tokyo"}},
	}
}

func TestStateIsReadAsWritten(t *testing.T) {
	var got authorityState
	if err := got.parse(someState().append(nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someState(), got, cmp.AllowUnexported(authorityState{}, invitation{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzState(f *testing.F) {
	f.Add(someState().append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again authorityState
		if got.parse(b) != nil {
			return
		}
		if err := again.parse(got.append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
