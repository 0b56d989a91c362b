package s3

import (
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

const (
	maxParts = 10000
	// minPart is the least size of a part that is not the last, in bytes.
	minPart = 5 << 20
)

func parsePartNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || n > maxParts {
		return 0, errInvalidArgument.say("Part number must be an integer between 1 and 10000, inclusive").with("ArgumentName", "partNumber").with("ArgumentValue", text)
	}
	return int(n), nil
}

// createUpload begins an upload in parts. The checksum that it is to have is kept as one without a value.
func (c *call) createUpload() error {
	attrs, err := readAttrs(c.r.Header)
	if err != nil {
		return err
	}
	sum, err := uploadChecksum(c.r.Header)
	if err != nil {
		return err
	}
	if sum.Algorithm != "" {
		attrs.Checksums = []segment.Checksum{sum}
	}
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	if err := checkLock(b, attrs.Lock); err != nil {
		return err
	}
	u, err := b.CreateUpload(c.r.Context(), c.key, attrs)
	if err != nil {
		return err
	}
	if sum.Algorithm != "" {
		c.w.Header().Set("X-Amz-Checksum-Algorithm", sum.Algorithm)
		c.w.Header().Set("X-Amz-Checksum-Type", checksumType(sum))
	}
	var d document
	d.begin("InitiateMultipartUploadResult")
	d.text("Bucket", c.bucket)
	d.text("Key", c.key)
	d.text("UploadId", u.ID)
	d.close("InitiateMultipartUploadResult")
	c.send(http.StatusOK, d.b)
	return nil
}

// uploadChecksum reads which checksum an upload is to have; without a value, and without a name when none is asked for.
func uploadChecksum(h http.Header) (sum segment.Checksum, err error) {
	name, kind := h.Get("X-Amz-Checksum-Algorithm"), h.Get("X-Amz-Checksum-Type")
	if name == "" {
		if kind != "" {
			return sum, errInvalidRequest.say("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return sum, nil
	}
	a, ok := parseAlgorithm(name)
	if !ok {
		return sum, unknownAlgorithm()
	}
	sum.Algorithm = string(a)
	switch strings.ToUpper(kind) {
	case "":
		sum.Composite = a != crc64NVMe
		return sum, nil
	case composite:
		sum.Composite = true
		ok = a != crc64NVMe
	case fullObject:
		ok = a.linear()
	default:
		return sum, errInvalidRequest.say("Value for x-amz-checksum-type header is invalid.")
	}
	if !ok {
		return sum, errInvalidRequest.say("The %s checksum type cannot be used with the %s checksum algorithm.", strings.ToUpper(kind), strings.ToLower(name))
	}
	return sum, nil
}

// uploadPart stores one part of an upload.
func (c *call) uploadPart() error {
	number, err := parsePartNumber(c.query.get("partNumber"))
	if err != nil {
		return err
	}
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	id := c.query.get("uploadId")
	if c.r.Header.Get("X-Amz-Copy-Source") != "" {
		c.op = "UploadPartCopy"
		return c.copyPart(b, id, number)
	}
	if err := refuseHeaders(c.r.Header); err != nil {
		return err
	}
	u, err := b.Upload(c.r.Context(), c.key, id)
	if err != nil {
		return err
	}
	p, done, err := c.openBody()
	if err != nil {
		return err
	}
	defer done()
	if err := p.expect(u.Attrs.Checksums); err != nil {
		return err
	}
	w, err := b.PartWriter(c.r.Context(), c.key, id, number, p.size)
	if err != nil {
		return err
	}
	defer w.Abort()
	sum, err := c.bufs.pour(p, w)
	if err != nil {
		return err
	}
	part, err := w.CommitPart(c.r.Context(), segment.Attrs{ETag: hex.EncodeToString(sum[:]), Checksums: p.claim.stored()})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["ETag"] = []string{quoted(part.ETag)}
	for _, s := range part.Checksums {
		h.Set(algorithm(s.Algorithm).header(), s.Value)
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// copyPart makes a part of a range of an object. It shares the object's chunks.
func (c *call) copyPart(b *segment.Bucket, id string, number int) error {
	u, err := b.Upload(c.r.Context(), c.key, id)
	if err != nil {
		return err
	}
	_, o, err := c.openSource()
	if err != nil {
		return err
	}
	v := o.Version()
	s := span{0, v.Size()}
	if header := c.r.Header.Get("X-Amz-Copy-Source-Range"); header != "" {
		if s, err = parseSourceSpan(header, v.Size()); err != nil {
			return err
		}
	}
	part, err := c.storeCopy(b, u, number, o, s)
	if err != nil {
		return unreadable(err)
	}
	var d document
	d.begin("CopyPartResult")
	d.time("LastModified", part.Modified)
	d.etag(part.ETag)
	for _, s := range part.Checksums {
		d.text(algorithm(s.Algorithm).element(), s.Value)
	}
	d.close("CopyPartResult")
	c.send(http.StatusOK, d.b)
	return nil
}

// storeCopy shares the chunks of what is copied, unless the upload is to have a checksum: then they must be read.
func (c *call) storeCopy(b *segment.Bucket, u segment.Upload, number int, o *segment.Object, s span) (part segment.Part, err error) {
	ctx := c.r.Context()
	if len(u.Attrs.Checksums) == 0 {
		return b.CopyPart(ctx, c.key, u.ID, number, o, s.off, s.n)
	}
	w, err := b.PartWriter(ctx, c.key, u.ID, number, s.n)
	if err != nil {
		return part, err
	}
	defer w.Abort()
	a := algorithm(u.Attrs.Checksums[0].Algorithm)
	sum, tag := a.new(), md5.New()
	if _, err := o.ReadRange(ctx, io.MultiWriter(w, sum, tag), s.off, s.n); err != nil {
		return part, err
	}
	return w.CommitPart(ctx, segment.Attrs{
		ETag: hex.EncodeToString(tag.Sum(nil)), Checksums: claim{algorithm: a, sum: sum.Sum(nil)}.stored(),
	})
}

// parseSourceSpan reads X-Amz-Copy-Source-Range, which must be first and last byte of what is there.
func parseSourceSpan(header string, size int64) (span, error) {
	invalid := errInvalidArgument.say("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy").
		with("ArgumentName", "x-amz-copy-source-range").with("ArgumentValue", header)
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	from, ok1 := parseOffset(first)
	to, ok2 := parseOffset(last)
	if !ok || !dash || !ok1 || !ok2 || from > to {
		return span{}, invalid
	}
	if to >= size {
		return span{}, errInvalidArgument.say("Range specified is not valid for source object of size: %d", size).
			with("ArgumentName", "x-amz-copy-source-range").with("ArgumentValue", header)
	}
	return span{from, to - from + 1}, nil
}

func (c *call) abortUpload() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	if c.r.Header.Get("X-Amz-If-Match-Initiated-Time") != "" {
		return errNotImplemented.say("x-amz-if-match-initiated-time is not supported.")
	}
	if err := b.AbortUpload(c.r.Context(), c.key, c.query.get("uploadId")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) listParts() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	limit, err := c.query.limit("max-parts", maxPage)
	if err != nil {
		return err
	}
	after, err := c.query.limit("part-number-marker", maxParts)
	if err != nil {
		return err
	}
	if !c.query.has("part-number-marker") {
		after = 0
	}
	url, err := c.parseEncoding()
	if err != nil {
		return err
	}
	id := c.query.get("uploadId")
	u, err := b.Upload(c.r.Context(), c.key, id)
	if err != nil {
		return err
	}
	var parts []segment.Part
	more := false
	if limit > 0 {
		if parts, more, err = b.Parts(c.r.Context(), c.key, id, after, limit); err != nil {
			return err
		}
	}
	l := listing{limit: limit, url: url}
	return c.sendDocument(func(d *document) {
		d.begin("ListPartsResult")
		d.text("Bucket", c.bucket)
		l.key(d, "Key", c.key)
		d.text("UploadId", id)
		d.owner("Initiator", theOwner)
		d.owner("Owner", theOwner)
		d.text("StorageClass", storageClass(&u.Attrs))
		d.num("PartNumberMarker", int64(after))
		next := 0
		if len(parts) > 0 {
			next = parts[len(parts)-1].Number
		}
		d.num("NextPartNumberMarker", int64(next))
		d.num("MaxParts", int64(limit))
		l.encoding(d)
		d.flag("IsTruncated", more)
		for _, s := range u.Attrs.Checksums {
			d.text("ChecksumAlgorithm", s.Algorithm)
			d.text("ChecksumType", checksumType(s))
		}
		for i := range parts {
			writePart(d, &parts[i])
		}
		d.close("ListPartsResult")
	})
}

func writePart(d *document, p *segment.Part) {
	d.open("Part")
	d.num("PartNumber", int64(p.Number))
	d.time("LastModified", p.Modified)
	d.etag(p.ETag)
	d.num("Size", p.Size)
	for _, s := range p.Checksums {
		d.text(algorithm(s.Algorithm).element(), s.Value)
	}
	d.close("Part")
}

func (c *call) listUploads() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	l := listing{prefix: c.query.get("prefix"), delimiter: c.query.get("delimiter")}
	if l.limit, err = c.query.limit("max-uploads", maxPage); err != nil {
		return err
	}
	if l.url, err = c.parseEncoding(); err != nil {
		return err
	}
	keyMarker, idMarker := c.query.get("key-marker"), c.query.get("upload-id-marker")
	if keyMarker == "" {
		idMarker = "" // S3 ignores it then
	}
	var p segment.UploadsPage
	if l.limit > 0 {
		p, err = b.Uploads(c.r.Context(), segment.UploadsOptions{
			Prefix: l.prefix, Delimiter: l.delimiter, KeyMarker: keyMarker, IDMarker: idMarker, Limit: l.limit,
		})
		if err != nil {
			return err
		}
	}
	return c.sendDocument(func(d *document) {
		d.begin("ListMultipartUploadsResult")
		d.text("Bucket", c.bucket)
		l.key(d, "KeyMarker", keyMarker)
		d.text("UploadIdMarker", idMarker)
		if p.Truncated {
			l.key(d, "NextKeyMarker", p.NextKeyMarker)
			d.text("NextUploadIdMarker", p.NextIDMarker)
		}
		l.key(d, "Prefix", l.prefix)
		l.keyIf(d, "Delimiter", l.delimiter)
		d.num("MaxUploads", int64(l.limit))
		l.encoding(d)
		d.flag("IsTruncated", p.Truncated)
		for i := range p.Entries {
			if p.Entries[i].Prefix == "" {
				l.upload(d, &p.Entries[i].Upload)
			}
		}
		for i := range p.Entries {
			if prefix := p.Entries[i].Prefix; prefix != "" {
				l.commonPrefix(d, prefix)
			}
		}
		d.close("ListMultipartUploadsResult")
	})
}

func (l *listing) upload(d *document, u *segment.Upload) {
	d.open("Upload")
	l.key(d, "Key", u.Key)
	d.text("UploadId", u.ID)
	d.owner("Initiator", theOwner)
	d.owner("Owner", theOwner)
	d.text("StorageClass", storageClass(&u.Attrs))
	d.time("Initiated", u.Started)
	for _, s := range u.Attrs.Checksums {
		d.text("ChecksumAlgorithm", s.Algorithm)
		d.text("ChecksumType", checksumType(s))
	}
	d.close("Upload")
}
