package segment

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment/stream"
)

// ExportOptions say what of a bucket is exported.
type ExportOptions struct {
	Current bool // of each key only what a reader gets
}

// Export writes the bucket, which may be a snapshot, as one stream that [Segment.Import] makes a bucket of: its state at one moment, with all versions, their
// attributes and locks, each chunk of their content once. Reading and writing go on meanwhile. What is not here is read from peers. Equal states give equal
// bytes. Memory holds 30 bytes or so for each chunk, of the last 16 million at the most: a chunk that comes again after so many others is written again.
//
// An error leaves a stream without an end, which nobody takes for whole.
func (b *Bucket) Export(ctx context.Context, out io.Writer, o ExportOptions) (stream.End, error) {
	n, err := b.foldNow(ctx)
	defer runtime.KeepAlive(n) // what is read stays until it was
	if err != nil {
		return stream.End{}, err
	}
	settings := n.root.settings
	settings.Settings = settings.elsewhere()
	x := exporting{ctx: ctx, b: b, numbers: newNumbered(), current: o.Current}
	x.w = stream.NewWriter(out, stream.Header{
		Cutter: b.Cutter().String(), Seen: n.seen.appendTo(nil), Settings: settings.appendTo(nil), Current: o.Current,
	})
	if err := x.versions(n); err != nil {
		return x.w.So(), fmt.Errorf("export bucket %q: %w", b.doc.Load().name, err)
	}
	return x.w.End()
}

// elsewhere are the settings as they make sense in another federation: the home is whoever makes a bucket of them, and who waits for a second segment says so
// where there is one.
func (s Settings) elsewhere() Settings {
	s.Home, s.Ack = Origin{}, Local
	return s
}

// exporting is one export; it takes what content consists of.
type exporting struct {
	ctx     context.Context
	b       *Bucket
	w       *stream.Writer
	numbers *numbered
	current bool
}

func (x *exporting) versions(n *base) error {
	c := n.historyTree.Cursor()
	last, first := "", true
	for err := c.Seek(x.ctx, nil); ; err = c.Next(x.ctx) {
		if err != nil || !c.Valid() {
			return err
		}
		v, err := n.atCursor(x.ctx, c)
		if err != nil {
			return err
		}
		newest := first || v.Key != last
		last, first = v.Key, false
		if x.current && (!newest || v.Marker) {
			continue
		}
		if err := x.version(v); err != nil {
			return fmt.Errorf("%q, version %s: %w", v.Key, v.VersionID, err)
		}
	}
}

func (x *exporting) version(v *Version) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	o := x.b.object(*v)
	if err := o.r.Distinct(x.ctx, x); err != nil {
		return err
	}
	content, err := x.list(v.Content.Outline())
	if err != nil {
		return err
	}
	bare := *v
	bare.Content = dedup.Manifest{}
	return x.w.Version(bare.appendWhole(nil), content)
}

// list is an outline by numbers.
func (x *exporting) list(o dedup.Outline) (stream.List, error) {
	out := stream.List{Level: o.Level, Other: o.Other}
	for _, e := range o.Entries {
		n, ok := x.numbers.of(e.ID)
		if !ok {
			return out, fmt.Errorf("chunk %v was not written: %w", e.ID, chunk.ErrNotFound)
		}
		out.Refs = append(out.Refs, stream.Ref{N: n, Size: e.Size})
	}
	return out, nil
}

// Known is [dedup.Taker].
func (x *exporting) Known(id chunk.ID) bool {
	_, ok := x.numbers.of(id)
	return ok
}

// Piece is [dedup.Taker].
func (x *exporting) Piece(c chunk.Chunk) error {
	n, err := x.w.Chunk(c.Data())
	x.numbers.add(c.ID(), n)
	return err
}

// Node is [dedup.Taker].
func (x *exporting) Node(id chunk.ID, o dedup.Outline) error {
	l, err := x.list(o)
	if err != nil {
		return err
	}
	n, err := x.w.Node(l)
	x.numbers.addNode(id, n)
	return err
}

// numbered remembers which number a chunk has in a stream, in bounded memory: of pieces, what was written or asked for last. Nodes, which are a hundredth of
// the chunks, it never forgets: of what a long object consists of, some lie far apart.
type numbered struct {
	young, old, nodes map[shortID]uint64
	most              int // in young
}

// shortID is as much of a name as tells chunks apart as well as all of it does.
type shortID [chunk.IDSize / 2]byte

func newNumbered() *numbered {
	return &numbered{young: map[shortID]uint64{}, nodes: map[shortID]uint64{}, most: 8 << 20}
}

func (m *numbered) of(id chunk.ID) (uint64, bool) {
	short := shortID(id[:])
	if n, ok := m.young[short]; ok {
		return n, true
	}
	if n, ok := m.nodes[short]; ok {
		return n, true
	}
	n, ok := m.old[short]
	if ok {
		m.add(id, n) // so that it stays until what names it was written
	}
	return n, ok
}

func (m *numbered) add(id chunk.ID, n uint64) {
	if len(m.young) == m.most {
		m.old, m.young = m.young, map[shortID]uint64{}
	}
	m.young[shortID(id[:])] = n
}

func (m *numbered) addNode(id chunk.ID, n uint64) { m.nodes[shortID(id[:])] = n }
