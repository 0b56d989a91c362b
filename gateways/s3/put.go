package s3

import (
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/edgefs/edgefs/segment"
)

// openBody opens the body of a request that stores something. Whoever calls it calls done when the payload is not used any more.
func (c *call) openBody() (p *payload, done func(), err error) {
	sum, err := parseClaim(c.r.Header)
	if err != nil {
		return nil, nil, err
	}
	if p, err = openPayload(c.r, &c.signer, sum, &c.bufs); err != nil {
		return nil, nil, err
	}
	if err = c.checkBody(p); err == nil {
		err = c.bodies.enter(c.r.Context())
	}
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, func() { p.close(); c.bodies.leave(1) }, nil
}

func (c *call) checkBody(p *payload) error {
	switch {
	case p.size < 0:
		return errMissingContentLength
	case p.size > maxObject:
		return errEntityTooLarge.with("ProposedSize", strconv.FormatInt(p.size, 10)).with("MaxSizeAllowed", strconv.FormatInt(maxObject, 10))
	}
	return p.claim.checkSDKAlgorithm(c.r.Header)
}

// putObject stores a body under a key. Nothing of it is listed before all of it was checked.
func (c *call) putObject() error {
	if c.query.has("partNumber") {
		return errInvalidArgument.say("This operation does not accept partNumber without uploadId").with("ArgumentName", "partNumber")
	}
	if c.r.Header.Get("X-Amz-Copy-Source") != "" {
		c.op = "CopyObject"
		return c.copyObject()
	}
	attrs, err := readAttrs(c.r.Header)
	if err != nil {
		return err
	}
	cond, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	if err := checkLock(b, attrs.Lock); err != nil {
		return err
	}
	p, done, err := c.openBody()
	if err != nil {
		return err
	}
	defer done()
	w := b.Writer(c.r.Context(), p.size)
	defer w.Abort()
	sum, err := c.bufs.pour(p, w)
	if err != nil {
		return err
	}
	attrs.ETag = hex.EncodeToString(sum[:])
	attrs.Checksums = p.claim.stored()
	v, err := w.Commit(c.r.Context(), c.key, attrs, cond)
	if err != nil {
		return err
	}
	c.describeWritten(&v)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// describeWritten sets the headers that tell of a version just written.
func (c *call) describeWritten(v *segment.Version) {
	h := c.w.Header()
	h["ETag"] = []string{quoted(v.Attrs.ETag)}
	setChecksums(h, v.Attrs.Checksums)
	c.tellWritten(v)
}

// tellWritten sets the header with the id of a version just written, if it has one.
func (c *call) tellWritten(v *segment.Version) {
	if !v.Null {
		c.w.Header()["X-Amz-Version-Id"] = []string{v.Ref()}
	}
}
