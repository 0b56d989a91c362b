package daemon

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

// local is a configuration on free ports.
func local() config.Config {
	c := config.Default()
	c.S3.Listen, c.Link.Listen, c.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func begin(t *testing.T, dir string, c config.Config) *Daemon {
	t.Helper()
	d, err := Start(t.Context(), Options{Dir: dir, Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func clientOf(t *testing.T, d *Daemon) *admin.Client {
	t.Helper()
	c, err := admin.Dial(d.dir.Path(), admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func stop(t *testing.T, d *Daemon) {
	t.Helper()
	if err := d.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("stop %s: %v", d.name, err)
	}
}

// until asks again and again, until a condition holds.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !reached(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// Nothing is global: segments that share a process share nothing else.
func TestManySegmentsLiveInOneProcess(t *testing.T) {
	const n = 3
	var all []*Daemon
	for i := range n {
		d := begin(t, filepath.Join(t.TempDir(), fmt.Sprintf("site%d", i)), local())
		defer stop(t, d)
		all = append(all, d)
	}
	ctx, founder := t.Context(), clientOf(t, all[0])
	for _, d := range all[1:] {
		i, err := founder.Invite(ctx, admin.InvitationRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := clientOf(t, d).Join(ctx, i.Invitation); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := founder.CreateBucket(ctx, admin.NewBucket{Name: "shared"}); err != nil {
		t.Fatal(err)
	}
	for i, d := range all {
		c := clientOf(t, d)
		until(t, d.name+" knows the bucket", func() bool { _, err := c.Bucket(ctx, "shared", false); return err == nil })
		if _, err := c.Put(ctx, "shared", admin.PutRequest{Key: d.name}, strings.NewReader(fmt.Sprint("from ", i))); err != nil {
			t.Fatal(err)
		}
	}
	// The founder is linked with each, and each with the founder: what the founder wrote is read everywhere, and it reads what all wrote.
	for i, d := range all {
		for from, to := range map[*Daemon]*Daemon{d: all[0], all[0]: d} {
			c, want := clientOf(t, to), fmt.Sprint("from ", i)
			if from == all[0] {
				want = "from 0"
			}
			until(t, from.name+" is read at "+to.name, func() bool {
				_, content, err := c.Get(ctx, "shared", admin.GetRequest{Key: from.name})
				if err != nil {
					return false
				}
				defer content.Close()
				got, err := io.ReadAll(content)
				return err == nil && string(got) == want
			})
		}
	}
	s, err := founder.Status(ctx)
	if err != nil || len(s.Links) != n-1 || s.Federation == "" || s.Storage.FreeBytes == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestReadinessSaysWhy(t *testing.T) {
	d := begin(t, t.TempDir(), func() config.Config { c := local(); c.Name = "hawaii"; return c }())
	get := func() (int, string) {
		w := httptest.NewRecorder()
		d.monitoring().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	if status, body := get(); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	s := d.site.Swap(nil)
	if status, body := get(); status != 503 || !strings.Contains(body, "starting") {
		t.Errorf("%d %q", status, body)
	}
	d.site.Store(s)
	stop(t, d)
	if status, body := get(); status != 503 || !strings.Contains(body, "ending") {
		t.Errorf("%d %q", status, body)
	}
}

func TestBeforeItServesEachClientIsToldInItsWords(t *testing.T) {
	d := begin(t, t.TempDir(), func() config.Config { c := local(); c.Name = "hawaii"; return c }())
	defer stop(t, d)
	api := *d.admin.h.Load()
	d.admin.set(nil)
	d.s3.set(nil)
	if _, err := clientOf(t, d).Status(t.Context()); !errors.Is(err, &admin.Error{Code: admin.Unavailable}) {
		t.Errorf("the admin API says %v", err)
	}
	d.admin.set(api)
	res, err := http.Get(d.Endpoints().S3)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var doc struct{ Code string }
	if err := xml.NewDecoder(res.Body).Decode(&doc); err != nil || res.StatusCode != 503 || doc.Code != "ServiceUnavailable" {
		t.Errorf("S3 says %d %+v, %v", res.StatusCode, doc, err)
	}
}

func TestAFailedStartLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	c := local()
	c.Name, c.S3.CertFile, c.S3.KeyFile = "hawaii", "none.pem", "none.pem"
	if _, err := Start(t.Context(), Options{Dir: dir, Config: c, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("started")
	}
	c.S3.CertFile, c.S3.KeyFile = "", ""
	stop(t, begin(t, dir, c)) // neither the lock nor a port is held
}

// Every metric has a line in the documentation, and every documented one exists.
func TestMetricsAreDocumented(t *testing.T) {
	a := begin(t, filepath.Join(t.TempDir(), "hawaii"), local())
	defer stop(t, a)
	b := begin(t, filepath.Join(t.TempDir(), "tokyo"), local())
	defer stop(t, b)
	i, err := clientOf(t, a).Invite(t.Context(), admin.InvitationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(t, b).Join(t.Context(), i.Invitation); err != nil {
		t.Fatal(err)
	}
	until(t, "the lag of the link is known", func() bool {
		links, err := clientOf(t, a).Links(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(links) == 1 && links[0].Behind.Known && links[0].Ahead.Known
	})
	if res, err := http.Get(a.Endpoints().S3); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	if _, err := clientOf(t, a).CreateBucket(t.Context(), admin.NewBucket{Name: "photos"}); err != nil {
		t.Fatal(err)
	}
	if err := clientOf(t, a).CountSpace(t.Context(), func(admin.SpaceEvent) error { return nil }); err != nil {
		t.Fatal(err)
	}
	families, err := a.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/ops/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, word := range strings.FieldsFunc(string(page), func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		if strings.HasPrefix(word, "edgefs_") {
			documented[word] = true
		}
	}
	exists := map[string]bool{"edgefs_s3_aborted_total": true} // appears with the first answer that breaks off
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "edgefs_") {
			exists[name] = true
			if !documented[name] {
				t.Errorf("%s is not in docs/ops/metrics.md", name)
			}
		}
	}
	for name := range documented {
		if !exists[name] {
			t.Errorf("docs/ops/metrics.md names %s, which does not exist", name)
		}
	}
}
