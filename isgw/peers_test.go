package isgw

import (
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/internal/document"
	"github.com/edgefs/edgefs/segment"
	"github.com/google/go-cmp/cmp"
)

func somePeers() peerFile {
	return peerFile{
		federation: identity.FederationID{1, 2},
		peers:      []Peer{{Segment: 7, Name: "tokyo", Addresses: []string{"h:1", "h:2"}}, {Segment: 8, Name: "oslo"}},
		removed:    []segment.ID{9},
	}
}

func TestPeersAreReadAsWritten(t *testing.T) {
	fs, want := vfs.NewCrash(), somePeers()
	if err := want.save(fs, "/dir"); err != nil {
		t.Fatal(err)
	}
	b, err := document.Load(fs, peerFileName("/dir"), peerKind)
	if err != nil {
		t.Fatal(err)
	}
	var got peerFile
	if err := got.parse(b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(peerFile{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzPeers(f *testing.F) {
	some := somePeers()
	f.Add(some.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again peerFile
		if got.parse(b) != nil {
			return
		}
		if err := again.parse(got.append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
