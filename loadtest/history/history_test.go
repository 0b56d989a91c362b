package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/loadtest"
)

// s3 is a small S3 in memory whose memory a test can spoil.
type s3 struct {
	mu      sync.Mutex
	objects map[string][]byte         // by key
	old     map[string][]byte         // what each key held before its last write
	answer  func(r *http.Request) int // status to answer after doing the work; 0: hang up
	hide    string                    // key that listings leave out
}

func newS3() *s3 { return &s3{objects: map[string][]byte{}, old: map[string][]byte{}} }

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case key == "" && r.Method == http.MethodGet:
		s.list(w, r.URL.Query().Get("prefix"))
		return
	case r.Method == http.MethodPut:
		s.old[key] = s.objects[key]
		s.objects[key] = body
	case r.Method == http.MethodDelete:
		s.old[key] = s.objects[key]
		delete(s.objects, key)
	default:
		s.get(w, key)
		return
	}
	if s.answer == nil {
		return
	}
	status := s.answer(r)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

func (s *s3) get(w http.ResponseWriter, key string) {
	body, ok := s.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Write(body)
}

func (s *s3) list(w io.Writer, prefix string) {
	fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, prefix) && key != s.hide {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", key, len(s.objects[key]))
		}
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// world is a server with a history of it.
type world struct {
	t      *testing.T
	s3     *s3
	client *loadtest.Client
	server *httptest.Server
	state  string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, s3: newS3(), state: filepath.Join(t.TempDir(), "history")}
	w.server = httptest.NewServer(w.s3)
	t.Cleanup(w.server.Close)
	var err error
	w.client, err = loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: w.server.URL, Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// put runs a round of at least n answered writes.
func (w *world) put(n int) PutReport {
	w.t.Helper()
	sizes, err := loadtest.ParseSizes("100B:6,5KiB:5,300KiB:1")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, enough := context.WithCancel(w.t.Context())
	defer enough()
	spoil := w.s3.answer
	w.s3.answer = func(r *http.Request) int {
		if n--; n <= 0 {
			enough()
		}
		if spoil == nil {
			return http.StatusOK
		}
		return spoil(r)
	}
	defer func() { w.s3.answer = spoil }()
	report, err := Put(ctx, w.client, PutOptions{State: w.state, Bucket: "b", Workers: 4, Keys: 5, Sizes: sizes, Deletes: 0.2})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *world) check() *CheckReport {
	w.t.Helper()
	report, err := Check(w.t.Context(), w.client, CheckOptions{State: w.state, Bucket: "b", Workers: 3})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// fails checks that every failure is of a kind, and that there is one.
func (w *world) fails(what string, key string) {
	w.t.Helper()
	report := w.check()
	if report.OK() {
		w.t.Fatalf("passed; want %s", what)
	}
	for _, example := range report.Examples {
		if !strings.HasPrefix(example, what+": ") && !strings.HasPrefix(example, "listing: ") || !strings.Contains(example, key) {
			w.t.Errorf("%q, want %s of %s", example, what, key)
		}
	}
	if !strings.HasPrefix(report.Examples[0], what) {
		w.t.Errorf("%q, want %s", report.Examples[0], what)
	}
}

// victim is a key that is there and whose content before its last write was another.
func (w *world) victim() string {
	w.t.Helper()
	for _, key := range slices.Sorted(maps.Keys(w.s3.objects)) {
		if len(w.s3.old[key]) > 0 {
			return key
		}
	}
	w.t.Fatal("no key was overwritten")
	return ""
}

func TestSeveralRoundsOfARightServerPass(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		if r := w.put(150); r.Acknowledged < 150 || r.Unknown+r.Refused+r.NotSent != 0 {
			t.Fatalf("%+v", r)
		}
		r := w.check()
		if !r.OK() || r.Keys != 20 || r.Acked != 20 || r.Listed != len(w.s3.objects) {
			t.Fatalf("%+v with %d objects", r, len(w.s3.objects))
		}
	}
}

func TestLostStaleWrongAndUnlistedAreFound(t *testing.T) {
	cases := map[string]func(s *s3, key string){
		"missing": func(s *s3, key string) { delete(s.objects, key) },
		"stale":   func(s *s3, key string) { s.objects[key] = s.old[key] },
		"corrupt": func(s *s3, key string) { s.objects[key][len(s.objects[key])/2] ^= 1 },
		"listing": func(s *s3, key string) { s.hide = key },
	}
	for what, spoil := range cases {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.put(300)
			if r := w.check(); !r.OK() {
				t.Fatal(r.Examples)
			}
			key := w.victim()
			spoil(w.s3, key)
			w.fails(what, key)
		})
	}
}

func TestDeletedKeyThatComesBackIsStale(t *testing.T) {
	w := newWorld(t)
	for range 20 { // a round in thirty ends with no key deleted
		w.put(300)
		for key, old := range w.s3.old {
			if _, there := w.s3.objects[key]; !there && len(old) > 0 {
				w.s3.objects[key] = old
				w.fails("stale", key)
				return
			}
		}
	}
	t.Fatal("no key was deleted")
}

func TestUnknownOutcomesMayShowEitherWay(t *testing.T) {
	for name, status := range map[string]int{"hang up": 0, "internal error": 500} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := 0
			unknown := map[string]bool{}
			w.s3.answer = func(r *http.Request) int {
				if unknown[r.URL.Path] {
					t.Errorf("%s is written again behind a write that may be lingering", r.URL.Path)
				}
				if n++; n%10 == 0 {
					unknown[r.URL.Path] = true
					return status
				}
				return http.StatusOK
			}
			r := w.put(400)
			if r.Unknown < 30 || r.Acknowledged < 300 {
				t.Fatalf("%+v", r)
			}
			after := w.check() // all of them were done
			if !after.OK() || after.InFlight == 0 {
				t.Fatalf("%+v", after)
			}
			state, err := load(w.state)
			if err != nil {
				t.Fatal(err)
			}
			undone := 0
			for key, k := range state.keys {
				if len(k.flying) == 0 {
					continue
				}
				if old := w.s3.old[key]; old != nil {
					w.s3.objects[key] = old
				} else {
					delete(w.s3.objects, key)
				}
				undone++
			}
			if r := w.check(); undone == 0 || !r.OK() || r.InFlight != 0 {
				t.Fatalf("%d undone: %+v", undone, r)
			}
		})
	}
}

func TestRoundEndsWhenTheServerIsDownAndNothingIsWrong(t *testing.T) {
	w := newWorld(t)
	w.put(50)
	w.server.Close()
	sizes, err := loadtest.ParseSizes("1KiB")
	if err != nil {
		t.Fatal(err)
	}
	opts := PutOptions{State: w.state, Bucket: "b", Workers: 2, Keys: 5, Sizes: sizes, UntilDown: true, Duration: time.Minute}
	r, err := Put(t.Context(), w.client, opts)
	if err != nil || r.Acknowledged != 0 || r.NotSent == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	restarted := httptest.NewServer(w.s3)
	defer restarted.Close()
	w.client, err = loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: restarted.URL, Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if r := w.check(); !r.OK() || r.InFlight != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRefusedWriteEndsTheRoundWithAnError(t *testing.T) {
	w := newWorld(t)
	w.s3.answer = func(*http.Request) int { return http.StatusForbidden }
	sizes, err := loadtest.ParseSizes("1KiB")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Put(t.Context(), w.client, PutOptions{State: w.state, Bucket: "b", Workers: 2, Keys: 5, Sizes: sizes})
	var answer *loadtest.ResponseError
	if !errors.As(err, &answer) || answer.Status != http.StatusForbidden || r.Refused == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestIntentIsInTheFileBeforeItsRequestIsSent(t *testing.T) {
	w := newWorld(t)
	w.s3.answer = func(r *http.Request) int {
		text, err := os.ReadFile(w.state)
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(text), strings.TrimPrefix(r.URL.Path, "/b/")+" ") {
			t.Errorf("%s was sent and not noted", r.URL.Path)
		}
		return http.StatusOK
	}
	w.put(60)
}

func TestHistoryGoesOnBehindALineCutOff(t *testing.T) {
	w := newWorld(t)
	w.put(100)
	text, err := os.ReadFile(w.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"0123", "89abcdef put history", "00000000 put k 1 5\n"} {
		if err := os.WriteFile(w.state, append(slices.Clone(text), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := w.check(); !r.OK() {
			t.Errorf("after %q: %v", tail, r.Examples)
		}
	}
	w.put(100)
	if r := w.check(); !r.OK() {
		t.Error(r.Examples)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(w.state, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), w.client, CheckOptions{State: w.state, Bucket: "b"}); !errors.Is(err, errRecord) {
		t.Errorf("damage in the middle: %v", err)
	}
}

func TestTwoRoundsAtOnceAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	j, _, err := openJournal(path, head{1, "b", "p/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openJournal(path, head{1, "b", "p/"}); err == nil {
		t.Error("two writers of one history")
	}
	if err := j.close(); err != nil {
		t.Error(err)
	}
}
