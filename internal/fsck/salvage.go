package fsck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgefs/edgefs/segment"
)

// Salvaged is what a salvage wrote.
type Salvaged struct {
	Dir      string `json:"dir"`
	Versions int64  `json:"versions"` // whole
	Bytes    int64  `json:"bytes"`
	Damaged  int64  `json:"damaged"`  // versions of which parts are missing
	Missing  int64  `json:"missing"`  // bytes of those
	Unlinked int64  `json:"unlinked"` // chunks that no version leads to
}

// SalvagedVersion is a line of the list that a salvage leaves.
type SalvagedVersion struct {
	Bucket   string            `json:"bucket"`
	Key      string            `json:"key"`
	Version  string            `json:"version"`
	Current  bool              `json:"current"`
	Modified time.Time         `json:"modified"`
	Size     int64             `json:"size"`
	File     string            `json:"file"` // below the folder
	Meta     map[string]string `json:"meta,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Holes    []segment.Hole    `json:"holes,omitempty"` // zeros in the file
}

// SalvagedMove is a line of the list, too: a file that was told of before got another name, because a folder needed its own.
type SalvagedMove struct {
	Moved string `json:"moved"`
	To    string `json:"to"`
}

const (
	currentDir  = "current"  // BUCKET/PATH: what a reader gets
	versionsDir = "versions" // BUCKET/PATH/VERSION: everything else that is whole
	damagedDir  = "damaged"  // as versions, with zeros where something is missing
	listName    = "versions.jsonl"
	reportName  = "report.json"
)

// salvage writes every version that can be read into plain files.
func (v *visit) salvage(ctx context.Context) (err error) {
	out := v.o.Salvage
	if err := emptyDir(out); err != nil {
		return err
	}
	list, err := os.OpenFile(filepath.Join(out, listName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	lines := bufio.NewWriter(list)
	s := &salvager{dir: out, sum: Salvaged{Dir: out, Unlinked: v.report.Unreached}, list: json.NewEncoder(lines)}
	err = v.segment.Salvage(ctx, func(found segment.Salvaged) error {
		v.o.Progress("salvage "+found.Bucket, s.sum.Bytes, 0)
		return s.version(ctx, found)
	})
	err = errors.Join(err, lines.Flush(), list.Sync(), list.Close())
	v.report.Salvaged = &s.sum
	if err != nil {
		return fmt.Errorf("salvage into %s: %w", out, err)
	}
	text, err := json.MarshalIndent(v.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, reportName), append(text, '\n'), 0o600)
}

// emptyDir makes a folder, or takes one that is empty.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s: %w: a salvage goes into an empty folder", dir, fs.ErrExist)
	}
	return err
}

type salvager struct {
	dir  string
	sum  Salvaged
	list *json.Encoder
}

// version writes one version: beside its place first, for what is missing is known only then.
func (s *salvager) version(ctx context.Context, found segment.Salvaged) error {
	v := found.Version
	line := SalvagedVersion{
		Bucket: found.Bucket, Key: v.Key, Version: v.Ref(), Current: found.Current, Modified: v.Modified(), Size: v.Size(), Meta: v.Attrs.Meta, Tags: v.Tags(),
	}
	part := filepath.Join(s.dir, "part")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	line.Holes, err = found.Object.SalvageTo(ctx, f)
	if err == nil {
		err = f.Truncate(line.Size)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(part, time.Time{}, line.Modified); err != nil {
		return err
	}
	if line.File, err = s.place(part, found, len(line.Holes) > 0); err != nil {
		return err
	}
	s.count(line)
	return s.list.Encode(line)
}

func (s *salvager) count(line SalvagedVersion) {
	s.sum.Bytes += line.Size
	if len(line.Holes) == 0 {
		s.sum.Versions++
		return
	}
	s.sum.Damaged++
	for _, h := range line.Holes {
		s.sum.Missing += h.Size
		s.sum.Bytes -= h.Size
	}
}

// place gives a file its name.
func (s *salvager) place(part string, found segment.Salvaged, damaged bool) (string, error) {
	v := found.Version
	switch bucket := segment.PathOfKey(found.Bucket, false); {
	case damaged:
		return s.put(part, filepath.Join(damagedDir, bucket, segment.PathOfKey(v.Key, true)), v.Ref())
	case !found.Current:
		return s.put(part, filepath.Join(versionsDir, bucket, segment.PathOfKey(v.Key, true)), v.Ref())
	default:
		return s.putCurrent(part, filepath.Join(currentDir, bucket), v.Key)
	}
}

// put is for folders that hold the versions of one key: their names never are those of folders on the way to others.
func (s *salvager) put(part, folder, ref string) (string, error) {
	if err := os.MkdirAll(filepath.Join(s.dir, folder), 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(folder, segment.PathOfKey(ref, false))
	for n := 1; ; n++ { // of several null versions
		if _, err := os.Lstat(filepath.Join(s.dir, name)); errors.Is(err, fs.ErrNotExist) {
			return name, os.Rename(part, filepath.Join(s.dir, name))
		} else if err != nil {
			return "", err
		}
		name = filepath.Join(folder, fmt.Sprintf("%s.%d", segment.PathOfKey(ref, false), n))
	}
}

// putCurrent is for a tree of files as a file client sees it: where one has the name of a folder, it gets the name that the table of names has for it.
func (s *salvager) putCurrent(part, bucket, key string) (string, error) {
	below := strings.Split(key, "/")
	for n := 1; n < len(below); n++ { // a file in the way of a folder
		above := strings.Join(below[:n], "/")
		plain := filepath.Join(s.dir, bucket, segment.PathOfKey(above, false))
		if info, err := os.Lstat(plain); err == nil && info.Mode().IsRegular() {
			to := filepath.Join(bucket, segment.PathOfKey(above, true))
			if err := os.Rename(plain, filepath.Join(s.dir, to)); err != nil {
				return "", err
			}
			if err := s.list.Encode(SalvagedMove{filepath.Join(bucket, segment.PathOfKey(above, false)), to}); err != nil {
				return "", err
			}
		}
	}
	name := filepath.Join(bucket, segment.PathOfKey(key, false))
	if err := os.MkdirAll(filepath.Dir(filepath.Join(s.dir, name)), 0o700); err != nil {
		return "", err
	}
	if info, err := os.Lstat(filepath.Join(s.dir, name)); err == nil && info.IsDir() {
		name = filepath.Join(bucket, segment.PathOfKey(key, true))
	}
	return name, os.Rename(part, filepath.Join(s.dir, name))
}
