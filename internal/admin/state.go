package admin

import (
	"fmt"
	"net/http"
	"time"
)

// HeaderAsOf tells which state of a bucket was read, when one as of a time was asked for: base64 of the JSON of an [AsOf], once for each.
const HeaderAsOf = "Edgefs-As-Of"

// AsOf is the state that was read of a bucket as of a time: the last that the segment remembers.
type AsOf struct {
	Bucket string    `json:"bucket"` // as it was asked for: BUCKET@TIME
	State  string    `json:"state"`  // a name that means this state, whatever the time is by then
	Time   time.Time `json:"time"`   // when the bucket was so
	Asked  time.Time `json:"asked"`
	Before float64   `json:"before"` // seconds from Time to Asked
}

// told takes in which states an answer is of. From then on the client reads these under the names that it asked for: what takes several calls is
// of one state.
func (c *Client) told(res *http.Response) error {
	for _, text := range res.Header.Values(HeaderAsOf) {
		var a AsOf
		if err := decodeHeader(text, &a); err != nil {
			return fmt.Errorf("%s: which state was read: %w", c.where, err)
		}
		if err := c.pin(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) pin(a AsOf) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.states {
		if known.State != a.Bucket {
			continue
		}
		if !known.Time.Equal(a.Time) {
			return fmt.Errorf("%s is not remembered any more: %w", a.Bucket, &Error{Code: NoSuchSnapshot, Message: "what was read before was of that state"})
		}
		return nil
	}
	if c.states == nil {
		c.states = map[string]AsOf{}
	}
	if _, ok := c.states[a.Bucket]; !ok {
		c.states[a.Bucket] = a
		if c.asOf != nil {
			c.asOf(a)
		}
	}
	return nil
}

// state is the name under which the state is read that was told for a name; the name itself, where none was.
func (c *Client) state(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.states[name]; ok {
		return a.State
	}
	return name
}
