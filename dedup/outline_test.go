package dedup

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
)

// mover makes the content that it is told of under the names of another domain.
type mover struct {
	t      *testing.T
	to     chunk.Domain
	stores Stores
	now    map[chunk.ID]Entry
	told   int
}

func (m *mover) Known(id chunk.ID) bool { _, ok := m.now[id]; return ok }

func (m *mover) add(id chunk.ID, c chunk.Chunk, size int64, s chunk.Store) error {
	if m.Known(id) {
		m.t.Errorf("%v is told of twice", id)
	}
	m.told++
	m.now[id] = Entry{c.ID(), size}
	return s.Put(context.Background(), []chunk.Chunk{c})
}

func (m *mover) Piece(c chunk.Chunk) error {
	return m.add(c.ID(), m.to.Make(bytes.Clone(c.Data())), int64(c.Size()), m.stores.Data)
}

func (m *mover) Node(id chunk.ID, o Outline) error {
	o = m.moved(o)
	c, err := o.Node(m.to)
	if err != nil {
		return err
	}
	return m.add(id, c, o.list().size(), m.stores.Meta)
}

func (m *mover) moved(o Outline) Outline {
	o.Entries = slices.Clone(o.Entries)
	for i, e := range o.Entries {
		now, ok := m.now[e.ID]
		if !ok || now.Size != e.Size {
			m.t.Errorf("%v of %d bytes is named before it is told of: %v", e.ID, e.Size, now)
		}
		o.Entries[i] = now
	}
	return o
}

// upset is a store that answers in any order.
type upset struct {
	both
	r *rand.Rand
}

func (u upset) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	ids = slices.Clone(ids)
	u.r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return u.both.Get(ctx, ids, yield)
}

// Content that is carried to a domain of other names is the same there, and what two objects share is carried once.
func TestContentIsMadeAgainInAnotherDomain(t *testing.T) {
	ctx := t.Context()
	here, to := newPlace(), chunk.NewDomain([32]byte{2})
	there := memory.New().Open(to, chunk.Data)
	noise := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(noise)
	m := &mover{t: t, to: to, stores: Stores{there, there}, now: map[chunk.ID]Entry{}}
	params := Params{Content, 4 << 10}
	var told []int
	for _, content := range [][]byte{noise, append(bytes.Clone(noise), "a little more"...), bytes.Repeat([]byte{7}, 1<<20), nil, []byte("small")} {
		w := NewWriter(ctx, here.stores(), testDomain, params, Options{InlineMax: -1})
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		object, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		before := m.told
		if err := NewReader(func([]chunk.ID) chunk.Store { return upset{both{here}, rand.New(rand.NewPCG(1, 2))} }, object).Distinct(ctx, m); err != nil {
			t.Fatal(err)
		}
		told = append(told, m.told-before)
		moved, err := m.moved(object.Outline()).Manifest()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := NewReader(func([]chunk.ID) chunk.Store { return there }, moved).ReadRange(ctx, &got, 0, moved.Size()); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("%d bytes, want %d: %v", got.Len(), len(content), err)
		}
	}
	if told[0] < 500 || told[1] > 20 || told[2] > 60 || told[3] != 0 || told[4] != 1 {
		t.Errorf("told of %v chunks", told)
	}
}

func TestAnOutlineOfNoManifestIsRefused(t *testing.T) {
	d := chunk.NewDomain([32]byte{1})
	one := Entry{d.Name([]byte("x")), 1}
	for _, o := range []Outline{
		{Level: 1},
		{Level: 16, Entries: []Entry{one}},
		{Entries: []Entry{{one.ID, 0}}},
		{Entries: []Entry{{one.ID, chunk.MaxSize + 1}}},
		{Level: 1, Entries: []Entry{{one.ID, 1 << 62}, {one.ID, 1 << 62}}},
		{Entries: slices.Repeat([]Entry{one}, maxFan+1)},
	} {
		if _, err := o.Manifest(); !errors.Is(err, ErrMalformed) {
			t.Errorf("manifest %+v: %v", o.Level, err)
		}
		if _, err := o.Node(d); !errors.Is(err, ErrMalformed) {
			t.Errorf("node %+v: %v", o.Level, err)
		}
	}
}
