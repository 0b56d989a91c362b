package s3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgefs/edgefs/segment"
)

// defaultType is the Content-Type of an object whose writer gave none.
const defaultType = "binary/octet-stream"

// versionRef is the version that a request asks for.
func (c *call) versionRef() (segment.VersionRef, error) {
	text, given := c.query.lookup("versionId")
	if given && text == "" {
		return segment.VersionRef{}, errInvalidArgument.say("Version id cannot be the empty string").with("ArgumentName", "versionId")
	}
	return parseVersionRef(text)
}

func parseVersionRef(text string) (segment.VersionRef, error) {
	ref, err := segment.ParseVersionRef(text)
	if err != nil {
		return ref, errInvalidArgument.say("Invalid version id specified").with("ArgumentName", "versionId").with("ArgumentValue", text)
	}
	return ref, nil
}

// markerFault is how a read of a delete marker fails: a marker asked for by its id is there, and cannot be read.
func (c *call) markerFault(err error, ref segment.VersionRef) error {
	var m *segment.MarkerError
	if !errors.As(err, &m) {
		return err
	}
	f := &fault{code: errNoSuchKey, cause: err}
	if !ref.Current() {
		f.code = errMethodNotAllowed
		f.withHeader("Last-Modified", httpTime(m.Version.Modified())).withHeader("Allow", "DELETE")
	}
	return f.withHeader("X-Amz-Delete-Marker", "true").withHeader("X-Amz-Version-Id", m.Version.Ref())
}

// getObject answers GET and HEAD.
func (c *call) getObject() error {
	b, err := c.state(c.bucket)
	if err != nil {
		return err
	}
	ref, err := c.versionRef()
	if err != nil {
		return err
	}
	if err := c.checkPart(); err != nil {
		return err
	}
	o, err := b.Open(c.r.Context(), c.key, ref)
	if err != nil {
		return c.markerFault(err, ref)
	}
	v := o.Version()
	h := c.w.Header()
	c.describe(&v, b.Settings().Versioning != segment.Unversioned)
	if err := readPreconditions(c.r.Header).check(v.Attrs.ETag, v.Modified()); err != nil {
		return err
	}
	s, partial, err := c.wanted(&v)
	if err != nil {
		return err
	}
	if err := c.override(h); err != nil {
		return err
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", s.contentRange(v.Size()))
	} else if strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		setChecksums(h, v.Attrs.Checksums)
	}
	h["Content-Length"] = []string{strconv.FormatInt(s.n, 10)}
	if c.r.Method == http.MethodHead || s.n == 0 {
		c.w.WriteHeader(status)
		return nil
	}
	// The status goes out with the first byte, so that what cannot be read at all is answered with an error.
	late := &lateStatus{w: c.w, status: status}
	n, err := o.ReadRange(c.r.Context(), late, s.off, s.n)
	switch {
	case late.err != nil:
		return &fault{code: errClientGone, cause: late.err}
	case err != nil:
		return unreadable(err)
	case n != s.n:
		return errInternal
	}
	return nil
}

// lateStatus begins an answer with its first byte.
type lateStatus struct {
	w      *response
	status int
	err    error // of writing: the client went away
}

// Write implements io.Writer.
func (l *lateStatus) Write(p []byte) (int, error) {
	if l.w.status == 0 {
		l.w.WriteHeader(l.status)
	}
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// describe sets the headers that tell of a version.
func (c *call) describe(v *segment.Version, versioned bool) {
	h := c.w.Header()
	h["Accept-Ranges"] = []string{"bytes"}
	h["ETag"] = []string{quoted(v.Attrs.ETag)}
	h["Last-Modified"] = []string{httpTime(v.Modified())}
	if versioned {
		h["X-Amz-Version-Id"] = []string{v.Ref()}
	}
	h["Content-Type"] = []string{defaultType}
	for name, value := range v.Attrs.Meta {
		if strings.HasPrefix(name, metaName) {
			h[name] = []string{value} // lower case, as at S3: to a client that keeps the case another would be another name
		} else {
			h.Set(name, value)
		}
	}
	if n := len(v.Tags()); n > 0 {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(n))
	}
	describeLock(h, v)
}

func setChecksums(h http.Header, sums []segment.Checksum) {
	for _, s := range sums {
		h.Set(algorithm(s.Algorithm).header(), s.Value)
		h.Set("X-Amz-Checksum-Type", checksumType(s))
	}
}

func quoted(etag string) string { return `"` + etag + `"` }

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// checkPart refuses a part's number that no object has, before looking whether there is an object.
func (c *call) checkPart() error {
	text, ok := c.query.lookup("partNumber")
	if !ok {
		return nil
	}
	_, err := parsePartNumber(text)
	return err
}

// wanted is the part of an object that is asked for; partial when it is asked for as a part.
func (c *call) wanted(v *segment.Version) (s span, partial bool, err error) {
	header := c.r.Header.Get("Range")
	if text, ok := c.query.lookup("partNumber"); ok {
		if header != "" {
			return s, false, errInvalidRequest.say("Cannot specify both Range header and partNumber query parameter")
		}
		return c.wantedPart(text, v)
	}
	whole := span{0, v.Size()}
	if header == "" || !c.ifRange(v) {
		return whole, false, nil
	}
	s, partial, err = parseSpan(header, v.Size())
	if err != nil || partial {
		return s, partial, err
	}
	return whole, false, nil
}

// ifRange says whether a Range header counts: not when the object is another than the client has the rest of.
func (c *call) ifRange(v *segment.Version) bool {
	want := c.r.Header.Get("If-Range")
	if want == "" {
		return true
	}
	if t, err := http.ParseTime(want); err == nil {
		return v.Modified().Truncate(time.Second).Equal(t)
	}
	return want == quoted(v.Attrs.ETag)
}

// wantedPart is one part of what was uploaded in parts. Anything else has one.
func (c *call) wantedPart(text string, v *segment.Version) (s span, partial bool, err error) {
	number, err := parsePartNumber(text)
	if err != nil {
		return s, false, err
	}
	parts := v.Attrs.Parts
	if len(parts) == 0 {
		if number != 1 {
			return s, false, errInvalidPartNumber
		}
		return span{0, v.Size()}, v.Size() > 0, nil
	}
	if number > len(parts) {
		return s, false, errInvalidPartNumber.with("PartNumberRequested", text).with("ActualPartCount", strconv.Itoa(len(parts)))
	}
	for _, n := range parts[:number-1] {
		s.off += n
	}
	s.n = parts[number-1]
	c.w.Header().Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(parts)))
	return s, s.n > 0, nil
}

// override sets the headers that the query asks to be answered instead of the stored ones.
func (c *call) override(h http.Header) error {
	for _, p := range c.query {
		name, ok := strings.CutPrefix(p.name, "response-")
		if !ok {
			continue
		}
		switch name {
		case "content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding":
			h.Set(name, p.value)
		default:
			return errInvalidArgument.say("%s is not a header that can be overridden.", p.name)
		}
	}
	return nil
}
