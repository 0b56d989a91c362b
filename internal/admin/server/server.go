package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// Links is what the API asks of the links of a segment. Errors that are *admin.Error are answered as they are.
type Links interface {
	List() []admin.Link
	Invite(ctx context.Context, valid time.Duration, addresses []string) (admin.Invitation, error)
	Join(ctx context.Context, invitation string) (admin.Link, error)
	// Remove ends the link with a peer, by its name or id.
	Remove(ctx context.Context, peer string) error
	// Pending are the peers that may not know a bucket's settings yet.
	Pending(segment.BucketID) []segment.ID
}

// Config is what the API stands on. All fields are needed.
type Config struct {
	Segment     *segment.Segment
	Local       chunk.Store // what is here, cached copies too, of the segment's domain
	Links       Links
	Devices     Devices
	Base        func() (admin.Status, error) // all of the status but what buckets and links say
	Exposed     func(context.Context, segment.BucketID) (int64, error)
	Health      func() admin.Health
	Metrics     http.Handler
	Credentials admin.Credentials
	Stopping    <-chan struct{} // closed when long work is to end, since the daemon does
	Logger      *slog.Logger
}

// Server is an http.Handler. Whoever reaches it may do everything: the socket's mode, or [Guard], decides who does.
type Server struct {
	Config
	mux *http.ServeMux
}

// New makes a server; it holds nothing that needs closing.
func New(c Config) *Server {
	s := &Server{Config: c, mux: http.NewServeMux()}
	for pattern, h := range map[string]handler{
		"GET /status":                      s.getStatus,
		"GET /health":                      s.health,
		"GET /credentials/s3":              s.credentials,
		"POST /verify":                     s.verify,
		"POST /check":                      s.check,
		"POST /collect":                    s.collect,
		"GET /collect":                     s.collectStatus,
		"GET /space":                       s.space,
		"POST /space":                      s.countSpace,
		"GET /chunks/{chunk}":              s.explain,
		"GET /scrub":                       s.scrubStatus,
		"POST /scrub":                      s.startScrub,
		"DELETE /scrub":                    s.stopScrub,
		"GET /scrub/progress":              s.followScrub,
		"GET /buckets":                     s.buckets,
		"POST /buckets":                    s.createBucket,
		"GET /buckets/{bucket}":            s.bucket,
		"PATCH /buckets/{bucket}":          s.setBucket,
		"DELETE /buckets/{bucket}":         s.deleteBucket,
		"POST /buckets/{bucket}/home":      s.moveHome,
		"POST /buckets/{bucket}/name":      s.renameBucket,
		"POST /buckets/{bucket}/rename":    s.rename,
		"GET /buckets/{bucket}/objects":    s.list,
		"GET /buckets/{bucket}/conflicts":  s.conflicts,
		"POST /buckets/{bucket}/conflicts": s.resolve,
		"GET /buckets/{bucket}/conflict":   s.conflict,
		"GET /buckets/{bucket}/stat":       s.stat,
		"GET /buckets/{bucket}/snapshots":  s.snapshots,
		"POST /buckets/{bucket}/snapshots": s.createSnapshot,
		"GET /buckets/{bucket}/diff":       s.diff,
		"POST /buckets/{bucket}/restore":   s.restore,

		"DELETE /buckets/{bucket}/snapshots/{snapshot}": s.deleteSnapshot,

		"GET /buckets/{bucket}/export":  s.export,
		"POST /buckets/{bucket}/import": s.importStream,

		"POST /buckets/{bucket}/merge": s.merge,
		"GET /buckets/{bucket}/log":    s.log,

		"GET /branches":             s.branches,
		"POST /branches":            s.createBranch,
		"DELETE /branches/{branch}": s.deleteBranch,

		"GET /buckets/{bucket}/object":    s.get,
		"PUT /buckets/{bucket}/object":    s.put,
		"DELETE /buckets/{bucket}/object": s.delete,
		"PUT /buckets/{bucket}/tags":      s.setTags,
		"PUT /buckets/{bucket}/lock":      s.lock,
		"GET /links":                      s.links,
		"POST /links":                     s.join,
		"POST /links/invitations":         s.invite,
		"DELETE /links/{peer}":            s.removeLink,

		"GET /devices":                   s.devices,
		"POST /devices":                  s.addDevice,
		"GET /devices/candidates":        s.discoverDevices,
		"DELETE /devices/{device}":       s.removeDevice,
		"GET /devices/{device}/drain":    s.followDevice,
		"POST /devices/{device}/drain":   s.drainDevice,
		"DELETE /devices/{device}/drain": s.undrainDevice,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.Handle(method+" "+admin.Version1+path, s.wrap(h))
	}
	s.mux.Handle("GET "+admin.Version1+"/metrics", c.Metrics)
	s.profiles()
	s.mux.Handle("/", s.wrap(func(http.ResponseWriter, *http.Request) error {
		return &admin.Error{Code: admin.NotFound, Message: "the admin API has no such call"}
	}))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// handler answers, or returns why it did not and has sent nothing.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *Server) wrap(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.pin(w, r)
		if err == nil {
			err = h(w, r)
		}
		if err == nil {
			return
		}
		e := refusal(err)
		level := slog.LevelDebug
		if e.Code == admin.Internal && r.Context().Err() == nil { // a client that has gone away is no fault
			level = slog.LevelError
		}
		s.Logger.Log(r.Context(), level, "admin request refused", "method", r.Method, "path", r.URL.Path, "code", string(e.Code), "error", err)
		refuse(w, r, e)
	})
}

// hearTime is how long a client that was refused may go on sending.
const hearTime = 10 * time.Second

// refuse answers with an error. A client that is still sending gets the answer at once, and is listened to until it has read that and stops: a connection that was closed
// while it writes would tell it nothing.
func refuse(w http.ResponseWriter, r *http.Request, e *admin.Error) {
	text, _ := json.Marshal(struct {
		Error *admin.Error `json:"error"`
	}{e})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // so that the answer has ended, though the call has not
	out := http.NewResponseController(w)
	sends := r.ContentLength != 0 && out.EnableFullDuplex() == nil
	w.WriteHeader(e.Code.Status())
	_, _ = w.Write(text)
	if sends && out.Flush() == nil {
		_ = out.SetReadDeadline(time.Now().Add(hearTime))
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// answer writes a document.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away needs no answer
}

func ok(w http.ResponseWriter, v any) error {
	answer(w, http.StatusOK, v)
	return nil
}

// maxDocument bounds what a client may send apart from content.
const maxDocument = 1 << 20

// read reads a document, strictly.
func read(r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxDocument))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return invalid("the request's document: %v", err)
	}
	return nil
}

// Guard lets only those pass that show the administrator's token.
func Guard(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(shown))
		if token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			e := &admin.Error{Code: admin.Unauthorized, Message: "this is not the credential of an administrator of this segment (its file is keys/admin.json)"}
			answer(w, e.Code.Status(), struct {
				Error *admin.Error `json:"error"`
			}{e})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// param is a value of the query. The body is never taken for one.
func param(r *http.Request, name string) string { return r.URL.Query().Get(name) }
