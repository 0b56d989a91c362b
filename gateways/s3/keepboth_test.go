package s3

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/segment"
)

// exchange lets both segments learn what the other has.
func exchange(t testing.TB, a, b *segment.Segment) {
	t.Helper()
	for _, way := range [][2]*segment.Segment{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		cur, _ := to.Cursor(from.ID())
		if cur.Pos == from.LogEnd() {
			continue
		}
		items, next, err := from.FeedFrom(context.Background(), max(cur.Pos, 1), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Receive(context.Background(), from.ID(), items, segment.Cursor{Inc: from.Origin().Inc, Pos: next}); err != nil {
			t.Fatal(err)
		}
	}
}

// lose makes another segment, a new one, write keys that are written here too, by a clock that is ahead, and returns the names of what lost.
func (s *site) lose(bucket string, id segment.ID, keys ...string) (losers []string) {
	s.t.Helper()
	there, err := segment.Open(context.Background(), segment.Config{
		Dir: s.t.TempDir(), ID: id, Name: id.String(), Secret: [32]byte{1}, Chunks: stage.New(memory.New()),
		Clock: func() time.Time { return time.Now().Add(time.Minute) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer there.Close(context.Background())
	exchange(s.t, s.Segment, there)
	b, err := there.Bucket(bucket)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		s.put("/"+bucket+"/"+key, "here "+key)
		if _, err := b.Put(context.Background(), key, segment.Attrs{}, segment.Cond{}, strings.NewReader("there")); err != nil {
			s.t.Fatal(err)
		}
	}
	exchange(s.t, s.Segment, there)
	here, err := s.Bucket(bucket)
	if err != nil {
		s.t.Fatal(err)
	}
	conflicts, err := here.Conflicts(context.Background(), "", len(keys))
	if err != nil || len(conflicts) != len(keys) {
		s.t.Fatal(conflicts, err)
	}
	for _, c := range conflicts {
		losers = append(losers, segment.LoserName(c.Key, c.Losers[0].Dot))
	}
	return losers
}

func TestLosersAreObjectsWhereBothAreKept(t *testing.T) {
	s := newSite(t)
	b := s.bucket("docs", segment.Unversioned)
	if err := b.Configure(t.Context(), func(set *segment.Settings) error { set.Policy = segment.KeepBoth; return nil }); err != nil {
		t.Fatal(err)
	}
	l := s.lose("docs", 8, "a.txt", "b.txt", "d/c.txt")
	wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2", ""), "a.txt", l[0], "b.txt", l[1], "d/c.txt", l[2])
	wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2&max-keys=1&start-after=a.txt", ""), l[0])
	if p := s.want(200, "", "GET", "/docs?list-type=2&delimiter=/", "").texts(t, "CommonPrefixes>Prefix"); len(p) != 1 || p[0] != "d/" {
		t.Errorf("prefixes %q", p)
	}
	a := s.get("/docs/"+l[0], "here a.txt")
	tag := a.Header.Get("Etag")
	if !strings.Contains(tag, md5Hex("here a.txt")) {
		t.Errorf("its ETag is %s", tag)
	}
	if a := s.want(206, "", "GET", "/docs/"+l[0], "", "Range", "bytes=5-"); string(a.body) != "a.txt" {
		t.Errorf("a range of it is %q", a.body)
	}
	s.want(304, "", "GET", "/docs/"+l[0], "", "If-None-Match", tag)
	s.want(200, "", "PUT", "/docs/copy", "", "X-Amz-Copy-Source", "/docs/"+l[0])
	s.get("/docs/copy", "here a.txt")

	s.want(412, "PreconditionFailed", "PUT", "/docs/"+l[0], "x", "If-None-Match", "*")
	s.put("/docs/"+l[0], "edited", "If-Match", tag)
	s.get("/docs/"+l[0], "edited")
	s.want(204, "", "DELETE", "/docs/"+l[1], "")
	s.want(404, "NoSuchKey", "GET", "/docs/"+l[1], "")
	s.want(404, "NoSuchKey", "HEAD", "/docs/"+l[1], "")
	s.want(200, "", "POST", "/docs?delete", "<Delete><Object><Key>"+l[2]+"</Key></Object></Delete>")
	wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2", ""), "a.txt", l[0], "b.txt", "copy", "d/c.txt")
	if n := b.Stats().Conflicts; n != 0 {
		t.Errorf("%d conflicts are left", n)
	}

	// All that is listed deleted, nothing is left: the bucket can go.
	l = s.lose("docs", 9, "last")
	for _, key := range []string{"a.txt", "b.txt", "copy", "d/c.txt", "last", l[0]} {
		s.want(204, "", "DELETE", "/docs/"+key, "")
	}
	for _, key := range listed(t, s.want(200, "", "GET", "/docs?list-type=2", "")) {
		s.want(204, "", "DELETE", "/docs/"+key, "")
	}
	s.want(204, "", "DELETE", "/docs", "")
}

// The longest keys have losers whose names are longer than keys: these are listed, and so they are read, copied and deleted, but not written.
func TestTheLongestNamesOfLosersAreRead(t *testing.T) {
	s := newSite(t)
	b := s.bucket("docs", segment.Unversioned)
	if err := b.Configure(t.Context(), func(set *segment.Settings) error { set.Policy = segment.KeepBoth; return nil }); err != nil {
		t.Fatal(err)
	}
	keys := []string{strings.Repeat("k", maxKey), strings.Repeat("é", maxKey/2-4) + "/x.jpeg"}
	l := s.lose("docs", 8, keys...)
	for i, name := range l {
		if len(name) <= maxKey || len(name) > segment.MaxLoserName {
			t.Fatalf("%q has %d bytes", name, len(name))
		}
		wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2&max-keys=1&start-after="+keys[i], ""), name)
		s.get("/docs/"+name, "here "+keys[i])
		s.want(200, "", "HEAD", "/docs/"+name, "")
		s.want(200, "", "PUT", "/docs/copy", "", "X-Amz-Copy-Source", "/docs/"+name)
		s.get("/docs/copy", "here "+keys[i])
		s.want(400, "InvalidArgument", "PUT", "/docs/"+name, "x")
		s.get("/docs/"+name, "here "+keys[i])
	}
	wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2", ""), "copy", keys[0], l[0], keys[1], l[1])
	s.want(204, "", "DELETE", "/docs/"+l[0], "")
	s.want(200, "", "POST", "/docs?delete", "<Delete><Object><Key>"+l[1]+"</Key></Object></Delete>")
	wantKeys(t, s.want(200, "", "GET", "/docs?list-type=2", ""), "copy", keys[0], keys[1])
	s.want(400, "KeyTooLongError", "GET", "/docs/"+strings.Repeat("k", maxKey+1)+"~0000000000000008-1", "")
}
