package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/segment"
)

// site is a segment on a disk, at its defaults.
type site struct {
	device *pack.Device
	seg    *segment.Segment
	opened time.Duration
}

// open opens the segment in dir, or makes one. An overlay of 0 is the default.
func open(ctx context.Context, dir string, overlay int64) (*site, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	began := time.Now()
	device, err := pack.Open(ctx, pack.Options{Dir: filepath.Join(dir, "device")})
	if err != nil {
		return nil, err
	}
	seg, err := segment.Open(ctx, segment.Config{Dir: filepath.Join(dir, "segment"), ID: 1, Name: "a", Chunks: stage.New(device), OverlayBytes: overlay})
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &site{device: device, seg: seg, opened: time.Since(began)}, nil
}

func (s *site) close() error {
	return errors.Join(s.seg.Close(context.Background()), s.device.Close())
}

// bucket is the bucket of that name, made when it is not there.
func (s *site) bucket(ctx context.Context, name string, settings segment.Settings) (*segment.Bucket, error) {
	b, err := s.seg.Bucket(name)
	if errors.Is(err, segment.ErrNoSuchBucket) {
		b, err = s.seg.CreateBucket(ctx, name, segment.BucketOptions{Settings: &settings})
	}
	return b, err
}

// bytesPerKey is what a load takes of the disk at the most, about; bytesSpare is left to others, and to the log.
const (
	bytesPerKey = 1500
	bytesSpare  = 4 << 30
)

// room refuses a disk on which the store would not fit.
func (b *bench) room() error {
	at := b.dir
	if _, err := os.Stat(at); err == nil {
		return nil // it is there, wholly or partly
	}
	for at = filepath.Dir(at); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(at, &s); err != nil {
		return err
	}
	need := int64(b.keys)*bytesPerKey + b.file + bytesSpare
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return fmt.Errorf("%s has %d GiB free; %d keys and a file of %d MiB take up to %d GiB", at, free>>30, b.keys, b.file>>20, need>>30)
	}
	return nil
}
