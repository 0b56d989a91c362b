package main

import (
	"context"
	"time"

	"github.com/edgefs/edgefs/test/demo/story"
)

// perObject is the most that the link may carry for an object that is only listed.
const perObject = 500

// list is step 2.
func (d *demo) list(ctx context.Context, st *story.Step) error {
	n := d.acknowledged.len()
	if _, err := until(ctx, "tokyo knows all objects", func(ctx context.Context) (bool, error) {
		known, err := objects(ctx, d.tokyo)
		return known == int64(n), err
	}); err != nil {
		return err
	}
	visible := time.Since(d.uploaded)
	begun := time.Now()
	c, err := d.compare(ctx, d.tokyo)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	carried := d.relay.Count()
	each := (carried.Bytes() - d.joined.Bytes()) / uint64(n)
	shipped, err := d.shipped(ctx)
	if err != nil {
		return err
	}
	st.Measured("all visible at tokyo %s after the last upload; listed in %s, %s objects/s", story.Duration(visible), story.Duration(took),
		count(rate(int64(c.listed), took)))
	st.Measured("the link carried %s: %d bytes per object, everything included; %d of payload", size(int64(carried.Bytes()-d.joined.Bytes())), each, shipped)
	st.Check(c.same(), "the listing is the tree, by name, size and MD5: %v", c)
	st.Check(each <= perObject, "%d bytes per object are at most %d, and the average file has %s", each, perObject, size(d.first.Bytes/int64(n)))
	st.Check(shipped == 0, "no payload was shipped, says the link's own counter")
	return nil
}
