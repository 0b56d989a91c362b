package s3

import (
	"encoding/xml"
	"net/http"

	"github.com/edgefs/edgefs/segment"
)

// There is one owner, who may do everything, and nobody else. So the access control lists that say just this are taken, and all others
// refused, as S3 refuses them of buckets whose owner is enforced.

// checkACL refuses headers that would grant something.
func checkACL(h http.Header) error {
	switch h.Get("X-Amz-Acl") {
	case "", "private", "bucket-owner-full-control":
	default:
		return errACLNotSupported.say("The bucket does not allow ACLs: %q is not supported, private is.", h.Get("X-Amz-Acl"))
	}
	for _, name := range []string{"Full-Control", "Read", "Read-Acp", "Write", "Write-Acp"} {
		if h.Get("X-Amz-Grant-"+name) != "" {
			return errACLNotSupported
		}
	}
	return nil
}

func (c *call) getBucketACL() error {
	if _, err := c.segment.Bucket(c.bucket); err != nil {
		return err
	}
	c.sendACL()
	return nil
}

func (c *call) getObjectACL() error {
	if _, err := c.stat(); err != nil {
		return err
	}
	c.sendACL()
	return nil
}

func (c *call) sendACL() {
	var d document
	d.begin("AccessControlPolicy")
	d.owner("Owner", theOwner)
	d.open("AccessControlList")
	d.open("Grant")
	d.b = append(d.b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	d.text("ID", theOwner.ID)
	d.text("DisplayName", theOwner.DisplayName)
	d.close("Grantee")
	d.text("Permission", "FULL_CONTROL")
	d.close("Grant")
	d.close("AccessControlList")
	d.close("AccessControlPolicy")
	c.send(http.StatusOK, d.b)
}

// putACL takes the list that is in force anyway, by its canned name or as a document: tools send back what they have read.
func (c *call) putACL() error {
	if c.key == "" {
		if _, err := c.segment.Bucket(c.bucket); err != nil {
			return err
		}
	} else if _, err := c.stat(); err != nil {
		return err
	}
	if err := checkACL(c.r.Header); err != nil {
		return err
	}
	var doc accessControlPolicy
	if err := c.readOptionalXML(&doc, maxConfiguration); err != nil {
		return err
	}
	if c.r.Header.Get("X-Amz-Acl") == "" && !doc.ownersOnly() {
		return errACLNotSupported
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

type accessControlPolicy struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Grants  []struct {
		Grantee struct {
			ID string
		}
		Permission string
	} `xml:"AccessControlList>Grant"`
}

// ownersOnly says whether a list grants its owner everything, and nobody else anything.
func (p *accessControlPolicy) ownersOnly() bool {
	for _, g := range p.Grants {
		if g.Grantee.ID != theOwner.ID || g.Permission != "FULL_CONTROL" {
			return false
		}
	}
	return len(p.Grants) > 0
}

// versionNamed is which version of the key the request names.
func (c *call) versionNamed() (*segment.Bucket, segment.VersionRef, error) {
	b, err := c.segment.Bucket(c.bucket)
	if err != nil {
		return nil, segment.VersionRef{}, err
	}
	ref, err := c.versionRef()
	return b, ref, err
}

// stat is the version that a request's key and version id name.
func (c *call) stat() (segment.Version, error) {
	b, ref, err := c.versionNamed()
	if err != nil {
		return segment.Version{}, err
	}
	v, err := b.Stat(c.r.Context(), c.key, ref)
	if err != nil {
		return v, c.markerFault(err, ref)
	}
	return v, nil
}
