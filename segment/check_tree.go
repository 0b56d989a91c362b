package segment

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// tree checks one of a state's trees, but for what was walked before.
func (c *checking) tree(ctx context.Context, h heldRoot, id TreeID, entry func(k, raw []byte) error) error {
	t, kind := h.n.headTree, uint64(headsNode)
	if id == HistoryTree {
		t, kind = h.n.historyTree, historyNode
	}
	nodes, err := t.Check(ctx, tree.CheckOptions{
		First: func(id chunk.ID, last bool) bool { return c.walked.Add(walkedAs(id, kind, last)) },
		Entry: func(k, raw []byte) error {
			c.step()
			return entry(k, raw)
		},
		Fault: func(_ chunk.ID, err error) { c.damage(faultKind(err), h.b, "", fmt.Sprintf("%s: %v", h.why, err)) },
	})
	c.report.Nodes += nodes
	return err
}

// faultKind tells a node that is not here from one that is damaged and one that is no right one.
func faultKind(err error) string {
	switch {
	case errors.Is(err, tree.ErrInvalid):
		return "tree.shape"
	case errors.Is(err, chunk.ErrNotFound):
		return "tree.missing"
	}
	return "tree.damaged"
}

func parseHeadEntry(k, raw []byte) (head, error) {
	if len(k) == 0 || k[0] != regionShown && k[0] != regionHidden {
		return head{}, badFormat("key of a head")
	}
	h, err := parseHead(string(k[1:]), raw)
	switch {
	case err != nil:
	case h.region() != k[0]:
		err = errors.New("it is among those that a listing shows, and should not be, or the other way round")
	case !canonical(raw, h.appendTo):
		err = errors.New("its encoding is not the one that it should have")
	}
	return h, err
}

// figures makes each key's head of its history once more, and the bucket's figures of those.
func (c *checking) figures(ctx context.Context, h heldRoot) error {
	var sum counters
	keys := int64(0)
	one := func(key string, now head) error {
		keys++
		sum.add(now, 1)
		was, err := h.n.headOf(ctx, key)
		if err != nil {
			return err
		}
		if !canonical(was.appendTo(nil), now.appendTo) || was.region() != now.region() {
			c.damage("tree.heads", h.b, key, "what is shown of the key is not what its history says")
		}
		c.step()
		return nil
	}
	if err := eachHead(ctx, h.n, one); err != nil {
		return c.unlessEnded(ctx, h, err)
	}
	n, err := h.n.headTree.Len(ctx)
	if err != nil {
		return c.unlessEnded(ctx, h, err)
	}
	if n != keys {
		c.damage("tree.heads", h.b, "", fmt.Sprintf("%d keys are shown, and %d have a history", n, keys))
	}
	if !h.n.stats.agree(sum) {
		c.damage("bucket.figures", h.b, "", fmt.Sprintf("the figures are %+v, and counted were %+v", h.n.stats, sum))
	}
	return nil
}

func (c *checking) unlessEnded(ctx context.Context, h heldRoot, err error) error {
	if ctx.Err() == nil {
		c.damage("tree.damaged", h.b, "", fmt.Sprintf("%s: %v", h.why, err))
	}
	return ctx.Err()
}

// eachHead makes the heads of all keys of their history. Of a key only what a head keeps is in memory.
func eachHead(ctx context.Context, n *base, yield func(string, head) error) error {
	cursor := n.historyTree.Cursor()
	var now head
	key, any := "", false
	for err := cursor.Seek(ctx, nil); ; err = cursor.Next(ctx) {
		if err != nil {
			return err
		}
		if !cursor.Valid() {
			break
		}
		v, err := n.atCursor(ctx, cursor)
		if err != nil {
			return err
		}
		if any && v.Key != key {
			if err := yield(key, now); err != nil {
				return err
			}
			now = head{}
		}
		key, any = v.Key, true
		if now.count++; now.count == 1 || !v.Superseded || v.Null {
			now.versions = append(now.versions, v)
		}
	}
	if !any {
		return nil
	}
	return yield(key, now)
}

// remembered notes a root that a document of the local bucket names.
func (c *checking) remembered(v *Version) error {
	h, err := c.s.rememberedRoot(v)
	if err == nil {
		c.later = append(c.later, h)
	}
	return err
}
