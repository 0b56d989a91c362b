package loadtest_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/loadtest"
)

func options(t testing.TB, kind loadtest.Kind, count uint64) loadtest.Options {
	return loadtest.Options{Kind: kind, Concurrency: 4, Count: count, Keys: 20, Sizes: sizes(t, "4KiB:12,0B:2,10B:2,300KiB:1"), Seed: 7}
}

func run(t *testing.T, client *loadtest.Client, opts loadtest.Options) *loadtest.Report {
	t.Helper()
	report, err := loadtest.Run(t.Context(), client, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestEveryOperationIsRightOnARightServer(t *testing.T) {
	mix := loadtest.Mix{{loadtest.Get, 4}, {loadtest.Head, 2}, {loadtest.Put, 3}, {loadtest.Delete, 2}, {loadtest.List, 1}}
	for _, repeat := range []float64{0, 0.5} {
		for _, kind := range []loadtest.Kind{loadtest.Put, loadtest.Get, loadtest.Head, loadtest.List, loadtest.Delete, loadtest.Mixed} {
			opts := options(t, kind, 200)
			opts.Mix, opts.Repeat = mix, repeat
			if kind == loadtest.Delete {
				opts.Count = 20
			}
			s := newS3()
			report := run(t, start(t, s), opts)
			if !report.OK() {
				t.Errorf("%s, repeat %v: %v", kind, repeat, report.Examples)
			}
			last := report.Kinds[len(report.Kinds)-1]
			if last.Done != opts.Count || last.Failed != 0 {
				t.Errorf("%s: %d done, %d failed, want %d and 0", kind, last.Done, last.Failed, opts.Count)
			}
			if kind == loadtest.Delete && len(s.objects) != 0 {
				t.Errorf("%d objects are left after all were deleted", len(s.objects))
			}
		}
	}
}

func TestLaterRunReadsWhatAnEarlierOneWrote(t *testing.T) {
	client := start(t, newS3())
	opts := options(t, loadtest.Put, 70) // each key several times: the version is read from the content
	if report := run(t, client, opts); !report.OK() {
		t.Fatal(report.Examples)
	}
	opts = options(t, loadtest.Mixed, 300)
	opts.Mix = loadtest.Mix{{loadtest.Get, 4}, {loadtest.Head, 2}, {loadtest.Put, 3}}
	opts.Existing = true
	if report := run(t, client, opts); !report.OK() {
		t.Fatal(report.Examples)
	}
	opts.Seed, opts.Prefix = 8, "lt-7/"
	if report := run(t, client, opts); report.Errors["corrupt"] == 0 {
		t.Errorf("content of another seed passed: %v", report.Errors)
	}
}

func TestNewKeysAreNeverWrittenTwice(t *testing.T) {
	s := newS3()
	opts := options(t, loadtest.Put, 100)
	opts.Keys = 0
	run(t, start(t, s), opts)
	if len(s.objects) != 100 {
		t.Errorf("%d objects after 100 puts of new keys", len(s.objects))
	}
}

func TestFlippedByteIsFoundAtItsOffset(t *testing.T) {
	for _, offset := range []int{0, 7, 8, 15, 16, 4096, 262144, 300<<10 - 1} {
		s := newS3()
		s.damage = func(_ string, body []byte) []byte {
			body[offset] ^= 0x40
			return body
		}
		opts := options(t, loadtest.Get, 3)
		opts.Sizes = sizes(t, "300KiB")
		report := run(t, start(t, s), opts)
		if report.Errors["corrupt"] != 3 {
			t.Fatalf("byte %d flipped in 3 reads: %v", offset, report.Errors)
		}
		// A byte of the first stamp hides which version it was; the key and the place are still told.
		if want := "at offset " + strconv.Itoa(offset) + ":"; !strings.Contains(report.Examples[0], want) || !strings.Contains(report.Examples[0], "lt-7/") {
			t.Errorf("byte %d flipped: %s", offset, report.Examples[0])
		}
	}
}

func TestWrongAnswersAreNamed(t *testing.T) {
	cases := []struct {
		name, code string
		kind       loadtest.Kind
		spoil      func(s *s3)
	}{
		{"short", "corrupt length", loadtest.Get, func(s *s3) { s.damage = func(_ string, b []byte) []byte { return b[:len(b)-1] } }},
		{"long", "corrupt length", loadtest.Get, func(s *s3) { s.damage = func(_ string, b []byte) []byte { return append(b, 0) } }},
		{"size in head", "length", loadtest.Head, func(s *s3) { s.damage = func(_ string, b []byte) []byte { return append(b, 0) } }},
		{"forgotten", "missing", loadtest.Get, func(s *s3) { s.keep = func(string) bool { return false } }},
		{"forgotten in a listing", "listing", loadtest.List, func(s *s3) { s.keep = func(path string) bool { return !strings.HasSuffix(path, "13") } }},
		{"last key forgotten in a listing", "listing", loadtest.List, func(s *s3) { s.keep = func(path string) bool { return !strings.HasSuffix(path, "19") } }},
		{"another name in a listing", "listing", loadtest.List, func(s *s3) {
			s.keep = func(path string) bool {
				if strings.HasSuffix(path, "13") {
					s.objects[path+"x"] = make([]byte, 5<<10)
					return false
				}
				return true
			}
		}},
		{"another key's content", "corrupt", loadtest.Get, func(s *s3) {
			var mu sync.Mutex
			var first []byte
			s.damage = func(_ string, b []byte) []byte {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = b
					b[20]++
				}
				return first
			}
		}},
	}
	for _, c := range cases {
		s := newS3()
		c.spoil(s)
		opts := options(t, c.kind, 40)
		opts.Sizes = sizes(t, "5KiB")
		report := run(t, start(t, s), opts)
		if report.OK() {
			t.Errorf("%s: passed", c.name)
		}
		for code := range report.Errors {
			if !strings.Contains(c.code, code) {
				t.Errorf("%s: counted as %s: %v", c.name, code, report.Examples)
			}
		}
	}
}

func TestOverwriteThatIsLostIsStale(t *testing.T) {
	s := newS3()
	var puts atomic.Int64
	s.keep = func(string) bool { return puts.Add(1) <= 20 } // only the preparation is kept
	opts := options(t, loadtest.Mixed, 200)
	opts.Sizes, opts.Mix = sizes(t, "4KiB"), loadtest.Mix{{loadtest.Put, 1}, {loadtest.Get, 1}}
	report := run(t, start(t, s), opts)
	if report.Errors["stale"] == 0 || len(report.Errors) != 1 {
		t.Errorf("errors %v, want only stale ones", report.Errors)
	}
}

func TestErrorsAreCountedByCode(t *testing.T) {
	s := newS3()
	var n atomic.Int64
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || n.Add(1)%2 == 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("<Error><Code>SlowDown</Code><Message>later</Message></Error>"))
		return true
	}
	opts := options(t, loadtest.Put, 10)
	report := run(t, start(t, s), opts)
	if report.Errors["SlowDown"] != 5 || report.Failures != 5 || report.OK() {
		t.Errorf("errors %v, %d failures", report.Errors, report.Failures)
	}
}

func TestRateIsKeptAndAStallIsChargedToEveryRequestDueInIt(t *testing.T) {
	const rate, stall = 200, 400 * time.Millisecond
	s := newS3()
	var once sync.Once
	var gate sync.RWMutex
	s.before = func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() {
			gate.Lock()
			time.AfterFunc(stall, gate.Unlock)
		})
		gate.RLock()
		defer gate.RUnlock()
		return false
	}
	opts := options(t, loadtest.Put, 0)
	opts.Duration, opts.Rate, opts.Sizes, opts.Concurrency = time.Second, rate, sizes(t, "1KiB"), 2
	client := start(t, s)
	var started atomic.Bool
	before := s.before
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			started.Store(true)
		}
		return started.Load() && before(w, r)
	}
	report := run(t, client, opts)
	put := report.Kinds[0]
	if put.Done+report.Unsent != rate {
		t.Errorf("%d done and %d unsent in a second at rate %d", put.Done, report.Unsent, rate)
	}
	// 80 of 200 requests fell due in the stall, evenly: the 90th percentile waited about half of it. Only 2 were on the way.
	if p90 := time.Duration(put.Latency.P90 * 1e3); p90 < stall/3 || p90 > stall {
		t.Errorf("90th percentile %v of a run with a stall of %v", p90, stall)
	}
}

func TestInterruptReportsWhatThereIs(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	s := newS3()
	var n atomic.Int64
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && n.Add(1) == 50 {
			interrupt()
		}
		return false
	}
	report, err := loadtest.Run(ctx, start(t, s), options(t, loadtest.Put, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Interrupted || !report.OK() || report.Kinds[0].Done < 50 || report.Kinds[0].Done > 60 {
		t.Errorf("interrupted %v, ok %v, done %d", report.Interrupted, report.OK(), report.Kinds[0].Done)
	}
}

func TestOwnProcessIsMeasured(t *testing.T) {
	opts := options(t, loadtest.Put, 300)
	opts.PIDs = []int{os.Getpid()}
	report := run(t, start(t, newS3()), opts)
	if report.Server == nil || report.Server.PeakRSSAnon < 1<<20 {
		t.Fatalf("server %+v", report.Server)
	}
	if report.Client.CPUSeconds <= 0 || report.Client.MicrosPerOp <= 0 {
		t.Errorf("client %+v", report.Client)
	}
	opts.PIDs = []int{1 << 30}
	if _, err := loadtest.Run(t.Context(), start(t, newS3()), opts); err == nil {
		t.Error("a process that is not there was measured")
	}
}

func TestRemoteEndpointIsRefused(t *testing.T) {
	for _, endpoint := range []string{"http://192.0.2.1:9000", "http://[2001:db8::1]", "http://0.0.0.0:9000"} {
		cfg := loadtest.ClientConfig{Endpoint: endpoint, Bucket: "b"}
		if _, err := loadtest.NewClient(t.Context(), cfg); !errors.Is(err, loadtest.ErrRemote) {
			t.Errorf("%s: %v", endpoint, err)
		}
		cfg.AllowRemote = true
		if _, err := loadtest.NewClient(t.Context(), cfg); err != nil {
			t.Errorf("%s, allowed: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"http://127.0.0.1:9000", "http://[::1]:9000", "http://127.1.2.3"} {
		if _, err := loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: endpoint, Bucket: "b"}); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

func TestTLSNeedsTheAuthorityOrInsecure(t *testing.T) {
	server := httptest.NewUnstartedServer(newS3())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(cfg loadtest.ClientConfig) error {
		cfg.Endpoint, cfg.Bucket = server.URL, "b"
		client, err := loadtest.NewClient(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		report, err := loadtest.Run(t.Context(), client, options(t, loadtest.Get, 5))
		if err == nil && !report.OK() {
			t.Error(report.Examples)
		}
		return err
	}
	if err := try(loadtest.ClientConfig{}); err == nil {
		t.Error("an unknown certificate was accepted")
	}
	if err := try(loadtest.ClientConfig{CAFile: ca}); err != nil {
		t.Error(err)
	}
	if err := try(loadtest.ClientConfig{Insecure: true}); err != nil {
		t.Error(err)
	}
}
