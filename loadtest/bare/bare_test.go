package bare_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/bare"
)

// serve starts a bare server and returns a client for it and its directory.
func serve(t testing.TB, mode bare.Mode, fileSize int64) (*loadtest.Client, string) {
	t.Helper()
	dir := t.TempDir()
	server, err := bare.Open(bare.Options{Mode: mode, Dir: dir, FileSize: fileSize, Buffered: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	client, err := loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: web.URL, Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return client, dir
}

func run(t *testing.T, client *loadtest.Client, kind loadtest.Kind, size string, keys int) *loadtest.Report {
	t.Helper()
	sizes, err := loadtest.ParseSizes(size)
	if err != nil {
		t.Fatal(err)
	}
	report, err := loadtest.Run(t.Context(), client, loadtest.Options{Kind: kind, Concurrency: 8, Count: 100, Keys: keys, Sizes: sizes, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestPutModesTakeWhatTheGeneratorSendsAndStartOverInTheirFile(t *testing.T) {
	for _, mode := range []bare.Mode{bare.PutGroupCommit, bare.PutStages} {
		client, _ := serve(t, mode, 3<<20)
		if report := run(t, client, loadtest.Put, "4KiB:8,100B:1,1MiB:1", 0); !report.OK() {
			t.Errorf("%s: %v", mode, report.Examples)
		}
	}
}

func TestGetModesGiveBackWhatWasPut(t *testing.T) {
	for _, mode := range []bare.Mode{bare.GetVerify, bare.GetStages} {
		client, _ := serve(t, mode, 64<<20)
		for _, kind := range []loadtest.Kind{loadtest.Get, loadtest.Head} {
			if report := run(t, client, kind, "4KiB:8,0B:1,3MiB:1", 20); !report.OK() {
				t.Errorf("%s %s: %v", mode, kind, report.Examples)
			}
		}
	}
}

func TestDamagedPieceIsNotServed(t *testing.T) {
	client, dir := serve(t, bare.GetStages, 4<<20)
	session := client.Session()
	defer session.Close()
	o := loadtest.NewContent(1, loadtest.Sizes{}, 0).Sized("key", 1, 3<<20)
	if err := session.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(dir+"/bare.data", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), 2<<20+100); err != nil {
		t.Fatal(err)
	}
	var got int64
	_, err = session.Get(t.Context(), "key", func(_, off int64, piece []byte) error {
		got = off + int64(len(piece))
		return session.Check(o, off, piece)
	})
	if err == nil || got > 2<<20 {
		t.Errorf("%d bytes were served, %v", got, err)
	}
}

func TestWhatABareServerCannotDoIsRefused(t *testing.T) {
	client, _ := serve(t, bare.GetVerify, 16<<10)
	session := client.Session()
	defer session.Close()
	content := loadtest.NewContent(1, loadtest.Sizes{}, 0)
	status := func(err error) string {
		if answer, ok := err.(*loadtest.ResponseError); ok {
			return fmt.Sprint(answer.Status)
		}
		return fmt.Sprint(err)
	}
	if got := status(session.Put(t.Context(), content.Sized("large", 1, 20<<10))); got != fmt.Sprint(http.StatusInsufficientStorage) {
		t.Errorf("put beyond the end of the file: %s", got)
	}
	if _, err := session.Page(t.Context(), "", "", "", nil); status(err) != fmt.Sprint(http.StatusNotImplemented) {
		t.Errorf("listing: %v", err)
	}
	if _, err := session.Head(t.Context(), "nothing"); !loadtest.IsAbsent(err) {
		t.Errorf("absent key: %v", err)
	}
	if _, err := bare.Open(bare.Options{Mode: "no such", Dir: t.TempDir()}); err == nil {
		t.Error("a mode that is none was opened")
	}
}
