package segment

import (
	"bytes"
	"context"
	"iter"
	"strings"

	"github.com/edgefs/edgefs/segment/tree"
	"github.com/tidwall/btree"
)

// ListOptions say which keys are listed.
type ListOptions struct {
	Prefix    string
	Delimiter string // keys that have it behind the prefix are one common prefix
	After     string // exclusive; a common prefix leaves out all below it
	Limit     int    // entries, at least 1
}

// ListEntry is a key's current version, or a common prefix.
type ListEntry struct {
	Prefix  string // not empty for a common prefix; then Version is empty
	Version Version
}

// Name is what the entry sorts by.
func (e *ListEntry) Name() string {
	if e.Prefix != "" {
		return e.Prefix
	}
	return e.Version.Key
}

// ListPage is a part of a listing, in key order.
type ListPage struct {
	Entries   []ListEntry
	Truncated bool   // there is more after Next
	Next      string // After of the next page
}

// List is the current content of a bucket at one moment, a page of it; where the policy is to keep both, open losers too, under the names of
// [LoserName]. It costs what the page holds, and where it begins the length of that name, not what the bucket holds.
func (b *Bucket) List(ctx context.Context, o ListOptions) (ListPage, error) {
	var page ListPage
	if err := b.Err(); err != nil {
		return page, err
	}
	from, ok := startAfter(o.Prefix, o.Delimiter, o.After)
	if !ok {
		return page, nil
	}
	w, err := b.shown(ctx, from)
	if err != nil {
		return page, err
	}
	for ok {
		v, err := w.from(ctx, from)
		if err != nil {
			return ListPage{}, err
		}
		if v == nil || !strings.HasPrefix(v.Key, o.Prefix) {
			break
		}
		from = v.Key + "\x00"
		if len(page.Entries) == o.Limit {
			page.Truncated = true
			break
		}
		if common, ok := commonPrefix(v.Key, o.Prefix, o.Delimiter); ok {
			page.Entries = append(page.Entries, ListEntry{Prefix: common})
			page.Next = common
			if from, ok = successor(common); !ok {
				break
			}
			continue
		}
		page.Entries = append(page.Entries, ListEntry{Version: *v})
		page.Next = v.Key
	}
	return page, nil
}

// startAfter is the first key that a listing may hold.
func startAfter(prefix, delimiter, after string) (from string, ok bool) {
	if after == "" || after < prefix {
		return firstListed(prefix), true
	}
	if delimiter != "" && strings.HasPrefix(after, prefix) && strings.HasSuffix(after, delimiter) {
		if common, ok := commonPrefix(after, prefix, delimiter); ok && common == after {
			return successor(after)
		}
	}
	return firstListed(after + "\x00"), true
}

func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// successor is the first key behind all that begin with prefix.
func successor(prefix string) (string, bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}

// headWalk goes through the keys of a snapshot in order: those of one region.
type headWalk struct {
	s       snapshot
	region  byte
	cursor  *tree.Cursor
	over    btree.MapIter[string, *overlayKey]
	started bool
	inTree  string // key under the cursor
	treeOK  bool
	overOK  bool
}

func (s snapshot) heads() *headWalk { return s.headsIn(regionShown) }

func (s snapshot) headsIn(region byte) *headWalk {
	return &headWalk{s: s, region: region, cursor: s.base.headTree.Cursor(), over: s.overlay.Iter()}
}

// from is the first key at or behind key, empty at the end. Keys must ascend from call to call.
func (w *headWalk) from(ctx context.Context, key string) (head, string, error) {
	if err := w.advance(ctx, key); err != nil {
		return head{}, "", err
	}
	for {
		switch {
		case !w.treeOK && !w.overOK:
			return head{}, "", nil
		case w.overOK && (!w.treeOK || w.over.Key() <= w.inTree):
			if o := w.over.Value(); o.in(w.region) {
				h, err := o.head(w.over.Key())
				return h, w.over.Key(), err
			}
			if err := w.advance(ctx, w.over.Key()+"\x00"); err != nil {
				return head{}, "", err
			}
		default:
			raw, err := w.cursor.Value(ctx)
			if err != nil {
				return head{}, "", err
			}
			h, err := parseHead(w.inTree, raw)
			return h, w.inTree, err
		}
	}
}

// advance moves both cursors to key, one step where that is enough.
func (w *headWalk) advance(ctx context.Context, key string) error {
	if !w.started || w.overOK && w.over.Key() < key {
		w.overOK = w.stepOver(key)
	}
	if !w.started || w.treeOK && w.inTree < key {
		if err := w.stepTree(ctx, key); err != nil {
			return err
		}
	}
	w.started = true
	return nil
}

func (w *headWalk) stepOver(key string) bool {
	if w.started && w.over.Next() && w.over.Key() >= key {
		return true
	}
	return w.over.Seek(key)
}

func (w *headWalk) stepTree(ctx context.Context, key string) error {
	if w.started {
		if err := w.cursor.Next(ctx); err != nil {
			return err
		}
		if w.look(); !w.treeOK || w.inTree >= key {
			return nil
		}
	}
	if err := w.cursor.Seek(ctx, headKey(w.region, key)); err != nil {
		return err
	}
	w.look()
	return nil
}

func (w *headWalk) look() {
	w.treeOK = w.cursor.Valid() && w.cursor.Key()[0] == w.region
	if w.treeOK {
		w.inTree = string(w.cursor.Key()[1:])
	}
}

// eachCurrent are the keys with content, from a key on, at one moment.
func (b *Bucket) eachCurrent(ctx context.Context, from string) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		if err := b.Err(); err != nil {
			yield(nil, err)
			return
		}
		b.snapshot().eachCurrent(ctx, from)(yield)
	}
}

func (s snapshot) eachCurrent(ctx context.Context, from string) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		w := s.heads()
		for {
			h, key, err := w.from(ctx, from)
			if err != nil {
				yield(nil, err)
				return
			}
			if key == "" {
				return
			}
			if v := h.content(); v != nil && !yield(v, nil) {
				return
			}
			from = key + "\x00"
		}
	}
}

// Conflict is a key with versions that no write has chosen between.
type Conflict struct {
	Key     string
	Current Version // perhaps a delete marker
	Losers  []Version
}

// Conflict is that of one key; nil when it is in none.
func (b *Bucket) Conflict(ctx context.Context, key string) (*Conflict, error) {
	if err := b.Err(); err != nil || reserved(key) {
		return nil, err
	}
	h, err := b.view(key).head(ctx, key)
	if err != nil || !h.conflicted() {
		return nil, err
	}
	c := h.conflict(key)
	return &c, nil
}

func (h head) conflict(key string) Conflict {
	c := Conflict{Key: key, Current: h.told(h.current())}
	for _, v := range h.losers() {
		c.Losers = append(c.Losers, h.told(v))
	}
	return c
}

// Conflicts are keys in conflict after a key, at most limit.
func (b *Bucket) Conflicts(ctx context.Context, after string, limit int) ([]Conflict, error) {
	return b.ConflictsBelow(ctx, "", after, limit)
}

// ConflictsBelow are those that begin with a prefix.
func (b *Bucket) ConflictsBelow(ctx context.Context, prefix, after string, limit int) ([]Conflict, error) {
	if err := b.Err(); err != nil || b.Stats().Conflicts == 0 {
		return nil, err
	}
	var out []Conflict
	w := b.snapshot().heads()
	for from := firstListed(max(prefix, after+"\x00")); len(out) < limit; {
		h, key, err := w.from(ctx, from)
		if err != nil || key == "" || !strings.HasPrefix(key, prefix) {
			return out, err
		}
		if h.conflicted() {
			out = append(out, h.conflict(key))
		}
		from = key + "\x00"
	}
	return out, nil
}

// eachVersion are all versions, in key order and newest first, from a key, and there from a version, on.
func (b *Bucket) eachVersion(ctx context.Context, from string, at *VersionID) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		if err := b.Err(); err != nil {
			yield(nil, err)
			return
		}
		s := b.snapshot()
		over := s.overlay.Iter()
		overOK := over.Seek(from)
		c := s.base.historyTree.Cursor()
		if err := c.Seek(ctx, historyPrefix(from)); err != nil {
			yield(nil, err)
			return
		}
		for {
			key, ok, err := nextKey(c, overOK, &over)
			if err != nil || !ok {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			var o *overlayKey
			if overOK && over.Key() == key {
				o, overOK = over.Value(), over.Next()
			}
			start := at
			if key != from {
				start = nil
			}
			d, err := o.delta(key)
			if err != nil {
				yield(nil, err)
				return
			}
			for v, err := range s.base.versionsOver(ctx, d, key, start) {
				if !yield(v, err) || err != nil {
					return
				}
			}
			if err := skipKey(ctx, c, key); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// nextKey is the smaller of what the two cursors stand at.
func nextKey(c *tree.Cursor, overOK bool, over *btree.MapIter[string, *overlayKey]) (key string, ok bool, err error) {
	if c.Valid() {
		if key, _, err = parseHistoryKey(c.Key()); err != nil {
			return "", false, err
		}
	}
	if overOK && (!c.Valid() || over.Key() < key) {
		key = over.Key()
	}
	return key, c.Valid() || overOK, nil
}

func skipKey(ctx context.Context, c *tree.Cursor, key string) error {
	prefix := historyPrefix(key)
	for steps := 0; c.Valid() && bytes.HasPrefix(c.Key(), prefix); steps++ {
		if steps == 4 {
			return c.Seek(ctx, append(prefix[:len(prefix)-1], 1))
		}
		if err := c.Next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ListVersionsOptions say which versions are listed.
type ListVersionsOptions struct {
	Prefix, Delimiter string
	// KeyMarker and VersionMarker are where the page before ended: entries behind them are listed. A zero VersionMarker leaves out the
	// whole key.
	KeyMarker     string
	VersionMarker VersionRef
	Limit         int
}

// VersionEntry is a version, or a common prefix.
type VersionEntry struct {
	Prefix  string
	Version Version
	Latest  bool // it is the key's current version
}

// VersionsPage is a part of a listing of versions, by key and newest first.
type VersionsPage struct {
	Entries           []VersionEntry
	Truncated         bool
	NextKeyMarker     string
	NextVersionMarker VersionRef // zero after a common prefix
}

// ListVersions lists all versions, delete markers too.
func (b *Bucket) ListVersions(ctx context.Context, o ListVersionsOptions) (VersionsPage, error) {
	var page VersionsPage
	from, ok := startAfter(o.Prefix, o.Delimiter, o.KeyMarker)
	marker, err := b.marker(ctx, o)
	if err != nil || !ok {
		return page, err
	}
	if marker != nil {
		from = o.KeyMarker
	}
	for ok {
		var restart string
		restart, ok, err = b.listVersionsFrom(ctx, o, &page, from, marker)
		if err != nil {
			return VersionsPage{}, err
		}
		from, marker = restart, nil
	}
	return page, nil
}

// marker is the version that the page before ended with.
func (b *Bucket) marker(ctx context.Context, o ListVersionsOptions) (*VersionID, error) {
	switch {
	case o.VersionMarker.Current() || o.KeyMarker == "" || reserved(o.KeyMarker):
		return nil, nil
	case !o.VersionMarker.Null:
		return &o.VersionMarker.ID, nil
	}
	v, err := b.view(o.KeyMarker).resolve(ctx, o.KeyMarker, o.VersionMarker)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v.VersionID, nil
}

// listVersionsFrom fills the page; restart, when more, is behind a common prefix that is left out.
func (b *Bucket) listVersionsFrom(ctx context.Context, o ListVersionsOptions, page *VersionsPage, from string, marker *VersionID) (restart string, more bool, err error) {
	key, null := "", false // the key being listed, and whether its null version was
	if marker != nil {     // its latest version was on the page before
		key = from
		v, err := b.view(key).resolve(ctx, key, VersionRef{Null: true})
		if err != nil && !isMissing(err) {
			return "", false, err
		}
		null = err == nil && v.Compare(*marker) > 0
	}
	for v, err := range b.eachVersion(ctx, from, marker) {
		if err != nil {
			return "", false, err
		}
		if !strings.HasPrefix(v.Key, o.Prefix) {
			return "", false, nil
		}
		latest := v.Key != key
		null = null && !latest
		key = v.Key
		told := *v
		told.Shadowed = v.Null && null
		null = null || v.Null
		if marker != nil && v.Key == from && v.VersionID == *marker {
			continue
		}
		if len(page.Entries) == o.Limit {
			page.Truncated = true
			return "", false, nil
		}
		if common, ok := commonPrefix(v.Key, o.Prefix, o.Delimiter); ok {
			page.Entries = append(page.Entries, VersionEntry{Prefix: common})
			page.NextKeyMarker, page.NextVersionMarker = common, VersionRef{}
			restart, more = successor(common)
			return restart, more, nil
		}
		page.Entries = append(page.Entries, VersionEntry{Version: told, Latest: latest})
		page.NextKeyMarker, page.NextVersionMarker = v.Key, told.ref()
	}
	return "", false, nil
}
