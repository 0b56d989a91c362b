package server

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestSnapshotsByTheAPI(t *testing.T) {
	c := onSocket(t)
	ctx := t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	put := func(key, body string) {
		must(c.Put(ctx, "photos", admin.PutRequest{Key: key}, strings.NewReader(body)))(t)
	}
	for _, k := range []string{"a/1", "a/2", "b/1"} {
		put(k, "first")
	}
	s := must(c.CreateSnapshot(ctx, "photos", admin.NewSnapshot{Name: "monday"}))(t)
	if s.Name != "monday" || s.Objects != 3 || s.Bytes != 15 || !s.Complete || s.Created.IsZero() {
		t.Errorf("%+v", s)
	}
	_, err := c.CreateSnapshot(ctx, "photos", admin.NewSnapshot{Name: "monday"})
	wantCode(t, err, admin.SnapshotExists)
	_, err = c.CreateSnapshot(ctx, "photos", admin.NewSnapshot{Name: "no/name"})
	wantCode(t, err, admin.Invalid)
	put("a/1", "second")
	must(c.Delete(ctx, "photos", admin.DeleteRequest{Key: "a/2"}))(t)
	put("a/3", "new")

	var told []string
	each := func(d admin.Difference) error {
		sign := "~"
		if d.From == nil {
			sign = "+"
		} else if d.To == nil {
			sign = "-"
		}
		told = append(told, sign+d.Key)
		return nil
	}
	if err := c.Diff(ctx, "photos@monday", "photos", "", each); err != nil || !slices.Equal(told, []string{"~a/1", "-a/2", "+a/3"}) {
		t.Errorf("%q, %v", told, err)
	}
	stop := errors.New("enough")
	if err := c.Diff(ctx, "photos@monday", "photos", "", func(admin.Difference) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the caller: %v", err)
	}
	wantCode(t, c.Diff(ctx, "photos@tuesday", "photos", "", each), admin.NoSuchSnapshot)

	_, err = c.Restore(ctx, "photos", admin.Restore{From: "photos@tuesday"}, func(admin.RestoreEvent) {})
	wantCode(t, err, admin.NoSuchSnapshot)
	done := must(c.Restore(ctx, "photos", admin.Restore{From: "photos@monday", Prefix: "a/"}, func(admin.RestoreEvent) {}))(t)
	if done.Put != 2 || done.Deleted != 1 || done.Skipped != 0 {
		t.Errorf("%+v", done)
	}
	told = nil
	if err := c.Diff(ctx, "photos@monday", "photos", "", each); err != nil || len(told) > 0 {
		t.Errorf("after the restore: %q, %v", told, err)
	}
	_, body, err := c.Get(ctx, "photos@monday", admin.GetRequest{Key: "a/2"})
	if err != nil {
		t.Fatal(err)
	}
	if got := must(io.ReadAll(body))(t); string(got) != "first" {
		t.Errorf("read %q", got)
	}
	body.Close()
	_, err = c.Put(ctx, "photos@monday", admin.PutRequest{Key: "x"}, strings.NewReader("x"))
	wantCode(t, err, admin.ReadOnly)
	if all := must(c.Snapshots(ctx, "photos"))(t); len(all) != 1 || all[0].Name != "monday" {
		t.Errorf("%+v", all)
	}
	wantCode(t, c.DeleteBucket(ctx, "photos"), admin.BucketNotEmpty)
	if err := c.DeleteSnapshot(ctx, "photos", "monday"); err != nil {
		t.Error(err)
	}
	wantCode(t, c.DeleteSnapshot(ctx, "photos", "monday"), admin.NoSuchSnapshot)
}
