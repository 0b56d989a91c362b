package server

import (
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestTheHomeByTheAPI(t *testing.T) {
	c := onSocket(t)
	ctx := t.Context()
	b := must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	if b.Settings.Policy != "newest" || b.Epoch != 0 || b.HomeName != "hawaii" || !b.HomeHere {
		t.Errorf("%+v", b)
	}
	home, wrong := "home", "oldest"
	b = must(c.SetBucket(ctx, "photos", admin.SettingsChange{Policy: &home}))(t)
	if b.Settings.Policy != "home" || b.Epoch != 1 {
		t.Errorf("%+v", b)
	}
	_, err := c.SetBucket(ctx, "photos", admin.SettingsChange{Policy: &wrong})
	wantCode(t, err, admin.Invalid)
	_, err = c.MoveHome(ctx, "photos", admin.HomeMove{Segment: "nowhere"})
	wantCode(t, err, admin.Invalid)
	_, err = c.MoveHome(ctx, "nothing", admin.HomeMove{Segment: "hawaii"})
	wantCode(t, err, admin.NoSuchBucket)
	for _, force := range []bool{false, true} { // it is the home already
		b = must(c.MoveHome(ctx, "photos", admin.HomeMove{Segment: "hawaii", Force: force}))(t)
		if b.Epoch != 1 || !b.HomeHere {
			t.Errorf("%+v", b)
		}
	}
	b = must(c.CreateBucket(ctx, admin.NewBucket{Name: "ledger", Settings: admin.SettingsChange{Policy: &home}}))(t)
	if b.Settings.Policy != "home" || b.Epoch != 0 {
		t.Errorf("%+v", b)
	}
}

func TestABucketIsRenamedByTheAPI(t *testing.T) {
	c := onSocket(t)
	ctx := t.Context()
	made := must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	_ = must(c.CreateBucket(ctx, admin.NewBucket{Name: "ledger"}))(t)
	b := must(c.RenameBucket(ctx, "photos", "pictures"))(t)
	if b.Name != "pictures" || b.ID != made.ID {
		t.Errorf("%+v", b)
	}
	_, err := c.Bucket(ctx, "photos", false)
	wantCode(t, err, admin.NoSuchBucket)
	_, err = c.RenameBucket(ctx, "photos", "images")
	wantCode(t, err, admin.NoSuchBucket)
	_, err = c.RenameBucket(ctx, "pictures", "ledger")
	wantCode(t, err, admin.BucketExists)
	_, err = c.RenameBucket(ctx, "pictures", "no name")
	wantCode(t, err, admin.Invalid)
}
