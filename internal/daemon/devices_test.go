package daemon

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// TestWhatALostDeviceHeldComesFromAnotherSegment has two segments that keep everything, and takes a disk from one.
func TestWhatALostDeviceHeldComesFromAnotherSegment(t *testing.T) {
	dir, disk := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "disk2")
	d, other := begin(t, dir, local()), begin(t, filepath.Join(t.TempDir(), "tokyo"), local())
	defer func() { stop(t, other); stop(t, d) }()
	ctx, here, there := t.Context(), clientOf(t, d), clientOf(t, other)
	i, err := there.Invite(ctx, admin.InvitationRequest{})
	if err == nil {
		_, err = here.Join(ctx, i.Invitation)
	}
	if err == nil {
		_, err = here.AddDevice(ctx, disk)
	}
	if err == nil {
		_, err = here.CreateBucket(ctx, admin.NewBucket{Name: "shared"})
	}
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for i := range 40 {
		b := make([]byte, 50<<10)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(b)
		key := fmt.Sprint(i)
		files[key] = b
		if _, err := here.Put(ctx, "shared", admin.PutRequest{Key: key}, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(c *admin.Client, key string) bool {
		_, content, err := c.Get(ctx, "shared", admin.GetRequest{Key: key})
		if err != nil {
			return false
		}
		defer content.Close()
		got, err := io.ReadAll(content)
		return err == nil && bytes.Equal(got, files[key])
	}
	for key := range files { // which brings them there
		until(t, key+" is read there", func() bool { return read(there, key) })
	}
	all, err := here.Devices(ctx)
	if err != nil || len(all) != 2 || all[1].Chunks == 0 {
		t.Fatalf("devices: %+v, %v", all, err)
	}
	stop(t, d)
	if err := os.RemoveAll(disk); err != nil {
		t.Fatal(err)
	}
	d = begin(t, dir, local())
	here = clientOf(t, d)
	for key := range files {
		until(t, key+" is read here", func() bool { return read(here, key) })
	}
	if all, err := here.Devices(ctx); err != nil || all[1].State != "missing" {
		t.Errorf("devices: %+v, %v", all, err)
	}
	if _, err := here.Join(ctx, i.Invitation); err == nil || !strings.Contains(err.Error(), "several devices") {
		t.Errorf("joining with several devices: %v", err)
	}
}
