package main

import (
	"context"
	"time"

	"github.com/edgefs/edgefs/test/demo/story"
)

// upload is step 1.
func (d *demo) upload(ctx context.Context, st *story.Step) error {
	begun := time.Now()
	wrong, err := d.put(ctx, st, d.hawaii, firstPrefix, d.first.Files)
	d.uploaded = time.Now()
	if err != nil {
		return err
	}
	took := d.uploaded.Sub(begun)
	st.Measured("%s files, %s in %s: %s files/s, %s/s, each durable when it was answered", count(len(d.first.Files)), size(d.first.Bytes),
		story.Duration(took), count(rate(int64(len(d.first.Files)), took)), size(rate(d.first.Bytes, took)))
	st.Check(wrong == 0, "each answer has the file's MD5 as its ETag")
	return nil
}
