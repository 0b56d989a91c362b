package server

import (
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestRenamesByTheAPI(t *testing.T) {
	c := onSocket(t)
	ctx := t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	for _, key := range []string{"d/x", "d/y", "k"} {
		must(c.Put(ctx, "photos", admin.PutRequest{Key: key}, strings.NewReader("v")))(t)
	}
	for _, r := range []struct {
		ask  admin.Rename
		code admin.Code
	}{
		{admin.Rename{From: "d/", To: "e"}, admin.Invalid},
		{admin.Rename{From: "d", To: "e/"}, admin.Invalid},
		{admin.Rename{From: "d/", To: "d/e/"}, admin.Invalid},
		{admin.Rename{From: "nothing/", To: "e/"}, admin.NoSuchKey},
		{admin.Rename{From: "nothing", To: "e"}, admin.NoSuchKey},
		{admin.Rename{From: "k", To: "d/x"}, admin.TargetExists},
	} {
		_, err := c.Rename(ctx, "photos", r.ask)
		wantCode(t, err, r.code)
	}
	if d := must(c.Rename(ctx, "photos", admin.Rename{From: "d/", To: "e/"}))(t); d != (admin.Renamed{From: "d/", To: "e/", Keys: 2, Versions: 2}) {
		t.Errorf("%+v", d)
	}
	if d := must(c.Rename(ctx, "photos", admin.Rename{From: "k", To: "e/x", Replace: true}))(t); d.Keys != 1 {
		t.Errorf("%+v", d)
	}
	var keys []string
	for _, o := range must(c.List(ctx, "photos", admin.ListRequest{}))(t).Objects {
		keys = append(keys, o.Key)
	}
	if got := strings.Join(keys, " "); got != "e/x e/y" {
		t.Errorf("%q", got)
	}
}
