package s3

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// source is what a copy copies.
type source struct {
	bucket, key string
	ref         segment.VersionRef
}

// parseSource reads X-Amz-Copy-Source: /bucket/key?versionId=..., percent-encoded.
func parseSource(header string) (s source, err error) {
	path, version := header, ""
	if i := strings.LastIndex(header, "?versionId="); i >= 0 {
		path, version = header[:i], header[i+len("?versionId="):]
	}
	path, err = url.PathUnescape(path)
	if err != nil || strings.HasPrefix(path, "arn:") {
		return s, invalidSource()
	}
	s.bucket, s.key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	s.bucket = snapshotName(s.bucket)
	if s.bucket == "" || s.key == "" {
		return s, invalidSource()
	}
	if err := checkKey(s.key); err != nil {
		return s, err
	}
	s.ref, err = parseVersionRef(version)
	return s, err
}

func invalidSource() error {
	return errInvalidArgument.say("Copy Source must mention the source bucket and key: sourcebucket/sourcekey").with("ArgumentName", "x-amz-copy-source")
}

// openSource opens what a copy copies, if the request's conditions on it hold.
func (c *call) openSource() (s source, o *segment.Object, err error) {
	if s, err = parseSource(c.r.Header.Get("X-Amz-Copy-Source")); err != nil {
		return s, nil, err
	}
	if want := c.r.Header.Get("X-Amz-Source-Expected-Bucket-Owner"); want != "" && want != theOwner.ID {
		return s, nil, errAccessDenied
	}
	b, err := c.state(s.bucket)
	if err != nil {
		return s, nil, err
	}
	if o, err = b.Open(c.r.Context(), s.key, s.ref); err != nil {
		if _, isMarker := markerOf(err); isMarker && !s.ref.Current() {
			return s, nil, errInvalidRequest.say("The source of a copy request may not specifically refer to a delete marker by version id.")
		}
		return s, nil, err
	}
	v := o.Version()
	if err := sourcePreconditions(c.r.Header).check(v.Attrs.ETag, v.Modified()); err != nil {
		return s, nil, errPreconditionFailed
	}
	if b.Settings().Versioning != segment.Unversioned {
		c.w.Header().Set("X-Amz-Copy-Source-Version-Id", v.Ref())
	}
	return s, o, nil
}

// directive reads whether something is copied or replaced.
func directive(h http.Header, name string) (replace bool, err error) {
	switch v := h.Get(name); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, errInvalidArgument.say("Unknown %s.", strings.ToLower(strings.TrimPrefix(name, "X-Amz-"))).with("ArgumentName", strings.ToLower(name)).with("ArgumentValue", v)
	}
}

// copyObject makes another version of what is stored. No payload moves.
func (c *call) copyObject() error {
	cond, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	own, err := readAttrs(c.r.Header)
	if err != nil {
		return err
	}
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	if err := checkLock(b, own.Lock); err != nil {
		return err
	}
	s, o, err := c.openSource()
	if err != nil {
		return err
	}
	from := o.Version()
	attrs := from.Attrs
	attrs.Tags, attrs.Lock = from.Tags(), own.Lock
	attrs, err = c.copiedAttrs(s, attrs, own)
	if err != nil {
		return err
	}
	if s.bucket != c.bucket || s.key != c.key { // else it is the same file with other attributes
		attrs.File = o.CopiedFile()
	}
	if err := c.addChecksum(o, &attrs); err != nil {
		return err
	}
	v, err := b.Copy(c.r.Context(), o, c.key, attrs, cond)
	if err != nil {
		return unreadable(err)
	}
	c.describeWritten(&v)
	var d document
	d.begin("CopyObjectResult")
	d.time("LastModified", v.Modified())
	d.etag(v.Attrs.ETag)
	writeChecksums(&d, v.Attrs.Checksums)
	d.close("CopyObjectResult")
	c.send(http.StatusOK, d.b)
	return nil
}

// copiedAttrs are those of a copy: what is of the bytes stays, what is of the writer is copied or replaced.
func (c *call) copiedAttrs(s source, from, own segment.Attrs) (segment.Attrs, error) {
	h := c.r.Header
	replaceMeta, err := directive(h, "X-Amz-Metadata-Directive")
	if err != nil {
		return from, err
	}
	replaceTags, err := directive(h, "X-Amz-Tagging-Directive")
	if err != nil {
		return from, err
	}
	onItself := s.bucket == c.bucket && s.key == c.key && s.ref.Current()
	if onItself && !replaceMeta && !replaceTags && h.Get(storageClassHeader) == "" && h.Get(redirectHeader) == "" {
		return from, errInvalidRequest.say("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if replaceMeta {
		from.Meta = own.Meta
	} else {
		from.Meta = copiedMeta(from.Meta, own.Meta)
	}
	if replaceTags {
		from.Tags = own.Tags
	}
	return from, nil
}

// addChecksum computes the checksum that a copy's request asks for, if the source has not got it: the one copy that reads payload.
func (c *call) addChecksum(o *segment.Object, attrs *segment.Attrs) error {
	name := c.r.Header.Get("X-Amz-Checksum-Algorithm")
	if name == "" {
		return nil
	}
	a, ok := parseAlgorithm(name)
	if !ok {
		return unknownAlgorithm()
	}
	for _, s := range attrs.Checksums {
		if s.Algorithm == string(a) && !s.Composite {
			return nil
		}
	}
	h := a.new()
	v := o.Version()
	if _, err := o.ReadRange(c.r.Context(), h, 0, v.Size()); err != nil {
		return unreadable(err)
	}
	attrs.Checksums = claim{algorithm: a, sum: h.Sum(nil)}.stored()
	return nil
}

func writeChecksums(d *document, sums []segment.Checksum) {
	for _, s := range sums {
		d.text(algorithm(s.Algorithm).element(), s.Value)
		d.text("ChecksumType", checksumType(s))
	}
}
