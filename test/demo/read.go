package main

import (
	"context"

	"github.com/edgefs/edgefs/test/demo/story"
)

const (
	// sample is how many files are read.
	sample = 500
	// readers is few: what counts is the time of one read, and here it shares two cores with both segments.
	readers = 4
	// framing is what the link may carry for a chunk beside its bytes.
	framing = 512
)

// read is step 3.
func (d *demo) read(ctx context.Context, st *story.Step) error {
	d.readHere = append(d.pick(sample, 3, d.first.Files), d.first.Largest())
	start, err := d.shipped(ctx)
	if err != nil {
		return err
	}
	cold, err := d.get(ctx, st, d.tokyo, firstPrefix, d.readHere, readers)
	if err != nil {
		return err
	}
	fetched, err := d.shipped(ctx)
	if err != nil {
		return err
	}
	carried := d.relay.Count()
	warm, err := d.get(ctx, st, d.tokyo, firstPrefix, d.readHere, readers)
	if err != nil {
		return err
	}
	again, err := d.shipped(ctx)
	if err != nil {
		return err
	}
	idle := int64(d.relay.Count().Bytes() - carried.Bytes())
	st.Measured("first read:  %v; %s of payload came over the link", cold, size(fetched-start))
	st.Measured("second read: %v; %d of payload", warm, again-fetched)
	st.Check(cold.right(), "the first read gave the right bytes, all of them")
	st.Check(fetched > start && fetched-start <= cold.bytes+framing*int64(len(d.readHere)), "what was read was fetched, and no more")
	st.Check(warm.right() && again == fetched, "the second read was local, and right")
	st.Check(idle < cold.bytes/20, "the relay carried %s meanwhile", size(idle))
	return nil
}
