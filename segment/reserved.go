package segment

import (
	"context"
	"fmt"
	"strings"
)

// Keys that begin with a zero byte are the segment's own: what files need to know beside their content. They replicate, merge and are kept by
// snapshots as all keys are. No client can name them, no listing shows them, and they count for nothing: a bucket that has no others is empty.
const reservedPrefix = "\x00"

func reserved(key string) bool { return strings.HasPrefix(key, reservedPrefix) }

// firstListed is key, or the first key behind it that is not reserved.
func firstListed(key string) string { return max(key, "\x01") }

// checkReserved refuses keys that no client may name.
func checkReserved(key string) error {
	if reserved(key) {
		return fmt.Errorf("the key begins with a zero byte: %w", ErrInvalidArgument)
	}
	return nil
}

// reservedFor says whether a reserved key is for what begins with prefix.
func reservedFor(key, prefix string) bool { return reserved(key) && prefix == "" }

// restoreReserved makes a reserved key what it was. What is written to it at the same time may win or lose: it says nothing alone.
func (b *Bucket) restoreReserved(ctx context.Context, d Difference) error {
	t := &fileTask{what: fileUnreserve, path: d.Key}
	if d.To != nil {
		t.what, t.attrs = fileReserve, d.To.Attrs.appendTo(nil)
	}
	if f := b.Files(); f.elsewhere() {
		return f.forward(ctx, t)
	}
	return b.Files().reserve(ctx, t)
}
