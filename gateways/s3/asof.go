package s3

import (
	"strconv"

	"github.com/edgefs/edgefs/segment"
)

// The headers of an answer that was read from a state of a bucket, a snapshot or as of a time: when the bucket was so, in UTC and to the millisecond
// as RFC 3339 has it, and, of a time, how many seconds that is before the one that was asked for.
const (
	asOfHeader   = "X-Edgefs-As-Of"
	beforeHeader = "X-Edgefs-As-Of-Before"
)

const asOfFormat = "2006-01-02T15:04:05.000Z"

// state is a bucket to read, which may be a state of one: the answer says which.
func (c *call) state(name string) (*segment.Bucket, error) {
	b, err := c.segment.Bucket(name)
	if err != nil {
		return nil, err
	}
	if st, ok := b.State(); ok {
		h := c.w.Header()
		h.Set(asOfHeader, st.Time.UTC().Format(asOfFormat))
		if !st.Asked.IsZero() {
			h.Set(beforeHeader, strconv.FormatFloat(st.Asked.Sub(st.Time).Seconds(), 'f', 3, 64))
		}
	}
	return b, nil
}
