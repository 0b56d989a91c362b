package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func (s *Server) objectOf(v segment.Version) admin.Object {
	return admin.Object{
		Key: v.Key, Version: v.Ref(), Marker: v.Marker, Size: v.Size(), Modified: v.Modified(), ETag: v.Attrs.ETag,
		Segment: s.Segment.SegmentName(v.Dot.Segment), Meta: v.Attrs.Meta, Tags: v.Tags(), Lock: lockOf(&v), LoserOf: v.LoserOf,
	}
}

// oneOf is objectOf among versions that may all be null versions: it names each by its id, which always means one.
func (s *Server) oneOf(v segment.Version) admin.Object {
	o := s.objectOf(v)
	o.Version = v.VersionID.String()
	return o
}

// ref is the version that the query names.
func ref(r *http.Request) (segment.VersionRef, error) {
	v, err := segment.ParseVersionRef(param(r, "version"))
	if err != nil {
		return v, invalid("version %q is not a version id", param(r, "version"))
	}
	return v, nil
}

// target is the bucket and the key of a request.
func (s *Server) target(r *http.Request) (*segment.Bucket, string, error) {
	key := param(r, "key")
	if key == "" {
		return nil, "", invalid("no key: it goes into the query, as key=...")
	}
	b, err := s.named(r)
	return b, key, err
}

// version is the target, and which of its versions the request means.
func (s *Server) version(r *http.Request) (*segment.Bucket, string, segment.VersionRef, error) {
	b, key, err := s.target(r)
	if err != nil {
		return nil, "", segment.VersionRef{}, err
	}
	v, err := ref(r)
	return b, key, v, err
}

func (s *Server) stat(w http.ResponseWriter, r *http.Request) error {
	b, key, v, err := s.version(r)
	if err != nil {
		return err
	}
	found, err := b.Stat(r.Context(), key, v)
	if err != nil {
		return err
	}
	return ok(w, s.objectOf(found))
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	b, key, v, err := s.version(r)
	if err != nil {
		return err
	}
	object, err := b.Open(r.Context(), key, v)
	if err != nil {
		return err
	}
	found := object.Version()
	off, n, err := span(r.Header.Get("Range"), found.Size())
	if err != nil {
		return err
	}
	description, err := json.Marshal(s.objectOf(found))
	if err != nil {
		return err
	}
	out := &lateWriter{w: w, begin: func(h http.Header) {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.FormatInt(n, 10))
		h.Set(admin.HeaderObject, base64.StdEncoding.EncodeToString(description))
	}}
	if n == 0 {
		_, err := out.Write(nil)
		return err
	}
	if _, err := object.ReadRange(r.Context(), out, off, n); err != nil {
		if !out.begun {
			return err
		}
		s.Logger.WarnContext(r.Context(), "admin read broke off", "key", key, "error", err)
		panic(http.ErrAbortHandler) // the connection breaks: a short body must not look like a whole one
	}
	return nil
}

// lateWriter begins the answer with the first byte, so that what fails before is answered as an error.
type lateWriter struct {
	w     http.ResponseWriter
	begin func(http.Header)
	begun bool
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.begin(l.w.Header())
		l.w.WriteHeader(http.StatusOK)
	}
	return l.w.Write(p)
}

// span is what a Range asks for of so many bytes; only one range is read.
func span(header string, size int64) (off, n int64, err error) {
	if header == "" {
		return 0, size, nil
	}
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if !ok || !dash {
		return 0, 0, invalid("range %q: want bytes=FIRST-LAST", header)
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, invalid("range %q: want bytes=-N", header)
		}
		n = min(n, size)
		return size - n, n, nil
	}
	off, err = strconv.ParseInt(first, 10, 64)
	end := size - 1
	if err == nil && last != "" {
		end, err = strconv.ParseInt(last, 10, 64)
	}
	if err != nil || off < 0 || end < off && size > 0 && last != "" {
		return 0, 0, invalid("range %q: want bytes=FIRST-LAST", header)
	}
	if off >= size {
		return 0, 0, &admin.Error{Code: admin.BadRange, Message: fmt.Sprintf("the range begins at byte %d, the content has %d", off, size)}
	}
	return off, min(end, size-1) - off + 1, nil
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) error {
	b, key, err := s.target(r)
	if err != nil {
		return err
	}
	attrs, err := attributes(r)
	if err != nil {
		return err
	}
	cond := segment.Cond{Absent: r.Header.Get("If-None-Match") == "*", Resolve: param(r, "resolve") == "true"}
	if tag := r.Header.Get("If-Match"); tag != "" {
		cond.Match = []string{strings.Trim(tag, `"`)}
	}
	out := b.Writer(r.Context(), r.ContentLength)
	defer out.Abort()
	sum, err := newETag(param(r, "partSize"))
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, io.TeeReader(sentContent{r.Body}, sum)); err != nil {
		return err
	}
	attrs.ETag, attrs.Parts = sum.etag()
	v, err := out.Commit(r.Context(), key, attrs, cond)
	if err != nil {
		return err
	}
	return ok(w, s.objectOf(v))
}

// sentContent is content that a client sends. When it breaks off, that is no fault of the segment's.
type sentContent struct{ io.Reader }

func (s sentContent) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = invalid("the content broke off: %v", err)
	}
	return n, err
}

// The most that metadata may be, as S3 has it: 2 KiB of its own, and as much for what describes the content.
const maxMeta = 4 << 10

func attributes(r *http.Request) (a segment.Attrs, err error) {
	if header := r.Header.Get(admin.HeaderTags); header != "" {
		text, err := base64.StdEncoding.DecodeString(header)
		if err == nil {
			err = json.Unmarshal(text, &a.Tags)
		}
		if err != nil {
			return a, invalid("tags: %v", err)
		}
		if err := checkTags(a.Tags); err != nil {
			return a, err
		}
	}
	header := r.Header.Get(admin.HeaderMeta)
	if header == "" {
		return a, nil
	}
	text, err := base64.StdEncoding.DecodeString(header)
	if err == nil {
		err = json.Unmarshal(text, &a.Meta)
	}
	if err != nil {
		return a, invalid("metadata: %v", err)
	}
	if len(text) > maxMeta {
		return a, invalid("metadata of %d bytes: the most is %d", len(text), maxMeta)
	}
	for name, value := range a.Meta { // S3 hands each out as a header
		if !httpguts.ValidHeaderFieldName(name) || name != strings.ToLower(name) {
			return a, invalid("metadata %q: HTTP has no such name", name)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return a, invalid("metadata %s=%q: HTTP has no such value", name, value)
		}
	}
	return a, nil
}

// resolve ends a conflict in favour of one version, which is named as conflicts names it.
func (s *Server) resolve(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	var doc admin.Resolution
	if err := read(r, &doc); err != nil {
		return err
	}
	if doc.Key == "" || doc.Keep == "" {
		return invalid("a resolution names a key and the version to keep")
	}
	keep, err := segment.ParseVersionRef(doc.Keep)
	if err != nil {
		return invalid("version %q is not a version id", doc.Keep)
	}
	var cond segment.Cond
	for _, text := range doc.Open {
		id, err := segment.ParseVersionID(text)
		if err != nil {
			return invalid("version %q is not a version id", text)
		}
		cond.Open = append(cond.Open, id)
	}
	v, err := b.Resolve(r.Context(), doc.Key, keep, cond)
	if err != nil {
		return err
	}
	return ok(w, s.oneOf(v))
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request) error {
	b, key, v, err := s.version(r)
	if err != nil {
		return err
	}
	there := r.Header.Get("If-Match") == "*"
	var d segment.Deleted
	if param(r, "version") == "" {
		var cond segment.Cond
		if there {
			cond.Match = []string{"*"}
		}
		d, err = b.Delete(r.Context(), key, cond)
	} else {
		if there {
			err = isThere(r.Context(), b, key, v)
		}
		if err == nil {
			d, err = b.Remove(r.Context(), key, v, segment.Cond{BypassGovernance: param(r, "bypass") == "true"})
		}
	}
	if err != nil {
		return err
	}
	out := admin.Deleted{Marker: d.Marker}
	switch {
	case d.Null:
		out.Version = "null"
	case !d.Version.IsZero():
		out.Version = d.Version.String()
	}
	return ok(w, out)
}

// isThere fails when a version, or delete marker, is not there. Removing it is no condition of the segment, which asks for content; a version
// never changes, so that at worst two who remove it at once both hear that they did.
func isThere(ctx context.Context, b *segment.Bucket, key string, v segment.VersionRef) error {
	_, err := b.Stat(ctx, key, v)
	if errors.As(err, new(*segment.MarkerError)) {
		return nil
	}
	return err
}
