package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// forward is what a link does with a request: it goes to the home, which reads what it lacks, and its answer comes back, or is lost. What the
// home did is there before the answer.
func (s *site) forward(ctx context.Context, home ID, r *Request) (*Answer, error) {
	h := s.w.sites[home-1]
	if !s.peers[h.Name()] || !h.peers[s.Name()] {
		return nil, fmt.Errorf("the link is cut: %w", ErrNotAsked)
	}
	a, err := s.w.exchange(ctx, s, h, r)
	if s.w.lossy {
		s.w.lossy = false
		return nil, errors.New("the answer is lost")
	}
	if err == nil && !s.w.slow {
		err = s.w.pull(s, h)
	}
	return a, err
}

// exchange brings a request to the home and its answer back, encoded as on a link.
func (w *world) exchange(ctx context.Context, s, h *site, r *Request) (*Answer, error) {
	sent, err := ParseRequest(r.Append(nil))
	if err != nil {
		return nil, err
	}
	a := h.ServeRequest(ctx, sent, func(_ chunk.Domain, path []chunk.ID) chunk.Store { return requested{s, h.ID(), r.Name, path} })
	return ParseAnswer(a.Append(nil))
}

// requested reads a request's payload from who asks.
type requested struct {
	from *site
	home ID
	name RequestName
	path []chunk.ID
}

func (r requested) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	return r.from.ServeRequested(ctx, r.home, r.name, r.path, ids, yield)
}

func (requested) Put(context.Context, []chunk.Chunk) error { return errors.ErrUnsupported }

func (requested) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) {
	return nil, errors.ErrUnsupported
}

// newHome is a world whose bucket "box" is a's to write.
func newHome(t testing.TB, set Settings, names ...string) (*world, *site, *site) {
	t.Helper()
	w := newWorld(t, names...)
	a := w.site("a")
	if set.Policy = Home; set.EagerBytes == 0 {
		set.EagerBytes = DefaultEagerBytes
	}
	if _, err := a.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, a, w.site("b")
}

func (s *site) box() *Bucket {
	s.w.t.Helper()
	b, err := s.Bucket("box")
	if err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

func TestAnAnswerWaitsForWhatTheHomeHadSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := newHome(t, Settings{}, "a", "b")
		b.cfg.ForwardPatience = time.Minute
		b.restart()
		a.put("box", "k", "v1")
		w.slow = true
		for _, c := range []struct {
			name string
			cond Cond
			want error
		}{{"done", Cond{Match: []string{"*"}}, nil}, {"refused", Cond{Absent: true}, ErrPrecondition}} {
			a.put("box", "j", c.name)
			done := make(chan error, 1)
			go func() {
				_, err := b.box().Put(w.ctx, "k", Attrs{ETag: c.name}, c.cond, strings.NewReader(c.name))
				done <- err
			}()
			synctest.Wait()
			select {
			case err := <-done:
				t.Errorf("%s: answered before it can be read: %v", c.name, err)
				continue
			default:
			}
			if err := w.pull(b, a); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			if v, err := b.box().Stat(w.ctx, "k", VersionRef{}); err != nil || v.Attrs.ETag != "done" {
				t.Errorf("%s: b reads %+v, %v", c.name, v, err)
			}
		}
		if _, err := b.box().Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("late")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("what does not come here is answered: %v", err)
		}
		w.slow = false
	})
}

// Each kind of write gives at another segment what it gives at home, and the same answer when it is asked for twice.
func TestARepeatedRequestGetsTheFirstAnswer(t *testing.T) {
	w, a, b := newHome(t, Settings{Versioning: Versioned}, "a", "b")
	box := b.box()
	first := a.put("box", "k", "v1")
	w.settle()
	lose := func() { w.lossy = true }
	lose()
	v, err := box.Put(w.ctx, "k", Attrs{ETag: "2"}, Cond{Version: &first.VersionID}, strings.NewReader("v2"))
	if err != nil || v.Dot.Segment != a.ID() || v.Null || v.Attrs.ETag != "2" {
		t.Fatalf("put: %+v, %v", v, err)
	}
	if s, err := box.Stat(w.ctx, "k", VersionRef{}); err != nil || s.VersionID != v.VersionID {
		t.Errorf("after put: %+v, %v", s, err)
	}
	lose()
	d, err := box.Delete(w.ctx, "k", Cond{Match: []string{"2"}})
	if err != nil || !d.Marker || d.Version.Dot.Segment != a.ID() || d.Null {
		t.Errorf("delete: %+v, %v", d, err)
	}
	lose()
	r, err := box.Remove(w.ctx, "k", VersionRef{ID: d.Version}, Cond{})
	if err != nil || !r.Marker || r.Version != d.Version {
		t.Errorf("remove: %+v, %v", r, err)
	}
	lose()
	if r, err = box.Remove(w.ctx, "k", VersionRef{ID: v.VersionID}, Cond{Match: []string{"2"}}); err != nil || r.Marker || r.Version != v.VersionID {
		t.Errorf("remove: %+v, %v", r, err)
	}
	src, err := box.Open(w.ctx, "k", VersionRef{})
	if err != nil || src.v.VersionID != first.VersionID {
		t.Fatalf("what is left: %+v, %v", src, err)
	}
	lose()
	if v, err = box.Copy(w.ctx, src, "copy", Attrs{ETag: "3"}, Cond{Absent: true}); err != nil || v.Key != "copy" {
		t.Errorf("copy: %+v, %v", v, err)
	}
	lose()
	if kept, err := box.Resolve(w.ctx, "copy", VersionRef{ID: v.VersionID}, Cond{}); err != nil || kept.VersionID != v.VersionID {
		t.Errorf("resolve: %+v, %v", kept, err)
	}
	w.settle()
	w.verify()
}

// The upload's own name is the request's: who completes it again, because the first answer never came, is told that it is done.
func TestACompletionThatIsTriedAgainIsDoneOnce(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b")
	box := b.box()
	u, err := box.CreateUpload(w.ctx, "big", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	part, err := box.PartWriter(w.ctx, "big", u.ID, 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.ReadFrom(bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if _, err := part.CommitPart(w.ctx, Attrs{ETag: "1"}); err != nil {
		t.Fatal(err)
	}
	complete := func() error {
		_, err := box.CompleteUpload(w.ctx, "big", u.ID, []PartRef{{1, "1"}}, Completion{ETag: "all"}, Cond{Absent: true})
		return err
	}
	w.lossy = true
	forward := b.cfg.Forward
	b.Segment.cfg.Forward = func(ctx context.Context, home ID, r *Request) (*Answer, error) {
		a, err := forward(ctx, home, r)
		b.peers["a"] = false // the link is cut with the first answer
		return a, err
	}
	if err := complete(); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrPrecondition) {
		t.Errorf("a completion whose answer is lost: %v", err)
	}
	b.Segment.cfg.Forward = forward
	b.peers["a"] = true
	if err := complete(); err != nil {
		t.Errorf("the completion tried again: %v", err)
	}
	if err := complete(); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("a completion of what is completed: %v", err)
	}
	if got, err := a.read(a.box(), "big", VersionRef{}); err != nil || got != string(body) {
		t.Errorf("the home reads %d bytes, %v", len(got), err)
	}
	w.settle()
	w.verify()
}

// Payload is at the home before anything names it there, and what the home has is not sent.
func TestTheHomeTakesOnlyThePayloadThatItLacks(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b")
	body := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(body)
	var sent [2]int
	for i := range sent {
		body[len(body)/2] ^= byte(i) // one chunk is another
		forward := b.cfg.Forward
		b.Segment.cfg.Forward = func(ctx context.Context, home ID, r *Request) (*Answer, error) {
			before := len(a.cfg.Chunks.(mapStore).chunks)
			answer, err := forward(ctx, home, r)
			sent[i] = len(a.cfg.Chunks.(mapStore).chunks) - before
			return answer, err
		}
		if _, err := b.box().Put(w.ctx, "k", Attrs{}, Cond{}, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		b.Segment.cfg.Forward = forward
		if got, err := a.read(a.box(), "k", VersionRef{}); err != nil || got != string(body) {
			t.Errorf("the home reads %d bytes, %v", len(got), err)
		}
	}
	if sent[0] < 20 || sent[1] < 1 || sent[1] > 8 {
		t.Errorf("%v chunks came", sent)
	}
}

// A home reads of a request what that reaches, while it is asked, and no other segment does.
func TestPayloadOfARequestIsTheHomesAlone(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b", "c")
	secret := b.put("box", "secret", strings.Repeat("secret", 20000))
	w.settle()
	body := strings.Repeat("public", 20000)
	get := func(home ID, name RequestName, path, ids []chunk.ID) error {
		return b.ServeRequested(w.ctx, home, name, path, ids, func(chunk.Chunk) error { return nil })
	}
	idsOf := func(v *Version) (ids []chunk.ID) {
		for _, e := range v.Content.Entries() {
			ids = append(ids, e.ID)
		}
		return ids
	}
	var asked *Request
	forward := b.cfg.Forward
	b.Segment.cfg.Forward = func(ctx context.Context, home ID, r *Request) (*Answer, error) {
		asked = r
		if err := get(a.ID(), r.Name, nil, idsOf(r.put)); err != nil {
			t.Errorf("its own: %v", err)
		}
		for name, err := range map[string]error{
			"another's": get(a.ID(), r.Name, nil, idsOf(&secret)), "below another's": get(a.ID(), r.Name, idsOf(&secret)[:1], idsOf(r.put)),
			"to another segment": get(w.site("c").ID(), r.Name, nil, idsOf(r.put)), "by another name": get(a.ID(), RequestName{9}, nil, idsOf(r.put)),
		} {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return forward(ctx, home, r)
	}
	if _, err := b.box().Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if err := get(a.ID(), asked.Name, nil, idsOf(asked.put)); !errors.Is(err, ErrRefused) {
		t.Errorf("when it is done: %v", err)
	}
}

// What a segment may not ask for leaves nothing behind.
func TestBadRequestsAreRefused(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b")
	none := func(chunk.Domain, []chunk.ID) chunk.Store { return newMapStore() }
	v := b.put("box", "k", strings.Repeat("there", 20000))
	w.settle()
	lost := v
	lost.Content = sampleVersion(t).Content
	before := a.box().Seen()
	for _, c := range []struct {
		name string
		r    Request
		want error
	}{
		{"of no bucket", Request{Bucket: BucketID{7}, verb: verbDelete, key: "k"}, ErrNoSuchBucket},
		{"of the federation's", Request{Bucket: FederationBucket, verb: verbDelete, key: "k"}, ErrNoSuchBucket},
		{"of the segment's own", Request{Bucket: localBucket, verb: verbDelete, key: "k"}, ErrNoSuchBucket},
		{"of a key that no client writes", Request{verb: verbDelete, key: strings.Repeat("k", MaxKey+1)}, ErrInvalidArgument},
		{"of a document", Request{verb: verbPut, key: "k", put: &Version{Data: []byte("x")}}, ErrRefused},
		{"of a marker", Request{verb: verbPut, key: "k", put: &Version{Marker: true}}, ErrRefused},
		{"of content that nobody has", Request{verb: verbPut, key: "k", put: &lost}, ErrUnavailable},
		{"on a condition that does not hold", Request{verb: verbPut, key: "k", put: &v, cond: Cond{Absent: true}}, ErrPrecondition},
	} {
		if c.r.Name = (RequestName{1}); c.r.Bucket == (BucketID{}) {
			c.r.Bucket = a.box().ID()
		}
		answer := a.ServeRequest(w.ctx, &c.r, none)
		if err := answer.refused(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if !a.box().Seen().Equal(before) || len(a.forwards.serving) > 0 {
			t.Errorf("%s: it left something behind", c.name)
		}
	}
}

// What is acknowledged is forgotten with the next request, and what nobody acknowledged in an hour; and no more is remembered than that.
func TestRequestsAreForgotten(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b")
	put := func(s *site, key string) {
		t.Helper()
		if _, err := s.box().Put(w.ctx, key, Attrs{}, Cond{}, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		put(b, fmt.Sprint(i))
		if n := len(a.box().doneNow()); n > 1 {
			t.Fatalf("%d requests are remembered after %d, all acknowledged", n, i+1)
		}
	}
	b.restart() // and does not know what it has not acknowledged
	put(b, "k")
	if n := len(a.box().doneNow()); n != 2 {
		t.Errorf("%d requests are remembered", n)
	}
	w.tick(doneAge + time.Second)
	put(b, "k")
	if n := len(a.box().doneNow()); n != 1 {
		t.Errorf("%d requests are remembered an hour later", n)
	}
	for n := len(a.box().doneNow()); n < maxDone; n++ { // one that never acknowledges
		r := &Request{Bucket: a.box().ID(), Name: RequestName{byte(n), byte(n >> 8), 1}, verb: verbPut, key: "k", put: &Version{Key: "k"}}
		if err := a.ServeRequest(w.ctx, r, nil).refused(); err != nil {
			t.Fatal(err)
		}
	}
	r := &Request{Bucket: a.box().ID(), Name: RequestName{2, 2, 2}, verb: verbDelete, key: "k"}
	if err := a.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one more than are remembered: %v", err)
	}
	w.settle()
	w.verify()
	if !slices.Equal(a.box().doneNow(), b.box().doneNow()) {
		t.Error("b remembers others")
	}
}

// A new home knows what the old one did, by the feed and by a sync alike.
func TestARepeatedRequestFindsItsAnswerAtTheNewHome(t *testing.T) {
	for _, how := range []string{"feed", "sync"} {
		w, a, b := newHome(t, Settings{}, "a", "b", "c")
		c := w.site("c")
		r := &Request{Bucket: a.box().ID(), Name: RequestName{1}, verb: verbPut, key: "k", put: &Version{Key: "k"}, cond: Cond{Absent: true}}
		first := a.ServeRequest(w.ctx, r, nil)
		if err := first.refused(); err != nil {
			t.Fatal(err)
		}
		if err := a.box().MoveHome(w.ctx, b.ID()); err != nil {
			t.Fatal(err)
		}
		if err := a.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, ErrNotHome) {
			t.Errorf("the old home: %v", err)
		}
		bring := w.pull
		if how == "sync" {
			bring = w.syncAll
		}
		if err := bring(b, a); err != nil {
			t.Fatal(err)
		}
		b.restart()
		again := b.ServeRequest(w.ctx, r, nil)
		if err := again.refused(); err != nil || again.version != first.version {
			t.Errorf("by %s: the new home answers %+v, %v; the old one %+v", how, again, err, first)
		}
		w.settle()
		w.verify()
		if got, _ := c.box().doneNow().find(r.Name); got.version != first.version {
			t.Errorf("c remembers %+v", got)
		}
	}
}
