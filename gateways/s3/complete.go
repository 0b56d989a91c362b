package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// maxCompleteDocument bounds the document that names the parts, in bytes.
const maxCompleteDocument = 4 << 20

type completeRequest struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Parts   []completedPart `xml:"Part"`
}

type completedPart struct {
	Number int `xml:"PartNumber"`
	ETag   string
	Others []struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	} `xml:",any"`
}

// checksum is the part's, as the client names it, or nothing.
func (p *completedPart) checksum(name string) string {
	for _, o := range p.Others {
		if o.XMLName.Local == algorithm(name).element() {
			return o.Value
		}
	}
	return ""
}

// completeUpload makes one object of an upload's parts.
func (c *call) completeUpload() error {
	cond, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	var req completeRequest
	doc, err := c.readDocument(claim{}, maxCompleteDocument) // the checksum headers are of the object
	if err != nil {
		return err
	}
	if err := parseXML(doc, &req); err != nil {
		return err
	}
	if len(req.Parts) == 0 || len(req.Parts) > maxParts {
		return errMalformedXML
	}
	refs, err := partRefs(req.Parts)
	if err != nil {
		return err
	}
	v, err := c.complete(b, req.Parts, refs, cond)
	if errors.Is(err, segment.ErrNoSuchUpload) {
		return c.completedBefore(b, req.Parts, err)
	}
	if err != nil {
		return err
	}
	c.sendCompleted(b, &v)
	return nil
}

func (c *call) complete(b *segment.Bucket, named []completedPart, refs []segment.PartRef, cond segment.Cond) (v segment.Version, err error) {
	id := c.query.get("uploadId")
	u, err := b.Upload(c.r.Context(), c.key, id)
	if err != nil {
		return v, err
	}
	done, err := c.completion(b, u, named)
	if err != nil {
		return v, err
	}
	return b.CompleteUpload(c.r.Context(), c.key, id, refs, done, cond)
}

// completedBefore answers a retry of what has succeeded, whose first answer was lost or is under way, as the first: the upload is gone and the key's current
// content is what its parts make. Else it returns missing.
func (c *call) completedBefore(b *segment.Bucket, named []completedPart, missing error) error {
	v, err := b.Stat(c.r.Context(), c.key, segment.VersionRef{})
	if err != nil || v.Attrs.ETag != namedETag(named) || len(v.Attrs.Parts) != len(named) {
		return missing
	}
	c.sendCompleted(b, &v)
	return nil
}

func (c *call) sendCompleted(b *segment.Bucket, v *segment.Version) {
	c.tellWritten(v)
	var d document
	d.begin("CompleteMultipartUploadResult")
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	d.text("Location", scheme+c.r.Host+c.r.URL.EscapedPath())
	d.text("Bucket", c.bucket)
	d.text("Key", c.key)
	d.etag(v.Attrs.ETag)
	writeChecksums(&d, v.Attrs.Checksums)
	d.close("CompleteMultipartUploadResult")
	c.send(http.StatusOK, d.b)
}

func partRefs(parts []completedPart) ([]segment.PartRef, error) {
	refs := make([]segment.PartRef, len(parts))
	last := 0
	for i := range parts {
		p := &parts[i]
		if p.ETag = cleanETag(p.ETag); p.ETag == "" {
			return nil, errMalformedXML
		}
		if p.Number < 1 || p.Number > maxParts {
			return nil, errInvalidArgument.say("PartNumber must be >= 1 and <= %d", maxParts).with("ArgumentName", "PartNumber").with("ArgumentValue", strconv.Itoa(p.Number))
		}
		if p.Number <= last {
			return nil, errInvalidPartOrder
		}
		last = p.Number
		refs[i] = segment.PartRef{Number: p.Number, ETag: p.ETag}
	}
	return refs, nil
}

// completion checks the parts named against those uploaded, and says what is of the whole.
func (c *call) completion(b *segment.Bucket, u segment.Upload, named []completedPart) (a segment.Completion, err error) {
	have, err := c.allParts(b, u.ID)
	if err != nil {
		return a, err
	}
	parts := make([]segment.Part, len(named))
	total := int64(0)
	for i := range named {
		p, ok := have[named[i].Number]
		if !ok || p.ETag != named[i].ETag {
			return a, errInvalidPart.with("UploadId", u.ID).with("PartNumber", strconv.Itoa(named[i].Number)).with("ETag", named[i].ETag)
		}
		for _, s := range p.Checksums {
			if claimed := named[i].checksum(s.Algorithm); claimed != "" && claimed != s.Value {
				return a, errInvalidPart.with("UploadId", u.ID).with("PartNumber", strconv.Itoa(p.Number))
			}
		}
		if p.Size < minPart && i < len(named)-1 {
			return a, errEntityTooSmall.with("ProposedSize", strconv.FormatInt(p.Size, 10)).with("MinSizeAllowed", strconv.Itoa(minPart)).
				with("PartNumber", strconv.Itoa(p.Number)).with("ETag", p.ETag)
		}
		parts[i] = p
		total += p.Size
	}
	if total > maxObject {
		return a, errEntityTooLarge
	}
	if err := checkObjectSize(c.r.Header, total); err != nil {
		return a, err
	}
	a.ETag = namedETag(named)
	a.Checksums, err = wholeChecksum(c.r.Header, u.Attrs.Checksums, parts)
	return a, err
}

// allParts are an upload's parts by number.
func (c *call) allParts(b *segment.Bucket, id string) (map[int]segment.Part, error) {
	all := map[int]segment.Part{}
	for after, more := 0, true; more; {
		var page []segment.Part
		var err error
		if page, more, err = b.Parts(c.r.Context(), c.key, id, after, maxPage); err != nil {
			return nil, err
		}
		for _, p := range page {
			all[p.Number] = p
			after = p.Number
		}
		more = more && len(page) > 0
	}
	return all, nil
}

func checkObjectSize(h http.Header, total int64) error {
	text := h.Get("X-Amz-Mp-Object-Size")
	if text == "" {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != total {
		return errInvalidRequest.say("The provided 'x-amz-mp-object-size' header value %s does not match what was computed: %d", text, total)
	}
	return nil
}

// namedETag is the MD5 of the parts' MD5s, with their number.
func namedETag(parts []completedPart) string {
	h := md5.New()
	for i := range parts {
		sum, err := hex.DecodeString(parts[i].ETag)
		if err != nil {
			sum = []byte(parts[i].ETag)
		}
		_, _ = h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// wholeChecksum is the checksum that the object of an upload has: the one it was begun with. What the client says of it must be so.
func wholeChecksum(h http.Header, upload []segment.Checksum, parts []segment.Part) ([]segment.Checksum, error) {
	claimed, err := parseWholeClaim(h)
	if err != nil {
		return nil, err
	}
	if len(upload) == 0 {
		if claimed.Algorithm == "" {
			return nil, nil
		}
		upload = []segment.Checksum{{Algorithm: claimed.Algorithm, Composite: strings.Contains(claimed.Value, "-")}}
	}
	whole := upload[0]
	if kind := h.Get("X-Amz-Checksum-Type"); kind != "" && !strings.EqualFold(kind, checksumType(whole)) {
		return nil, errInvalidRequest.say("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", checksumType(whole))
	}
	a := algorithm(whole.Algorithm)
	sums, ok := sumsOf(a, parts)
	if !ok || !whole.Composite && !a.linear() {
		return nil, errInvalidRequest.say("The upload's parts have no %s checksum to make one of the object of.", a)
	}
	if whole.Composite {
		whole = a.compose(sums)
	} else {
		whole = a.concat(sums)
	}
	if claimed.Algorithm != "" && (claimed.Algorithm != whole.Algorithm || !sameSum(claimed.Value, whole.Value)) {
		return nil, algorithm(claimed.Algorithm).mismatch()
	}
	return []segment.Checksum{whole}, nil
}

// sameSum compares two checksums; a composite one may be given without the number of its parts.
func sameSum(claimed, computed string) bool {
	bare, _, _ := strings.Cut(computed, "-")
	return claimed == computed || claimed == bare
}

// parseWholeClaim is the object's checksum as the request has it, if it has one.
func parseWholeClaim(h http.Header) (s segment.Checksum, err error) {
	a, v, err := sumHeader(h)
	if err != nil || a == "" {
		return s, err
	}
	bare, _, _ := strings.Cut(v, "-")
	_, err = a.parse(bare)
	return segment.Checksum{Algorithm: string(a), Value: v}, err
}

func sumsOf(a algorithm, parts []segment.Part) ([]partSum, bool) {
	sums := make([]partSum, len(parts))
	for i := range parts {
		for _, s := range parts[i].Checksums {
			if s.Algorithm == string(a) {
				sums[i].sum, _ = base64.StdEncoding.DecodeString(s.Value)
			}
		}
		if sums[i].sum == nil {
			return nil, false
		}
		sums[i].size = parts[i].Size
	}
	return sums, true
}
