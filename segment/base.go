package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// base is a bucket's state as of a fold or a merge: two trees and what had been seen. It is immutable.
type base struct {
	root
	at     uint64 // log position of the entry that set it; 0 at first
	covers uint64 // records up to this log position are in it
	id     chunk.ID
	bytes  []byte // of the root chunk; empty at first
	stats  counters

	headTree    tree.Tree // region byte, key -> head
	historyTree tree.Tree // key, inverted version id -> version

	here *base // the same, with trees that ask no peer

	of    BucketID
	nodes chunk.Store // that manifests' nodes are read from
}

// The heads tree has two regions: keys that a listing shows or that are in conflict, and keys of which only history or markers are held,
// which a listing is not to wade through.
const (
	regionShown  = 0
	regionHidden = 1
)

func (h head) region() byte {
	if h.content() != nil || h.conflicted() {
		return regionShown
	}
	return regionHidden
}

func headKey(region byte, key string) []byte { return append([]byte{region}, key...) }

// historyKey sorts by key, then newest first. A zero byte of the key is escaped, two end it.
func historyKey(key string, id VersionID) []byte {
	return id.appendInverted(historyPrefix(key))
}

func historyPrefix(key string) []byte {
	b := make([]byte, 0, len(key)+2+longVersionID)
	for i := range len(key) {
		b = append(b, key[i])
		if key[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 0)
}

func (v VersionID) appendInverted(b []byte) []byte {
	n := len(b)
	b = v.appendOrdered(b)
	for i := n; i < len(b); i++ {
		b[i] = ^b[i]
	}
	return b
}

func parseHistoryKey(b []byte) (key string, id VersionID, err error) {
	n := len(b) - longVersionID
	if n < 2 || b[n-1] != 0 || b[n-2] != 0 {
		return "", id, badFormat("history key")
	}
	if id, err = parseInverted(b[n:]); err != nil {
		return "", id, err
	}
	return string(bytes.ReplaceAll(b[:n-2], []byte{0, 0xff}, []byte{0})), id, nil
}

// parseInverted reads what appendInverted wrote.
func parseInverted(b []byte) (VersionID, error) {
	order := bytes.Clone(b)
	for i := range order {
		order[i] = ^order[i]
	}
	id, ok := orderedVersionID(order)
	if !ok {
		return id, badFormat("version id")
	}
	return id, nil
}

// headOf reads a key's head; an empty one when nothing of the key is held.
func (b *base) headOf(ctx context.Context, key string) (head, error) {
	at := headKey(regionShown, key)
	for _, at[0] = range []byte{regionShown, regionHidden} {
		v, ok, err := b.headTree.Get(ctx, at)
		if err != nil {
			return head{}, fmt.Errorf("read head of %q: %w", key, err)
		}
		if ok {
			return parseHead(key, v)
		}
	}
	return head{}, nil
}

// version reads one version; nil when it is not held.
func (b *base) version(ctx context.Context, key string, id VersionID) (*Version, error) {
	v, ok, err := b.historyTree.Get(ctx, historyKey(key, id))
	if err != nil {
		return nil, fmt.Errorf("read version of %q: %w", key, err)
	}
	if !ok {
		return nil, nil
	}
	return b.decodeVersion(key, id, v)
}

func (b *base) decodeVersion(key string, id VersionID, raw []byte) (*Version, error) {
	v, err := parseStored(key, raw)
	if err == nil && v.VersionID != id {
		err = badFormat("history")
	}
	return v, err
}

// versions are those of one key, newest first, from a version on (inclusive; nil: all).
func (b *base) versions(ctx context.Context, key string, from *VersionID) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		prefix := historyPrefix(key)
		seek := prefix
		if from != nil {
			seek = historyKey(key, *from)
		}
		c := b.historyTree.Cursor()
		for err := c.Seek(ctx, seek); ; err = c.Next(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !c.Valid() || !bytes.HasPrefix(c.Key(), prefix) || len(c.Key()) != len(prefix)+longVersionID {
				return
			}
			v, err := b.atCursor(ctx, c)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func (b *base) atCursor(ctx context.Context, c *tree.Cursor) (*Version, error) {
	key, id, err := parseHistoryKey(c.Key())
	if err != nil {
		return nil, err
	}
	raw, err := c.Value(ctx)
	if err != nil {
		return nil, err
	}
	return b.decodeVersion(key, id, raw)
}

// versionsOver merges a key's versions in the base with what the overlay says, newest first, from a version on.
func (b *base) versionsOver(ctx context.Context, over delta, key string, from *VersionID) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		d, err := over.from(key, from)
		if err != nil {
			yield(nil, err)
			return
		}
		pass := func() bool { // the version of the overlay
			v := d.v
			if err := d.next(); err != nil {
				yield(nil, err)
				return false
			}
			return v.now == nil || yield(v.now, nil)
		}
		for v, err := range b.versions(ctx, key, from) {
			if err != nil {
				yield(nil, err)
				return
			}
			for d.ok && d.v.id.Compare(v.VersionID) > 0 {
				if !pass() {
					return
				}
			}
			if d.ok && d.v.id == v.VersionID {
				if !pass() {
					return
				}
				continue
			}
			if !yield(v, nil) {
				return
			}
		}
		for d.ok {
			if !pass() {
				return
			}
		}
	}
}

var errStop = errors.New("stop")
