package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// twoSegments are the segment of a server and one that writes the same buckets; exchange lets each learn what the other has.
type twoSegments struct {
	t           *testing.T
	here, there *segment.Segment
	client      *admin.Client
}

func newTwoSegments(t *testing.T) *twoSegments {
	t.Helper()
	s := newServer(t)
	there, err := segment.Open(t.Context(), segment.Config{Dir: t.TempDir(), ID: 8, Name: "oslo", Chunks: &memory{chunks: map[chunk.ID]chunk.Chunk{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = there.Close(context.Background()) })
	return &twoSegments{t, s.Segment, there, socketOf(t, s)}
}

func (w *twoSegments) exchange() {
	w.t.Helper()
	for _, way := range [][2]*segment.Segment{{w.here, w.there}, {w.there, w.here}} {
		from, to := way[0], way[1]
		cur, _ := to.Cursor(from.ID())
		items, next, err := from.FeedFrom(w.t.Context(), max(cur.Pos, 1), 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := to.Receive(w.t.Context(), from.ID(), items, segment.Cursor{Inc: from.Origin().Inc, Pos: next}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// conflict makes both write a key without knowledge of each other, and returns it as it is listed.
func (w *twoSegments) conflict(key string) admin.Conflict {
	w.t.Helper()
	b, err := w.there.Bucket("photos")
	if err != nil {
		w.t.Fatal(err)
	}
	must(w.client.Put(w.t.Context(), "photos", admin.PutRequest{Key: key}, strings.NewReader("here")))(w.t)
	must(b.Put(w.t.Context(), key, segment.Attrs{}, segment.Cond{}, strings.NewReader("there")))(w.t)
	w.exchange()
	page := must(w.client.Conflicts(w.t.Context(), "photos", "", ""))(w.t)
	i := slices.IndexFunc(page.Conflicts, func(c admin.Conflict) bool { return c.Key == key })
	if i < 0 || len(page.Conflicts[i].Losers) != 1 {
		w.t.Fatalf("conflicts: %+v", page)
	}
	return page.Conflicts[i]
}

func TestConflictsAreResolved(t *testing.T) {
	w := newTwoSegments(t)
	ctx, c := t.Context(), w.client
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	w.exchange()

	k := w.conflict("k")
	open := []string{k.Current.Version, k.Losers[0].Version}
	_, err := c.Resolve(ctx, "photos", admin.Resolution{Key: "k", Keep: open[0], Open: open[:1]})
	wantCode(t, err, admin.Precondition) // its caller has not looked at the loser
	_, err = c.Resolve(ctx, "photos", admin.Resolution{Key: "k", Keep: "nothing"})
	wantCode(t, err, admin.Invalid)
	_, err = c.Resolve(ctx, "photos", admin.Resolution{Key: "k"})
	wantCode(t, err, admin.Invalid)
	if got := must(c.Resolve(ctx, "photos", admin.Resolution{Key: "k", Keep: open[1], Open: open}))(t); got.ETag != k.Losers[0].ETag || got.Version == open[1] {
		t.Errorf("resolving says %+v, kept %+v", got, k.Losers[0])
	}

	k = w.conflict("k2")
	if got := must(c.Resolve(ctx, "photos", admin.Resolution{Key: "k2", Keep: k.Current.Version}))(t); got.ETag != k.Current.ETag || got.Version == k.Current.Version {
		t.Errorf("resolving says %+v, kept %+v", got, k.Current)
	}
	w.conflict("k3")
	must(c.Put(ctx, "photos", admin.PutRequest{Key: "k3", Resolve: true}, strings.NewReader("both")))(t)
	w.exchange()
	if p := must(c.Conflicts(ctx, "photos", "", ""))(t); len(p.Conflicts) != 0 {
		t.Errorf("left: %+v", p)
	}
	b := must(w.there.Bucket("photos"))(t)
	if n := b.Stats(); n.Conflicts != 0 || n.Versions != 3 {
		t.Errorf("the other segment has %+v", n)
	}
}
