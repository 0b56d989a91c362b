package loadtest_test

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/loadtest"
)

// s3 is a small S3 in memory that can be told to misbehave.
type s3 struct {
	mu      sync.Mutex
	objects map[string][]byte // by path
	pageMax int

	// before may answer a request itself; it then returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
	// damage changes what a GET gives back.
	damage func(path string, body []byte) []byte
	// keep says whether a PUT is remembered; nil keeps all.
	keep func(path string) bool
}

func newS3() *s3 { return &s3{objects: map[string][]byte{}, pageMax: 7} }

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && s.before(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket := strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0
	switch {
	case bucket && r.Method == http.MethodGet:
		s.list(w, r)
	case bucket:
	case r.Method == http.MethodPut:
		if s.keep == nil || s.keep(r.URL.Path) {
			s.objects[r.URL.Path] = body
		}
	case r.Method == http.MethodDelete:
		delete(s.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		s.get(w, r)
	}
}

func (s *s3) get(w http.ResponseWriter, r *http.Request) {
	body, ok := s.objects[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")
		}
		return
	}
	if s.damage != nil {
		body = s.damage(r.URL.Path, slices.Clone(body))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (s *s3) list(w http.ResponseWriter, r *http.Request) {
	root := strings.TrimSuffix(r.URL.Path, "/") + "/"
	q := r.URL.Query()
	after := cmp.Or(q.Get("continuation-token"), q.Get("start-after"))
	var keys []string
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		key := strings.TrimPrefix(path, root)
		if strings.HasPrefix(key, q.Get("prefix")) && key > after {
			keys = append(keys, key)
		}
	}
	truncated := len(keys) > s.pageMax
	keys = keys[:min(len(keys), s.pageMax)]
	fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", truncated)
	if truncated {
		fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken>", keys[len(keys)-1])
	}
	for _, key := range keys {
		fmt.Fprint(w, "<Contents><Key>")
		xml.EscapeText(w, []byte(key))
		fmt.Fprintf(w, "</Key><Size>%d</Size></Contents>", len(s.objects[root+key]))
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// start serves s and returns a client for it.
func start(t testing.TB, s http.Handler, change ...func(*loadtest.ClientConfig)) *loadtest.Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg := loadtest.ClientConfig{Endpoint: server.URL, Bucket: "b", Credentials: loadtest.Credentials{AccessKey: "key", SecretKey: "secret"}}
	for _, f := range change {
		f(&cfg)
	}
	client, err := loadtest.NewClient(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func sizes(t testing.TB, text string) loadtest.Sizes {
	t.Helper()
	s, err := loadtest.ParseSizes(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
