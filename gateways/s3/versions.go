package s3

import (
	"github.com/edgefs/edgefs/segment"
)

// listVersions lists all versions and delete markers, the newest of a key first.
func (c *call) listVersions() error {
	l, err := c.parseListing()
	if err != nil {
		return err
	}
	keyMarker, versionMarker := c.query.get("key-marker"), c.query.get("version-id-marker")
	if versionMarker != "" && keyMarker == "" {
		return errInvalidArgument.say("A version-id marker cannot be specified without a key marker.").with("ArgumentName", "version-id-marker").with("ArgumentValue", versionMarker)
	}
	ref, err := parseVersionRef(versionMarker)
	if err != nil {
		return err
	}
	b, err := c.state(c.bucket)
	if err != nil {
		return err
	}
	var p segment.VersionsPage
	if l.limit > 0 {
		p, err = b.ListVersions(c.r.Context(), segment.ListVersionsOptions{
			Prefix: l.prefix, Delimiter: l.delimiter, KeyMarker: keyMarker, VersionMarker: ref, Limit: l.limit,
		})
		if err != nil {
			return err
		}
	}
	return c.sendDocument(func(d *document) {
		d.begin("ListVersionsResult")
		d.text("Name", c.bucket)
		l.key(d, "Prefix", l.prefix)
		l.key(d, "KeyMarker", keyMarker)
		d.text("VersionIdMarker", versionMarker)
		if p.Truncated {
			l.key(d, "NextKeyMarker", p.NextKeyMarker)
			d.textIf("NextVersionIdMarker", p.NextVersionMarker.String())
		}
		d.num("MaxKeys", int64(l.limit))
		l.keyIf(d, "Delimiter", l.delimiter)
		l.encoding(d)
		d.flag("IsTruncated", p.Truncated)
		for i := range p.Entries {
			if p.Entries[i].Prefix == "" {
				l.version(d, &p.Entries[i].Version, p.Entries[i].Latest)
			}
		}
		for i := range p.Entries {
			if prefix := p.Entries[i].Prefix; prefix != "" {
				l.commonPrefix(d, prefix)
			}
		}
		d.close("ListVersionsResult")
	})
}

func (l *listing) version(d *document, v *segment.Version, latest bool) {
	element := "Version"
	if v.Marker {
		element = "DeleteMarker"
	}
	d.open(element)
	l.key(d, "Key", v.Key)
	d.text("VersionId", v.Ref())
	d.flag("IsLatest", latest)
	d.time("LastModified", v.Modified())
	if !v.Marker {
		d.etag(v.Attrs.ETag)
		for _, s := range v.Attrs.Checksums {
			d.text("ChecksumAlgorithm", s.Algorithm)
			d.text("ChecksumType", checksumType(s))
		}
		d.num("Size", v.Size())
	}
	d.owner("Owner", theOwner)
	if !v.Marker {
		d.text("StorageClass", storageClass(&v.Attrs))
	}
	d.close(element)
}
