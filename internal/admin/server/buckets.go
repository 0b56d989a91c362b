package server

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// The words for a bucket's data.
const (
	dataLazy = "lazy"
	dataFull = "full"
)

func (s *Server) buckets(w http.ResponseWriter, r *http.Request) error {
	all := []admin.Bucket{}
	for _, b := range s.Segment.Buckets() {
		all = append(all, bucketOf(b))
	}
	return ok(w, all)
}

func (s *Server) createBucket(w http.ResponseWriter, r *http.Request) error {
	var n admin.NewBucket
	if err := read(r, &n); err != nil {
		return err
	}
	settings := segment.DefaultSettings()
	o := segment.BucketOptions{Settings: &settings}
	if n.Chunks != "" {
		text := n.Chunks
		if !strings.Contains(text, ":") {
			text = "content:" + text
		}
		var err error
		if o.Cutter, err = dedup.ParseParams(text); err != nil {
			return err
		}
	}
	if err := change(&settings, n.Settings); err != nil {
		return err
	}
	b, err := s.Segment.CreateBucket(r.Context(), n.Name, o)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, bucketOf(b.Info()))
	return nil
}

func (s *Server) bucket(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	if param(r, "fold") == "true" {
		if _, err := b.Fold(r.Context()); err != nil {
			return err
		}
	}
	info := s.withPending(b)
	info.Stats = stats(b)
	return ok(w, info)
}

func (s *Server) setBucket(w http.ResponseWriter, r *http.Request) error {
	var c admin.SettingsChange
	if err := read(r, &c); err != nil {
		return err
	}
	b, err := s.named(r)
	if err != nil {
		return err
	}
	if err := b.Configure(r.Context(), func(set *segment.Settings) error { return change(set, c) }); err != nil {
		return err
	}
	return ok(w, s.withPending(b))
}

func (s *Server) deleteBucket(w http.ResponseWriter, r *http.Request) error {
	if err := s.Segment.DeleteBucket(r.Context(), r.PathValue("bucket")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// named is the bucket that the path names.
func (s *Server) named(r *http.Request) (*segment.Bucket, error) {
	return s.Segment.Bucket(r.PathValue("bucket"))
}

// change applies what is asked for to settings.
func change(s *segment.Settings, c admin.SettingsChange) error {
	if c.Versioning != nil {
		if err := s.Versioning.UnmarshalText([]byte(*c.Versioning)); err != nil {
			return err
		}
	}
	switch d := c.Data; {
	case d == nil:
	case *d == dataFull, *d == dataLazy:
		s.Full = *d == dataFull
	default:
		return invalid("data %q: want %s or %s", *d, dataLazy, dataFull)
	}
	if c.EagerBytes != nil {
		if *c.EagerBytes < 0 {
			return invalid("eager: a size is not negative")
		}
		s.EagerBytes = *c.EagerBytes
	}
	if c.Policy != nil {
		if err := s.Policy.UnmarshalText([]byte(*c.Policy)); err != nil {
			return err
		}
	}
	if c.Ack != nil {
		if err := s.Ack.UnmarshalText([]byte(*c.Ack)); err != nil {
			return err
		}
	}
	if c.Compression != nil {
		if err := s.Compression.UnmarshalText([]byte(*c.Compression)); err != nil {
			return invalid("%v", err)
		}
	}
	if c.Locks != nil {
		s.Locks.Enabled = *c.Locks
	}
	if c.Retention != nil {
		if err := parseRetention(*c.Retention, &s.Locks); err != nil {
			return err
		}
	}
	if c.KeepLosers != nil {
		s.Losers.Keep = *c.KeepLosers
	}
	if c.LoserDays != nil {
		s.Losers.Days = *c.LoserDays
	}
	if c.Snapshots != nil {
		var err error
		if s.Snapshots, err = segment.ParseSchedule(*c.Snapshots); err != nil {
			return err
		}
	}
	return nil
}

func bucketOf(b segment.BucketInfo) admin.Bucket {
	data := dataLazy
	if b.Settings.Full {
		data = dataFull
	}
	return admin.Bucket{
		ID: b.ID.String(), Name: b.Name, Created: b.Created, Home: b.Home.String(), HomeName: b.HomeName, HomeHere: b.Here,
		Epoch: b.Epoch.N, Chunks: b.Cutter.String(),
		Settings: admin.Settings{
			Versioning: cmp.Or(b.Settings.Versioning.String(), "off"), Data: data, EagerBytes: b.Settings.EagerBytes,
			Policy: b.Settings.Policy.String(), Ack: b.Settings.Ack.String(), Compression: b.Settings.Compression.String(), Conflicts: admin.Losers(b.Settings.Losers),
			Locks: b.Settings.Locks.Enabled, Retention: retentionText(b.Settings.Locks),
			Snapshots: rulesOf(b.Settings.Snapshots),
		},
	}
}

func rulesOf(s segment.Schedule) (out []admin.SnapshotRule) {
	for _, r := range s.Rules() {
		out = append(out, admin.SnapshotRule{Every: segment.SpanText(r.Every), Keep: r.Keep})
	}
	return out
}

func stats(b *segment.Bucket) *admin.BucketStats {
	st := b.Stats()
	out := &admin.BucketStats{
		Objects: st.Objects, Bytes: st.Bytes, Versions: st.Versions, Conflicts: st.Conflicts, Dropped: b.Dropped().Count,
		Root: st.Root.String(), Pending: st.Pending, Seen: map[string]uint64{},
	}
	for origin, n := range st.Seen {
		out.Seen[origin.String()] = n
	}
	return out
}
