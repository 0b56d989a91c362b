package admin

import (
	"time"

	"github.com/edgefs/edgefs/internal/buildinfo"
)

// Version1 is the prefix of every path of this version of the API.
const Version1 = "/v1"

// MaxPage bounds the entries of one page of a listing.
const MaxPage = 1000

// Bucket describes a bucket. Stats is there when one bucket was asked for.
type Bucket struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"` // as listed; name~segment for the younger of two buckets of one name
	Created  time.Time    `json:"created"`
	Home     string       `json:"home"` // the segment that changes the settings
	HomeName string       `json:"homeName,omitempty"`
	HomeHere bool         `json:"homeHere"`          // it is this segment, in the life that it leads
	Epoch    uint32       `json:"epoch"`             // how often the home, or the policy "home", changed
	Pending  []string     `json:"pending,omitempty"` // linked segments that may not know the settings yet; when one bucket was asked for
	Chunks   string       `json:"chunks"`            // how payload is cut
	Settings Settings     `json:"settings"`
	Stats    *BucketStats `json:"stats,omitempty"`
}

// Settings of a bucket that its home can change.
type Settings struct {
	Versioning  string         `json:"versioning"`  // off, enabled or suspended
	Data        string         `json:"data"`        // lazy: payload comes when it is read; full: every segment keeps all
	EagerBytes  int64          `json:"eagerBytes"`  // objects up to this size are fetched at once
	Policy      string         `json:"policy"`      // newest or keep-both: what readers see of a conflict; home: every write is the home's
	Ack         string         `json:"ack"`         // local or copies: whether a write waits for a second segment
	Compression string         `json:"compression"` // off or fast: how content is stored
	Conflicts   Losers         `json:"conflicts"`
	Locks       bool           `json:"locks"`               // versions can be locked
	Retention   string         `json:"retention,omitempty"` // of each new version, as governance:30d or compliance:7y
	Snapshots   []SnapshotRule `json:"snapshots,omitempty"` // taken by themselves
}

// Losers bound the versions that conflicts keep beside the current one. 0 is no bound.
type Losers struct {
	Keep int `json:"keep"` // of a key, the newest
	Days int `json:"days"` // since the bucket's home saw them lose
}

// SettingsChange changes what is not nil.
type SettingsChange struct {
	Versioning  *string `json:"versioning,omitempty"`
	Data        *string `json:"data,omitempty"`
	EagerBytes  *int64  `json:"eagerBytes,omitempty"`
	Policy      *string `json:"policy,omitempty"`
	Ack         *string `json:"ack,omitempty"`
	Compression *string `json:"compression,omitempty"`
	Locks       *bool   `json:"locks,omitempty"`     // true: for ever
	Retention   *string `json:"retention,omitempty"` // "none", or as in [Settings]
	// KeepLosers and LoserDays are the fields of [Losers].
	KeepLosers *int    `json:"keepLosers,omitempty"`
	LoserDays  *int    `json:"loserDays,omitempty"`
	Snapshots  *string `json:"snapshots,omitempty"` // a schedule: EVERY:KEEP, as 1h:24,1d:30; off
}

// Lock is what keeps a version from being removed: a retention, a legal hold, or both.
type Lock struct {
	Mode      string    `json:"mode,omitempty"` // governance or compliance; empty: no retention
	Until     time.Time `json:"until,omitzero"`
	LegalHold bool      `json:"legalHold,omitempty"`
}

// LockChange says what a version's lock is to be; nil leaves a part as it is.
type LockChange struct {
	Mode      *string   `json:"mode,omitempty"` // governance, compliance, or none: no retention
	Until     time.Time `json:"until,omitzero"` // of a retention
	LegalHold *bool     `json:"legalHold,omitempty"`
	Bypass    bool      `json:"bypass,omitempty"` // a retention of governance may be shortened
}

// TagsChange replaces a version's tags.
type TagsChange struct {
	Tags map[string]string `json:"tags"`
}

// HomeMove makes a segment, by its name or id, the home of a bucket.
type HomeMove struct {
	Segment string `json:"segment"`
	Force   bool   `json:"force,omitempty"` // without asking the old home: only of the segment that is asked
}

// BucketName gives a bucket another name.
type BucketName struct {
	Name string `json:"name"`
}

// NewBucket asks for a bucket. Empty fields take the defaults.
type NewBucket struct {
	Name     string         `json:"name"`
	Chunks   string         `json:"chunks,omitempty"` // the average size of a chunk as text: 64KiB or 1MiB; "fixed:SIZE" cuts at fixed places
	Settings SettingsChange `json:"settings"`
}

// BucketStats counts a bucket as this segment sees it.
type BucketStats struct {
	Objects   int64             `json:"objects"`
	Bytes     int64             `json:"bytes"`
	Versions  int64             `json:"versions"`
	Conflicts int64             `json:"conflicts"`
	Dropped   int64             `json:"dropped"` // losers of conflicts that the bucket's bounds have ended
	Root      string            `json:"root"`    // equal roots at two segments: equal contents, all versions included
	Pending   int               `json:"pending"` // keys written since the root was made
	Seen      map[string]uint64 `json:"seen"`    // writes seen of each life of each segment
}

// Object describes one version of a key.
type Object struct {
	Key      string            `json:"key"`
	Version  string            `json:"version"`          // "null" or the version's id
	Latest   bool              `json:"latest,omitempty"` // in listings of versions
	Marker   bool              `json:"marker,omitempty"` // a delete marker
	Size     int64             `json:"size"`
	Modified time.Time         `json:"modified"`
	ETag     string            `json:"etag,omitempty"`
	Segment  string            `json:"segment,omitempty"` // where it was written
	Meta     map[string]string `json:"meta,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Lock     *Lock             `json:"lock,omitempty"`    // what keeps the version, or has kept it; nil: nothing
	LoserOf  string            `json:"loserOf,omitempty"` // of a loser under the name that keep-both shows it under: the key that it is a version of
	Name     string            `json:"name,omitempty"`    // of a loser, where it is shown so: that name
	Here     *int64            `json:"here,omitempty"`    // where it is told: bytes of the content that are at this segment
}

// List is a page of a listing. Prefixes are what a delimiter folded.
type List struct {
	Objects   []Object `json:"objects"`
	Prefixes  []string `json:"prefixes,omitempty"`
	Truncated bool     `json:"truncated,omitempty"`
	Next      string   `json:"next,omitempty"` // the After of the next page, when truncated
}

// Deleted says what a removal did.
type Deleted struct {
	Marker  bool   `json:"marker"`            // a delete marker was left, or was what went
	Version string `json:"version,omitempty"` // of the marker, or of what went
}

// Rename gives what is at From another key. Where both end in a slash all keys that begin with From move, at once.
type Rename struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Replace bool   `json:"replace,omitempty"` // what is at To is written over; of a directory, the keys that From has too
}

// Renamed is what a rename did.
type Renamed struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Keys     int64  `json:"keys"`
	Versions int64  `json:"versions"` // of a key in conflict each open one
}

// Conflict is a key with versions of which none was written in knowledge of the other. Reads answer Current; the losers are kept, and are
// read by their version.
type Conflict struct {
	Key     string   `json:"key"`
	Current Object   `json:"current"`
	Losers  []Object `json:"losers"`
}

// Conflicts is a page of them, and what is known of all of the bucket.
type Conflicts struct {
	Conflicts []Conflict `json:"conflicts"`
	Next      string     `json:"next,omitempty"` // the After of the next page; empty at the end
	Total     int64      `json:"total"`          // keys in conflict
	Dropped   int64      `json:"dropped"`        // losers that the bucket's bounds have ended since it was made
	LastDrop  *time.Time `json:"lastDrop,omitempty"`
}

// Resolution ends the conflict of a key in favour of one version.
type Resolution struct {
	Key  string `json:"key"`
	Keep string `json:"keep"` // one of the versions in conflict
	// Open, unless empty, are the versions that are known to be in conflict, the current one too: with another than these the call is
	// refused, so that nothing is replaced that nobody has looked at.
	Open []string `json:"open,omitempty"`
}

// Credentials are what an S3 client needs.
type Credentials struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
	Endpoint  string `json:"endpoint"` // empty when no S3 gateway runs
	Region    string `json:"region"`
}

// Health is whether the segment serves.
type Health struct {
	Live  bool   `json:"live"`
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"` // why it is not ready
}

// Status is a segment at one moment.
type Status struct {
	Name       string         `json:"name"`
	Segment    string         `json:"segment"`
	Federation string         `json:"federation,omitempty"` // of the public identity all linked segments share
	Build      buildinfo.Info `json:"build"`
	Started    time.Time      `json:"started"`
	Dir        string         `json:"dir"`
	Endpoints  Endpoints      `json:"endpoints"`
	Ready      bool           `json:"ready"`
	Buckets    int            `json:"buckets"`
	Objects    int64          `json:"objects"`
	Bytes      int64          `json:"bytes"` // of the current versions
	Conflicts  int64          `json:"conflicts"`
	Dropped    int64          `json:"dropped"` // losers that the bounds of buckets have ended
	Storage    Storage        `json:"storage"`
	Links      []Link         `json:"links"`
}

// Endpoints are the addresses in use; empty where nothing listens.
type Endpoints struct {
	S3      string `json:"s3,omitempty"`
	Admin   string `json:"admin,omitempty"`
	Link    string `json:"link,omitempty"`
	Metrics string `json:"metrics,omitempty"`
}
