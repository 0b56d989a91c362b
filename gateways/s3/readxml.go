package s3

import "encoding/xml"

// readXML reads a request's document of at most so many bytes.
func (c *call) readXML(into any, most int64) error {
	sum, err := parseClaim(c.r.Header)
	if err != nil {
		return err
	}
	b, err := c.readDocument(sum, most)
	if err != nil {
		return err
	}
	return parseXML(b, into)
}

// readOptionalXML reads a request's document, if it has one.
func (c *call) readOptionalXML(into any, most int64) error {
	sum, err := parseClaim(c.r.Header)
	if err != nil {
		return err
	}
	b, err := c.readDocument(sum, most)
	if err != nil || len(b) == 0 {
		return err
	}
	return parseXML(b, into)
}

func parseXML(b []byte, into any) error {
	if err := xml.Unmarshal(b, into); err != nil {
		return &fault{code: errMalformedXML, cause: err}
	}
	return nil
}

// readDocument reads the whole body, whose checksum is as claimed.
func (c *call) readDocument(sum claim, most int64) ([]byte, error) {
	p, err := openPayload(c.r, &c.signer, sum, &c.bufs)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return p.readAll(most)
}
