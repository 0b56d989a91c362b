package s3

import (
	"encoding/base64"
	"net/http"
	"sync"

	"github.com/edgefs/edgefs/segment"
)

// maxPage is the most entries of one page of any listing.
const maxPage = 1000

// listing is what the forms of listing have in common.
type listing struct {
	prefix, delimiter string
	limit             int
	url               bool // keys are percent-encoded in the document
}

func (c *call) parseListing() (l listing, err error) {
	l = listing{prefix: c.query.get("prefix"), delimiter: c.query.get("delimiter")}
	if l.limit, err = c.query.limit("max-keys", maxPage); err != nil {
		return l, err
	}
	l.url, err = c.parseEncoding()
	return l, err
}

func (c *call) parseEncoding() (bool, error) {
	switch c.query.get("encoding-type") {
	case "":
		return false, nil
	case "url":
		return true, nil
	}
	return false, errInvalidArgument.say("Invalid Encoding Method specified in Request").with("ArgumentName", "encoding-type").with("ArgumentValue", c.query.get("encoding-type"))
}

// key writes an element with a key, or with what is compared with keys.
func (l *listing) key(d *document, name, value string) {
	if !l.url {
		d.text(name, value)
		return
	}
	d.open(name)
	d.b = appendURL(d.b, value, true) // nothing is left to escape
	d.close(name)
}

func (l *listing) keyIf(d *document, name, value string) {
	if value != "" {
		l.key(d, name, value)
	}
}

func (l *listing) encoding(d *document) {
	if l.url {
		d.text("EncodingType", "url")
	}
}

func (l *listing) commonPrefix(d *document, prefix string) {
	d.open("CommonPrefixes")
	l.key(d, "Prefix", prefix)
	d.close("CommonPrefixes")
}

// page asks the segment for a page that begins behind after.
func (c *call) page(l listing, after string) (segment.ListPage, error) {
	b, err := c.state(c.bucket)
	if err != nil || l.limit == 0 {
		return segment.ListPage{}, err
	}
	return b.List(c.r.Context(), segment.ListOptions{Prefix: l.prefix, Delimiter: l.delimiter, After: after, Limit: l.limit})
}

// listObjects is the first version of listing, which goes on behind a key.
func (c *call) listObjects() error {
	l, err := c.parseListing()
	if err != nil {
		return err
	}
	marker := c.query.get("marker")
	p, err := c.page(l, marker)
	if err != nil {
		return err
	}
	return c.sendDocument(func(d *document) {
		d.begin("ListBucketResult")
		d.text("Name", c.bucket)
		l.key(d, "Prefix", l.prefix)
		l.key(d, "Marker", marker)
		if p.Truncated { // S3 leaves it out without a delimiter, where it is the last key
			l.key(d, "NextMarker", p.Next)
		}
		d.num("MaxKeys", int64(l.limit))
		l.keyIf(d, "Delimiter", l.delimiter)
		l.encoding(d)
		d.flag("IsTruncated", p.Truncated)
		l.entries(d, p.Entries, true)
		d.close("ListBucketResult")
	})
}

// listObjectsV2 goes on behind an opaque token.
func (c *call) listObjectsV2() error {
	if c.query.get("list-type") != "2" {
		return errInvalidArgument.say("Invalid List Type specified in Request").with("ArgumentName", "list-type").with("ArgumentValue", c.query.get("list-type"))
	}
	l, err := c.parseListing()
	if err != nil {
		return err
	}
	startAfter := c.query.get("start-after")
	after := startAfter
	token, given := c.query.lookup("continuation-token")
	if given {
		if after, err = parseToken(token); err != nil {
			return err
		}
	}
	p, err := c.page(l, after)
	if err != nil {
		return err
	}
	return c.sendDocument(func(d *document) {
		d.begin("ListBucketResult")
		d.text("Name", c.bucket)
		l.key(d, "Prefix", l.prefix)
		l.keyIf(d, "StartAfter", startAfter)
		if given {
			d.text("ContinuationToken", token)
		}
		if p.Truncated {
			d.text("NextContinuationToken", formatToken(p.Next))
		}
		d.num("KeyCount", int64(len(p.Entries)))
		d.num("MaxKeys", int64(l.limit))
		l.keyIf(d, "Delimiter", l.delimiter)
		l.encoding(d)
		d.flag("IsTruncated", p.Truncated)
		l.entries(d, p.Entries, c.query.get("fetch-owner") == "true")
		d.close("ListBucketResult")
	})
}

// entries writes the keys of a page and then its common prefixes.
func (l *listing) entries(d *document, entries []segment.ListEntry, withOwner bool) {
	for i := range entries {
		if entries[i].Prefix == "" {
			l.contents(d, &entries[i].Version, withOwner)
		}
	}
	for i := range entries {
		if p := entries[i].Prefix; p != "" {
			l.commonPrefix(d, p)
		}
	}
}

func (l *listing) contents(d *document, v *segment.Version, withOwner bool) {
	d.open("Contents")
	l.key(d, "Key", v.Key)
	d.time("LastModified", v.Modified())
	d.etag(v.Attrs.ETag)
	for _, s := range v.Attrs.Checksums {
		d.text("ChecksumAlgorithm", s.Algorithm)
		d.text("ChecksumType", checksumType(s))
	}
	d.num("Size", v.Size())
	if withOwner {
		d.owner("Owner", theOwner)
	}
	d.text("StorageClass", storageClass(&v.Attrs))
	d.close("Contents")
}

// A continuation token is the place to go on behind. Its first byte names its form.
const tokenForm = 'k'

func formatToken(next string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{tokenForm}, next...))
}

func parseToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) == 0 || b[0] != tokenForm {
		return "", errInvalidArgument.say("The continuation token provided is incorrect").with("ArgumentName", "continuation-token")
	}
	return string(b[1:]), nil
}

// documents lends room for large documents.
type documents struct{ pool sync.Pool }

// maxKeptDocument bounds what the pool keeps of one document.
const maxKeptDocument = 1 << 20

func (p *documents) get() *document {
	if d, ok := p.pool.Get().(*document); ok {
		return d
	}
	return new(document)
}

func (p *documents) put(d *document) {
	if cap(d.b) <= maxKeptDocument {
		d.b = d.b[:0]
		p.pool.Put(d)
	}
}

// sendDocument answers with what write writes.
func (c *call) sendDocument(write func(*document)) error {
	d := c.docs.get()
	defer c.docs.put(d)
	write(d)
	c.send(http.StatusOK, d.b)
	return nil
}
