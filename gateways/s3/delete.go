package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/segment"
)

const (
	// maxDeletes is how many keys one DeleteObjects may name.
	maxDeletes = 1000
	// maxDeleteDocument bounds its document, in bytes.
	maxDeleteDocument = 2 << 20
	// deletesAtOnce is how many of its deletes are under way together: they become durable together.
	deletesAtOnce = 16
)

func markerOf(err error) (segment.Version, bool) {
	var m *segment.MarkerError
	if errors.As(err, &m) {
		return m.Version, true
	}
	return segment.Version{}, false
}

func (c *call) deleteObject() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	ref, err := c.versionRef()
	if err != nil {
		return err
	}
	cond, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	if cond.Absent {
		return errNotImplemented.say("If-None-Match is not supported on a delete.")
	}
	for _, name := range []string{"X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if c.r.Header.Get(name) != "" {
			return errNotImplemented.say("%s is not supported: use If-Match.", strings.ToLower(name))
		}
	}
	cond.BypassGovernance = bypasses(c.r.Header)
	d, err := remove(c.r.Context(), b, c.key, ref, cond)
	if err != nil {
		return err
	}
	h := c.w.Header()
	if d.marker {
		h.Set("X-Amz-Delete-Marker", "true")
	}
	if d.version != "" {
		h.Set("X-Amz-Version-Id", d.version)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// removal is what a delete did, as S3 tells it.
type removal struct {
	marker  bool   // it made a delete marker, or removed one
	version string // the one made or removed; empty in a bucket without versions
}

// remove deletes a key, or one version of it for ever. What is not there is deleted already.
func remove(ctx context.Context, b *segment.Bucket, key string, ref segment.VersionRef, cond segment.Cond) (r removal, err error) {
	if ref.Current() {
		d, err := b.Delete(ctx, key, cond)
		if err != nil || b.Settings().Versioning == segment.Unversioned {
			return removal{}, err
		}
		if !d.Marker {
			return removal{}, nil
		}
		return removal{true, versionText(d)}, nil
	}
	d, err := b.Remove(ctx, key, ref, cond)
	if len(cond.Match) == 0 && (errors.Is(err, segment.ErrNoSuchVersion) || errors.Is(err, segment.ErrNoSuchKey)) {
		return removal{version: ref.String()}, nil
	}
	return removal{d.Marker, ref.String()}, err
}

func versionText(d segment.Deleted) string {
	if d.Null {
		return "null"
	}
	return d.Version.String()
}

type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID *string `xml:"VersionId"`
		ETag      string
		// Conditions that are not supported, and must not be passed over.
		Size, LastModifiedTime string
	} `xml:"Object"`
}

// deleteObjects deletes many keys. Each succeeds or fails alone.
func (c *call) deleteObjects() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	var req deleteRequest
	if err := c.readXML(&req, maxDeleteDocument); err != nil {
		return err
	}
	if len(req.Objects) == 0 || len(req.Objects) > maxDeletes {
		return errMalformedXML
	}
	cond := segment.Cond{BypassGovernance: bypasses(c.r.Header)}
	results := make([]deleteResult, len(req.Objects))
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for i, o := range req.Objects {
		version := ""
		if o.VersionID != nil {
			version = *o.VersionID
		}
		results[i] = deleteResult{key: o.Key, asked: version}
		if o.Size != "" || o.LastModifiedTime != "" {
			results[i].err = errNotImplemented.say("Size and LastModifiedTime are not supported: use ETag.")
			continue
		}
		g.Go(func() error {
			results[i].run(c.r.Context(), b, cond, o.ETag)
			return nil
		})
	}
	_ = g.Wait()
	if err := c.r.Context().Err(); err != nil {
		return err
	}
	var d document
	d.begin("DeleteResult")
	for i := range results {
		results[i].write(&d, req.Quiet)
	}
	d.close("DeleteResult")
	c.send(http.StatusOK, d.b)
	return nil
}

type deleteResult struct {
	key, asked string // the version asked for, if one was
	did        removal
	err        error
}

func (r *deleteResult) run(ctx context.Context, b *segment.Bucket, cond segment.Cond, etag string) {
	if r.key == "" {
		r.err = errInvalidArgument.say("The key is empty.")
		return
	}
	if r.err = checkKey(r.key); r.err != nil {
		return
	}
	ref, err := parseVersionRef(r.asked)
	if err != nil {
		r.err = errNoSuchVersion
		return
	}
	if etag != "" {
		cond.Match = []string{cleanETag(etag)}
	}
	r.did, r.err = remove(ctx, b, r.key, ref, cond)
}

func (r *deleteResult) write(d *document, quiet bool) {
	if r.err != nil {
		f := faultOf(r.err)
		d.open("Error")
		d.text("Key", r.key)
		d.textIf("VersionId", r.asked)
		d.text("Code", f.name)
		d.text("Message", f.text)
		d.close("Error")
		return
	}
	if quiet {
		return
	}
	d.open("Deleted")
	d.text("Key", r.key)
	d.textIf("VersionId", r.asked)
	if r.did.marker {
		d.flag("DeleteMarker", true)
		d.textIf("DeleteMarkerVersionId", r.did.version)
	}
	d.close("Deleted")
}
