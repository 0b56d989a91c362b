package bare

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Mode is which work a server does.
type Mode string

const (
	// PutGroupCommit appends each body to one pre-written file; one goroutine writes and syncs what has gathered meanwhile. PUT only.
	PutGroupCommit Mode = "put-group-commit"
	// PutStages reads, takes the MD5, cuts by content, hashes each chunk by BLAKE3 and appends; one sync ends the PUT. PUT only.
	PutStages Mode = "put-stages"
	// GetVerify reads an object from the page cache and checks its BLAKE3 before it answers. For small objects.
	GetVerify Mode = "get-verify"
	// GetStages is GetVerify in pieces of 1 MiB. For large objects.
	GetStages Mode = "get-stages"
)

// Options say what to serve.
type Options struct {
	Mode     Mode
	Dir      string // of the one file, which is removed by Close
	FileSize int64  // its length, written before serving; a PUT mode starts over at its end, a GET mode is then full
	Buffered bool   // write through the page cache instead of O_DIRECT, for file systems that lack it
}

// Server answers requests of one mode. Serve it by net/http; close it after the last request.
type Server struct {
	handler http.Handler
	closers []func() error
}

// Open makes the file and starts what the mode needs.
func Open(opts Options) (*Server, error) {
	direct := !opts.Buffered && (opts.Mode == PutGroupCommit || opts.Mode == PutStages)
	file, err := openFile(opts.Dir, opts.FileSize, direct)
	if err != nil {
		return nil, fmt.Errorf("bare file in %s: %w", opts.Dir, err)
	}
	s := &Server{closers: []func() error{file.close}}
	switch opts.Mode {
	case PutGroupCommit:
		c := newCommitter(file)
		s.handler, s.closers = groupCommit{c}, []func() error{c.close, file.close}
	case PutStages:
		s.handler = newPutStages(file)
	case GetVerify, GetStages:
		s.handler = newVerified(file)
	default:
		return nil, errors.Join(fmt.Errorf("no mode %q", opts.Mode), file.close())
	}
	return s, nil
}

// Close ends the server's goroutine and removes its file.
func (s *Server) Close() error {
	var errs []error
	for _, end := range s.closers {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// ServeHTTP answers for buckets and hands keys to the mode.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.Contains(strings.Trim(r.URL.Path, "/"), "/"): // a bucket: it is there
		if r.Method != http.MethodHead && r.Method != http.MethodPut {
			http.Error(w, "bare servers do not list", http.StatusNotImplemented)
		}
	case strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-"):
		http.Error(w, "bare servers do not decode aws-chunked", http.StatusNotImplemented)
	case r.Method == http.MethodPut && r.ContentLength < 0:
		http.Error(w, "length required", http.StatusLengthRequired)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, errFull) {
		status = http.StatusInsufficientStorage
	}
	http.Error(w, err.Error(), status)
}

func onlyPut(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodPut {
		return true
	}
	http.Error(w, "this bare server only takes PUT", http.StatusNotFound)
	return false
}
