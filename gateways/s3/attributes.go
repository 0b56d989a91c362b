package s3

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// getAttributes answers GetObjectAttributes with those that a header names, in S3's order.
func (c *call) getAttributes() error {
	if _, err := c.state(c.bucket); err != nil {
		return err
	}
	want, err := wantedAttributes(c.r.Header)
	if err != nil {
		return err
	}
	v, err := c.stat()
	if err != nil {
		return err
	}
	var d document
	d.begin("GetObjectAttributesResponse")
	if want["ETag"] {
		d.text("ETag", v.Attrs.ETag)
	}
	if want["Checksum"] && len(v.Attrs.Checksums) > 0 {
		d.open("Checksum")
		for _, s := range v.Attrs.Checksums {
			d.text(algorithm(s.Algorithm).element(), strings.SplitN(s.Value, "-", 2)[0])
			d.text("ChecksumType", checksumType(s))
		}
		d.close("Checksum")
	}
	if want["ObjectParts"] && len(v.Attrs.Parts) > 0 {
		if err := c.writeParts(&d, v.Attrs.Parts); err != nil {
			return err
		}
	}
	if want["StorageClass"] {
		d.text("StorageClass", storageClass(&v.Attrs))
	}
	if want["ObjectSize"] {
		d.num("ObjectSize", v.Size())
	}
	d.close("GetObjectAttributesResponse")
	h := c.w.Header()
	h.Set("Last-Modified", httpTime(v.Modified()))
	if b, err := c.segment.Bucket(c.bucket); err == nil && b.Settings().Versioning != segment.Unversioned {
		h.Set("X-Amz-Version-Id", v.Ref())
	}
	c.send(http.StatusOK, d.b)
	return nil
}

func wantedAttributes(h http.Header) (map[string]bool, error) {
	want := map[string]bool{}
	for _, line := range h.Values("X-Amz-Object-Attributes") {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				want[name] = true
			default:
				return nil, errInvalidArgument.say("Invalid attribute name specified.").with("ArgumentName", "x-amz-object-attributes")
			}
		}
	}
	if len(want) == 0 {
		return nil, errInvalidRequest.say("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return want, nil
}

// writeParts writes a page of the sizes of an object's parts.
func (c *call) writeParts(d *document, sizes []int64) error {
	after, err := headerNumber(c.r.Header, "X-Amz-Part-Number-Marker", 0)
	if err != nil {
		return err
	}
	limit, err := headerNumber(c.r.Header, "X-Amz-Max-Parts", maxPage)
	if err != nil {
		return err
	}
	limit = min(limit, maxPage)
	first := min(after, len(sizes))
	last := min(first+limit, len(sizes))
	d.open("ObjectParts")
	d.flag("IsTruncated", last < len(sizes))
	d.num("MaxParts", int64(limit))
	d.num("NextPartNumberMarker", int64(last))
	d.num("PartNumberMarker", int64(after))
	for i := first; i < last; i++ {
		d.open("Part")
		d.num("PartNumber", int64(i+1))
		d.num("Size", sizes[i])
		d.close("Part")
	}
	d.num("PartsCount", int64(len(sizes)))
	d.close("ObjectParts")
	return nil
}

func headerNumber(h http.Header, name string, absent int) (int, error) {
	text := h.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, errInvalidArgument.say("%s must be an integer between 0 and 2147483647", strings.ToLower(name)).with("ArgumentValue", text)
	}
	return int(n), nil
}
