package s3

import (
	"encoding/xml"
	"net/http"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// maxConfiguration bounds the documents that configure something, in bytes.
const maxConfiguration = 64 << 10

// maxBuckets is the most buckets of one page.
const maxBuckets = 10_000

// listBuckets lists in pages only if it is asked to.
func (c *call) listBuckets() error {
	prefix := c.query.get("prefix")
	limit, err := c.query.limit("max-buckets", maxBuckets)
	if err != nil {
		return err
	}
	after := ""
	if token, ok := c.query.lookup("continuation-token"); ok {
		if after, err = parseToken(token); err != nil {
			return err
		}
	}
	limited := c.query.has("max-buckets")
	if limit < 1 {
		return errInvalidArgument.say("Argument max-buckets must be an integer between 1 and %d", maxBuckets).with("ArgumentName", "max-buckets")
	}
	var d document
	d.begin("ListAllMyBucketsResult")
	d.owner("Owner", theOwner)
	d.open("Buckets")
	shown, last, more := 0, "", false
	for _, b := range c.segment.Buckets() {
		if b.Name <= after || !strings.HasPrefix(b.Name, prefix) {
			continue
		}
		if limited && shown == limit {
			more = true
			break
		}
		shown, last = shown+1, b.Name
		d.open("Bucket")
		d.text("Name", b.Name)
		d.time("CreationDate", b.Created)
		d.close("Bucket")
	}
	d.close("Buckets")
	d.textIf("Prefix", prefix)
	if more {
		d.text("ContinuationToken", formatToken(last))
	}
	d.close("ListAllMyBucketsResult")
	c.send(http.StatusOK, d.b)
	return nil
}

func (c *call) headBucket() error {
	if _, err := c.state(c.bucket); err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", c.regionName())
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// createBucket takes any location: a bucket is where its segment is, and everywhere else.
func (c *call) createBucket() error {
	if err := checkBucketName(c.bucket); err != nil {
		return err
	}
	if err := checkACL(c.r.Header); err != nil {
		return err
	}
	var doc struct {
		XMLName  xml.Name `xml:"CreateBucketConfiguration"`
		Location string   `xml:"LocationConstraint"`
	}
	if err := c.readOptionalXML(&doc, maxConfiguration); err != nil {
		return err
	}
	set := segment.DefaultSettings()
	if strings.EqualFold(c.r.Header.Get(lockBucket), "true") {
		set.Versioning, set.Locks.Enabled = segment.Versioned, true
	}
	if _, err := c.segment.CreateBucket(c.r.Context(), c.bucket, segment.BucketOptions{Settings: &set}); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) deleteBucket() error {
	if err := c.segment.DeleteBucket(c.r.Context(), c.bucket); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) getLocation() error {
	if _, err := c.segment.Bucket(c.bucket); err != nil {
		return err
	}
	region := c.regionName()
	if region == "us-east-1" {
		region = "" // S3's first region has no name here
	}
	var d document
	d.begin("LocationConstraint")
	d.b = appendText(d.b, region)
	d.close("LocationConstraint")
	c.send(http.StatusOK, d.b)
	return nil
}

func (c *call) getVersioning() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	var d document
	d.begin("VersioningConfiguration")
	switch b.Settings().Versioning {
	case segment.Versioned:
		d.text("Status", "Enabled")
	case segment.Suspended:
		d.text("Status", "Suspended")
	}
	d.close("VersioningConfiguration")
	c.send(http.StatusOK, d.b)
	return nil
}

func (c *call) putVersioning() error {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return err
	}
	var doc struct {
		XMLName   xml.Name `xml:"VersioningConfiguration"`
		Status    string
		MFADelete string `xml:"MfaDelete"`
	}
	if err := c.readXML(&doc, maxConfiguration); err != nil {
		return err
	}
	if doc.MFADelete == "Enabled" {
		return errNotImplemented.say("MFA delete is not supported.")
	}
	mode, ok := map[string]segment.Versioning{"Enabled": segment.Versioned, "Suspended": segment.Suspended}[doc.Status]
	if !ok {
		return errMalformedXML
	}
	err = b.Configure(c.r.Context(), func(s *segment.Settings) error {
		if s.Locks.Enabled && mode != segment.Versioned {
			return errInvalidBucketState.say("An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
		s.Versioning = mode
		return nil
	})
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
