package segment

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// An upload in parts is local to its segment until it is completed. Upload and parts are objects of the local bucket: what makes objects
// durable, lists them and survives a restart does so for them.
//
//	<bucket id>/<key> NUL <upload id>              the upload: attributes of the object to be
//	<bucket id>/<key> NUL <upload id> NUL <number> a part

// Upload is an upload in parts.
type Upload struct {
	ID      string
	Key     string
	Started time.Time
	Attrs   Attrs
}

// Part is one part of an upload.
type Part struct {
	Number    int
	Size      int64
	ETag      string
	Modified  time.Time
	Checksums []Checksum
}

// MaxParts is the highest number of a part.
const MaxParts = 10_000

func (b *Bucket) uploadPrefix(key string) string { return b.id.String() + "/" + key + "\x00" }

func partKey(upload string, number int) string { return fmt.Sprintf("%s\x00%05d", upload, number) }

// CreateUpload begins an upload of key.
func (b *Bucket) CreateUpload(ctx context.Context, key string, a Attrs) (Upload, error) {
	if b.frozen != "" {
		return Upload{}, ErrReadOnly
	}
	if err := checkKey(key); err != nil {
		return Upload{}, err
	}
	if strings.Contains(key, "\x00") {
		return Upload{}, fmt.Errorf("the key holds a zero byte: %w", ErrInvalidArgument)
	}
	b.gate.RLock() // not while the bucket is being deleted
	defer b.gate.RUnlock()
	if b.gone() {
		return Upload{}, fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	var random [16]byte
	if err := b.s.random(random[:]); err != nil {
		return Upload{}, err
	}
	u := Upload{ID: hex.EncodeToString(random[:]), Key: key, Attrs: a}
	v, err := b.s.local.put(ctx, Cond{}, Version{Key: b.uploadPrefix(key) + u.ID, Attrs: a}, nil)
	if err != nil {
		return Upload{}, fmt.Errorf("begin upload of %q: %w", key, err)
	}
	u.Started = v.Modified()
	return u, nil
}

// Upload finds an upload, or fails with ErrNoSuchUpload.
func (b *Bucket) Upload(ctx context.Context, key, id string) (Upload, error) {
	if b.frozen != "" || strings.Contains(key, "\x00") || strings.Contains(id, "\x00") { // it would be a part's name
		return Upload{}, fmt.Errorf("%q, upload %q: %w", key, id, ErrNoSuchUpload)
	}
	v, err := b.s.local.Stat(ctx, b.uploadPrefix(key)+id, VersionRef{})
	if isMissing(err) {
		return Upload{}, fmt.Errorf("%q, upload %q: %w", key, id, ErrNoSuchUpload)
	}
	return Upload{id, key, v.Modified(), v.Attrs}, err
}

// partTarget is where a part's writer commits to.
type partTarget struct {
	key, id string
	number  int
}

// PartWriter begins a part, of size bytes or, when size is negative, of any size. It is ended by [Writer.CommitPart] or [Writer.Abort].
func (b *Bucket) PartWriter(ctx context.Context, key, id string, number int, size int64) (*Writer, error) {
	if number < 1 || number > MaxParts {
		return nil, fmt.Errorf("part %d: numbers go from 1 to %d: %w", number, MaxParts, ErrInvalidArgument)
	}
	if _, err := b.Upload(ctx, key, id); err != nil {
		return nil, err
	}
	w := b.Writer(ctx, size)
	w.part = &partTarget{key, id, number}
	return w, nil
}

// CommitPart makes what was written the part, durable when it returns. It replaces a part of the same number.
func (w *Writer) CommitPart(ctx context.Context, a Attrs) (Part, error) {
	defer w.list.End()
	m, err := w.w.Finish()
	if err != nil {
		return Part{}, fmt.Errorf("part %d of %q: %w", w.part.number, w.part.key, err)
	}
	return w.b.putPart(ctx, *w.part, m, w.w.Pending(), a)
}

func (b *Bucket) putPart(ctx context.Context, t partTarget, m dedup.Manifest, payload []chunk.Chunk, a Attrs) (Part, error) {
	upload := b.uploadPrefix(t.key) + t.id
	local := b.s.local
	defer b.s.outer.lock(b.id, upload)() // so that no part outlives its upload
	if _, err := b.Upload(ctx, t.key, t.id); err != nil {
		return Part{}, err
	}
	v, err := local.put(ctx, Cond{}, Version{Key: partKey(upload, t.number), Content: m, Attrs: a}, payload)
	if err != nil {
		return Part{}, fmt.Errorf("part %d of %q: %w", t.number, t.key, err)
	}
	return partOf(&v, t.number), nil
}

func partOf(v *Version, number int) Part {
	return Part{number, v.Size(), v.Attrs.ETag, v.Modified(), v.Attrs.Checksums}
}

// CopyPart makes n bytes of src from off on a part. Its chunks are shared; only the ragged ends are written anew. Its ETag names the
// bytes but is no MD5.
func (b *Bucket) CopyPart(ctx context.Context, key, id string, number int, src *Object, off, n int64) (Part, error) {
	w, err := b.PartWriter(ctx, key, id, number, 0)
	if err != nil {
		return Part{}, err
	}
	defer w.Abort()
	if src.b.doc.Load().domain != b.doc.Load().domain {
		return Part{}, fmt.Errorf("copy between dedup domains: %w", ErrInvalidArgument)
	}
	defer runtime.KeepAlive(src)
	if err := src.b.pinHeld(ctx, w.list, &src.v); err != nil {
		return Part{}, fmt.Errorf("copy part %d of %q: %w", number, key, err)
	}
	var one [1]byte // where the ends are not here yet, reading them brings them
	for _, end := range []int64{off, off + n} {
		if _, err := src.ReadAt(ctx, one[:], end); err != nil && !errors.Is(err, io.EOF) {
			return Part{}, fmt.Errorf("copy part %d of %q: %w", number, key, err)
		}
	}
	m, _, err := dedup.Slice(ctx, w.list.Stores(b.chunks), b.domain, b.Cutter(), src.v.Content, off, n)
	if err != nil {
		return Part{}, fmt.Errorf("copy part %d of %q: %w", number, key, err)
	}
	name := b.domain.Name(m.Append(nil))
	return b.putPart(ctx, *w.part, m, nil, Attrs{ETag: hex.EncodeToString(name[:16])})
}

// Parts are the upload's parts behind a number, at most limit, and whether there are more.
func (b *Bucket) Parts(ctx context.Context, key, id string, after, limit int) ([]Part, bool, error) {
	if _, err := b.Upload(ctx, key, id); err != nil {
		return nil, false, err
	}
	var out []Part
	prefix := b.uploadPrefix(key) + id
	for v, err := range b.s.local.eachCurrent(ctx, partKey(prefix, after+1)) {
		if err != nil {
			return nil, false, err
		}
		number, ok := partNumber(prefix, v.Key)
		if !ok {
			break
		}
		if len(out) == limit {
			return out, true, nil
		}
		out = append(out, partOf(v, number))
	}
	return out, false, nil
}

func partNumber(upload, key string) (int, bool) {
	digits, ok := strings.CutPrefix(key, upload+"\x00")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// UploadsOptions say which uploads are listed.
type UploadsOptions struct {
	Prefix, Delimiter   string
	KeyMarker, IDMarker string // uploads behind them are listed
	Limit               int
}

// UploadEntry is an upload, or a common prefix.
type UploadEntry struct {
	Prefix string
	Upload Upload
}

// UploadsPage is a part of a listing of uploads, by key and id.
type UploadsPage struct {
	Entries                     []UploadEntry
	Truncated                   bool
	NextKeyMarker, NextIDMarker string
}

// Uploads lists the uploads in progress.
func (b *Bucket) Uploads(ctx context.Context, o UploadsOptions) (UploadsPage, error) {
	var page UploadsPage
	if b.frozen != "" {
		return page, nil
	}
	bucket := b.id.String() + "/"
	from := bucket + max(o.Prefix, o.KeyMarker)
	switch {
	case o.KeyMarker != "" && o.IDMarker != "":
		from = b.uploadPrefix(o.KeyMarker) + o.IDMarker + "\x00\xff"
	case o.KeyMarker != "":
		from = bucket + o.KeyMarker + "\x00\xff"
		if o.Delimiter != "" && strings.HasSuffix(o.KeyMarker, o.Delimiter) {
			from, _ = successor(bucket + o.KeyMarker)
		}
	}
	last := ""
	for v, err := range b.s.local.eachCurrent(ctx, from) {
		if err != nil {
			return UploadsPage{}, err
		}
		rest, ok := strings.CutPrefix(v.Key, bucket+o.Prefix)
		if !ok {
			break
		}
		key, id, _ := strings.Cut(o.Prefix+rest, "\x00")
		if strings.Contains(id, "\x00") {
			continue // a part
		}
		common, isCommon := commonPrefix(key, o.Prefix, o.Delimiter)
		if isCommon && common == last {
			continue
		}
		if len(page.Entries) == o.Limit {
			page.Truncated = true
			break
		}
		if isCommon {
			last = common
			page.Entries = append(page.Entries, UploadEntry{Prefix: common})
			page.NextKeyMarker, page.NextIDMarker = common, ""
			continue
		}
		page.Entries = append(page.Entries, UploadEntry{Upload: Upload{id, key, v.Modified(), v.Attrs}})
		page.NextKeyMarker, page.NextIDMarker = key, id
	}
	return page, nil
}

// abortUploads ends all uploads to the bucket.
func (b *Bucket) abortUploads(ctx context.Context) error {
	for {
		page, err := b.Uploads(ctx, UploadsOptions{Limit: 1000})
		if err != nil || len(page.Entries) == 0 {
			return err
		}
		for _, e := range page.Entries {
			if err := b.AbortUpload(ctx, e.Upload.Key, e.Upload.ID); err != nil && !errors.Is(err, ErrNoSuchUpload) {
				return err
			}
		}
	}
}

// PartRef names a part as the client that completes an upload does.
type PartRef struct {
	Number int
	ETag   string
}

// Completion is what the gateway knows of a completed upload.
type Completion struct {
	ETag      string
	Checksums []Checksum
	// Check sees the parts before they become the object; its error ends the completion. It may be nil.
	Check func([]Part) error
}

// CompleteUpload makes the parts, in the order of their numbers, a version of key, and ends the upload: one step. No payload moves. A part
// that is not there, or has another ETag, is ErrInvalidPart.
func (b *Bucket) CompleteUpload(ctx context.Context, key, id string, refs []PartRef, done Completion, c Cond) (_ Version, err error) {
	if b.frozen != "" {
		return Version{}, fmt.Errorf("%q, upload %q: %w", key, id, ErrNoSuchUpload)
	}
	ack, err := b.acknowledging()
	if err != nil {
		return Version{}, err
	}
	defer ack.await(ctx, &err)
	leave, err := b.begin(ctx) // before the upload's latch: who deletes the bucket takes them in this order
	if err != nil {
		return Version{}, err
	}
	leave = sync.OnceFunc(leave)
	defer leave()
	upload := b.uploadPrefix(key) + id
	unlock := sync.OnceFunc(b.s.outer.lock(b.id, upload))
	defer unlock()
	u, err := b.Upload(ctx, key, id)
	if err != nil {
		return Version{}, err
	}
	parts, contents, err := b.chosenParts(ctx, upload, refs)
	if err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", key, err)
	}
	if done.Check != nil {
		if err := done.Check(parts); err != nil {
			return Version{}, err
		}
	}
	list, stores := b.list()
	defer list.End()
	m, err := dedup.Concat(ctx, stores.Meta, b.domain, contents)
	if err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", key, err)
	}
	a := u.Attrs
	a.ETag, a.Checksums = done.ETag, done.Checksums
	for _, p := range parts {
		a.Parts = append(a.Parts, p.Size)
	}
	object := Version{Key: key, Content: m, Attrs: a}
	if b.elsewhere() {
		leave() // nobody waits for a peer with the gate
		return b.completeElsewhere(ctx, u, c, object, unlock)
	}
	defer b.s.latches.lock(b.id, key)()
	put, err := b.planPut(ctx, c, &object, nil)
	if err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", key, err)
	}
	end, err := b.planEnd(ctx, upload)
	if err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", key, err)
	}
	if err := ack.submit(put, end); err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", key, err)
	}
	return object, nil
}

// completeElsewhere has the object written at the home, under the upload's name: a completion that is tried again, after a crash too, finds it
// done for as long as that is remembered. The caller holds the upload's latch, which unlock lets go of, once.
func (b *Bucket) completeElsewhere(ctx context.Context, u Upload, c Cond, v Version, unlock func()) (Version, error) {
	r := &Request{verb: verbPut, key: u.Key, cond: c, put: &v}
	if name, err := hex.DecodeString(u.ID); err == nil && len(name) == len(r.Name) {
		r.Name = RequestName(name)
	}
	out, err := b.forwardFree(ctx, r, nil, unlock)
	if err != nil {
		return Version{}, fmt.Errorf("complete %q: %w", u.Key, err)
	}
	v.settle(out)
	unlock()
	if err := b.AbortUpload(ctx, u.Key, u.ID); err != nil && !errors.Is(err, ErrNoSuchUpload) { // the object is there
		b.s.cfg.Logger.Warn("a completed upload is still listed", "key", u.Key, "upload", u.ID, "error", err)
	}
	return v, nil
}

// chosenParts are the parts that the client names, whose ETags must be those it was told.
func (b *Bucket) chosenParts(ctx context.Context, upload string, refs []PartRef) ([]Part, []dedup.Manifest, error) {
	if !slices.IsSortedFunc(refs, func(a, b PartRef) int { return a.Number - b.Number }) || len(refs) == 0 {
		return nil, nil, fmt.Errorf("parts are named in the order of their numbers, at least one: %w", ErrInvalidArgument)
	}
	var parts []Part
	var contents []dedup.Manifest
	for _, ref := range refs {
		v, err := b.s.local.Stat(ctx, partKey(upload, ref.Number), VersionRef{})
		if isMissing(err) || err == nil && v.Attrs.ETag != ref.ETag {
			return nil, nil, fmt.Errorf("part %d with ETag %q: %w", ref.Number, ref.ETag, ErrInvalidPart)
		}
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, partOf(&v, ref.Number))
		contents = append(contents, v.Content)
	}
	return parts, contents, nil
}

// planEnd deletes an upload and its parts. The caller holds the upload's latch.
func (b *Bucket) planEnd(ctx context.Context, upload string) (plan, error) {
	local := b.s.local
	view := local.view(upload)
	r := &record{deps: view.deps}
	for v, err := range local.eachCurrent(ctx, upload) {
		if err != nil {
			return plan{}, err
		}
		if v.Key != upload && !strings.HasPrefix(v.Key, upload+"\x00") {
			break
		}
		r.effects = append(r.effects, effect{key: v.Key, gone: []goneHold{{v.VersionID, v.Dot}}})
	}
	return plan{b: local, r: r, own: view.own}, nil
}

// AbortUpload gives an upload and its parts up.
func (b *Bucket) AbortUpload(ctx context.Context, key, id string) error {
	upload := b.uploadPrefix(key) + id
	defer b.s.outer.lock(b.id, upload)()
	if _, err := b.Upload(ctx, key, id); err != nil {
		return err
	}
	end, err := b.planEnd(ctx, upload)
	if err == nil {
		err = b.s.submit(end)
	}
	if err != nil {
		return fmt.Errorf("abort upload of %q: %w", key, err)
	}
	return nil
}
