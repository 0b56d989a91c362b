package s3

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgefs/edgefs/segment"
)

// Config says what a gateway stands on. All but Segment and Credentials may be left out.
type Config struct {
	// Segment is what is served. It outlives the gateway.
	Segment *segment.Segment
	// Credentials is the secret of an access key. It is asked for every request, from many goroutines.
	Credentials func(accessKey string) (secret string, ok bool)
	// Domains are the host names below which a host name is a bucket: photos.s3.example.org. Requests to other hosts name it in the path.
	Domains []string
	// Region is the one that signatures must be for, and that is reported. Empty, any region is good and us-east-1 is reported.
	Region string
	// Logger gets every request at debug level, failures of ours at error level. Secrets and signatures are never logged.
	Logger *slog.Logger
	// Observe is called once after each request, from the request's goroutine. It must not block.
	Observe func(Sample)
	// Stall is how long a client may send, or take, nothing before its request ends, so that what a request holds is not held for ever.
	// Default: a minute.
	Stall time.Duration
	// Clock is what requests' times are compared with.
	Clock func() time.Time
}

// Sample is what became of one request.
type Sample struct {
	Operation string // as S3 names it: GetObject; Unknown when there is none
	Status    int
	Received  int64 // bytes of the body that were read, framing included
	Sent      int64 // bytes of the answer's body
	Duration  time.Duration
	Aborted   bool // the answer broke off: what was being sent could not be read any further
}

// Gateway serves S3. It is an http.Handler, safe for concurrent use. Its memory is bounded whatever the number of clients; their number, the
// size of their headers and how long these may take are for the http.Server to bound.
type Gateway struct {
	segment     *segment.Segment
	credentials func(string) (string, bool)
	domains     []string // each with a leading dot, the longest first
	region      string
	log         *slog.Logger
	observe     func(Sample)
	stall       time.Duration
	now         func() time.Time
	routes      routes
	keys        keyCache
	bufs        buffers
	docs        documents
	bodies      gate
	heavy       gate // large documents
}

// New makes a gateway. It holds nothing that needs closing.
func New(c Config) *Gateway {
	g := &Gateway{
		segment: c.Segment, credentials: c.Credentials, region: c.Region,
		log: c.Logger, observe: c.Observe, stall: cmp.Or(c.Stall, time.Minute), now: c.Clock, routes: newRoutes(),
		bodies: make(gate, maxBodies), heavy: make(gate, maxDocuments),
	}
	for _, d := range c.Domains {
		g.domains = append(g.domains, "."+strings.ToLower(strings.Trim(d, ".")))
	}
	slices.SortFunc(g.domains, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.observe == nil {
		g.observe = func(Sample) {}
	}
	if g.now == nil {
		g.now = time.Now
	}
	g.bufs.init()
	return g
}

// regionName is the region that is reported.
func (g *Gateway) regionName() string { return cmp.Or(g.region, "us-east-1") }

// requestID is the header with which a client and a log speak of one request.
const requestID = "X-Amz-Request-Id"

// call is one request being served.
type call struct {
	*Gateway
	w      *response
	r      *http.Request
	id     string // of the request, in the answer and the log
	op     string // S3's name of the operation
	bucket string
	key    string
	query  query
	signer signer
}

// keptHeaders stay when what was begun is answered with an error after all.
var keptHeaders = []string{"Server", requestID, asOfHeader, beforeHeader} // never changed

var serverName = []string{"EdgeFS"} // never changed

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	expectEmpty(w, r)
	body := &clientBody{ReadCloser: r.Body, conn: http.NewResponseController(w), stall: g.stall}
	if r.Body != http.NoBody {
		if r.Header.Get("Expect") != "" { // a server that finds another body than it gave waits for content before it refuses it
			r = r.WithContext(r.Context())
		}
		r.Body = body
		body.wait(start)
	}
	c := &call{Gateway: g, w: &response{ResponseWriter: w, conn: body.conn, stall: g.stall}, r: r, id: newRequestID(), op: "Unknown"}
	h := w.Header()
	h[requestID] = []string{c.id}
	h["Server"] = serverName
	err := c.serve()
	aborted := err != nil && !c.fail(err)
	s := Sample{c.op, cmp.Or(c.w.status, http.StatusOK), body.n, c.w.sent, time.Since(start), aborted}
	g.observe(s)
	c.report(s, err)
	if aborted {
		panic(http.ErrAbortHandler) // the connection breaks: a short body must not look like a whole one
	}
}

// expectEmpty asks for an empty body, which a server need not. botocore expects it: if the answer comes at once it takes the status of the
// connection's next answer for this one's, reads that answer's headers as a body, and waits a minute for the end of it.
func expectEmpty(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && r.ProtoAtLeast(1, 1) && r.Header.Get("Expect") != "" {
		w.WriteHeader(http.StatusContinue)
	}
}

func (c *call) serve() (err error) {
	c.bucket, c.key = c.target(c.r)
	c.bucket = snapshotName(c.bucket)
	if c.query, err = parseQuery(c.r.URL.RawQuery); err != nil {
		return err
	}
	if c.r.Method == http.MethodOptions {
		c.op = "OptionsObject"
		return errAccessForbidden
	}
	if c.r.Method == http.MethodPost && strings.HasPrefix(c.r.Header.Get("Content-Type"), "multipart/form-data") {
		c.op = "PostObject" // its signature is in the form, so it would look anonymous
		return errNotImplemented.say("PostObject (an upload by an HTML form) is not supported.")
	}
	if c.signer, err = c.authenticate(c.r, c.query); err != nil {
		return err
	}
	if c.signer.presigned && c.query.has("X-Amz-Security-Token") || c.r.Header.Get("X-Amz-Security-Token") != "" {
		return errInvalidToken.say("Session tokens are not supported: sign with an access key and its secret alone.")
	}
	op, err := c.routes.find(c.r.Method, c.bucket, c.key, c.query)
	if err != nil {
		return err
	}
	c.op = op.name
	if err := c.check(); err != nil {
		return err
	}
	return op.serve(c)
}

// check refuses what no operation may be asked for.
func (c *call) check() error {
	if want := c.r.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != theOwner.ID {
		return errAccessDenied
	}
	if c.key == "" {
		return nil
	}
	return checkKey(c.key)
}

// target takes the bucket and the key out of a request's host and path.
func (g *Gateway) target(r *http.Request) (bucket, key string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if b := g.bucketOfHost(r.Host); b != "" {
		return b, path
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

// bucketOfHost is the bucket that a host names, if it names one. A domain itself names none, even if it lies in another.
func (g *Gateway) bucketOfHost(host string) string {
	if len(g.domains) == 0 {
		return ""
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = "." + strings.ToLower(host)
	if slices.Contains(g.domains, host) {
		return ""
	}
	for _, d := range g.domains {
		if b, ok := strings.CutSuffix(host, d); ok {
			return b[1:]
		}
	}
	return ""
}

// fail answers with an error, unless an answer has begun: then it is false, and the connection must break.
func (c *call) fail(err error) bool {
	if c.w.status != 0 {
		return false
	}
	f := faultOf(err)
	h := c.w.Header()
	if f.status == http.StatusNotModified {
		c.w.WriteHeader(f.status)
		return true
	}
	maps.DeleteFunc(h, func(name string, _ []string) bool { return !slices.Contains(keptHeaders, name) }) // of the object, or of what was begun
	for _, a := range f.header {
		h.Set(a.name, a.value)
	}
	if c.r.Method == http.MethodHead {
		c.w.WriteHeader(f.status)
		return true
	}
	var d document
	d.b = append(d.b, xmlHeader+"<Error>"...)
	d.text("Code", f.name)
	d.text("Message", f.text)
	for _, a := range f.detail {
		d.text(a.name, a.value)
	}
	d.textIf("BucketName", c.bucket)
	d.textIf("Key", c.key)
	d.text("Resource", c.r.URL.Path)
	d.text("RequestId", c.id)
	d.text("HostId", c.segment.ID().String())
	d.close("Error")
	c.send(f.status, d.b)
	return true
}

// send answers with a document.
func (c *call) send(status int, doc []byte) {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(doc) // a client that went away needs no answer
}

// report writes the access log.
func (c *call) report(s Sample, err error) {
	ctx := c.r.Context()
	level := slog.LevelDebug
	if s.Aborted || s.Status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !c.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("op", s.Operation), slog.String("method", c.r.Method), slog.String("bucket", c.bucket), slog.String("key", c.key),
		slog.Int("status", s.Status), slog.Int64("received", s.Received), slog.Int64("sent", s.Sent),
		slog.Duration("took", s.Duration), slog.String("request", c.id), slog.String("remote", c.r.RemoteAddr),
	}
	if err != nil {
		f := faultOf(err)
		attrs = append(attrs, slog.String("code", f.name), slog.Any("error", cmp.Or(f.cause, error(f.code))))
	}
	c.log.LogAttrs(ctx, level, "s3 request", attrs...)
}

func newRequestID() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], rand.Uint64())
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// response counts what is answered, and gives up a client that stalls.
type response struct {
	http.ResponseWriter
	conn   *http.ResponseController
	stall  time.Duration
	set    time.Time // when the deadline was set last
	status int       // 0 until the answer has begun
	sent   int64
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if now := time.Now(); now.Sub(w.set) > w.stall/4 {
		w.set = now
		_ = w.conn.SetWriteDeadline(now.Add(w.stall)) // a server that cannot has none
	}
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}
