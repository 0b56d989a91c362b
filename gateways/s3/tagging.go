package s3

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"

	"github.com/edgefs/edgefs/segment"
)

func (c *call) getTagging() error {
	v, err := c.stat()
	if err != nil {
		return err
	}
	c.tellVersion(&v)
	var d document
	d.begin("Tagging")
	d.open("TagSet")
	tags := v.Tags()
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		d.open("Tag")
		d.text("Key", k)
		d.text("Value", tags[k])
		d.close("Tag")
	}
	d.close("TagSet")
	d.close("Tagging")
	c.send(http.StatusOK, d.b)
	return nil
}

// putTagging replaces the tags of a version.
func (c *call) putTagging() error {
	var doc struct {
		XMLName xml.Name                      `xml:"Tagging"`
		Tags    []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	if err := c.readXML(&doc, maxConfiguration); err != nil {
		return err
	}
	tags := map[string]string{}
	for _, t := range doc.Tags {
		if err := addTag(tags, t.Key, t.Value); err != nil {
			return err
		}
	}
	return c.setTags(tags, http.StatusOK)
}

func (c *call) deleteTagging() error { return c.setTags(nil, http.StatusNoContent) }

func (c *call) setTags(tags map[string]string, status int) error {
	b, ref, err := c.versionNamed()
	if err != nil {
		return err
	}
	v, err := b.SetTags(c.r.Context(), c.key, ref, tags, segment.Cond{})
	if err != nil {
		return c.markerFault(err, ref)
	}
	c.tellVersion(&v)
	c.w.WriteHeader(status)
	return nil
}

// tellVersion sets the header with a version's id where versions have one.
func (c *call) tellVersion(v *segment.Version) {
	if b, err := c.segment.Bucket(c.bucket); err == nil && b.Settings().Versioning != segment.Unversioned {
		c.w.Header().Set("X-Amz-Version-Id", v.Ref())
	}
}
