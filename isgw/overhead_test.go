package isgw_test

import (
	"crypto/md5"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/segment"
)

// relay passes the datagrams of one client on to a server and counts them.
type relay struct {
	front, back *net.UDPConn
	client      atomic.Pointer[net.UDPAddr]
	packets     atomic.Int64
	bytes       atomic.Int64
	work        sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	r := new(relay)
	if r.front, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if r.back, err = net.DialUDP("udp", nil, addr); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*net.UDPConn{r.front, r.back} {
		_ = c.SetReadBuffer(4 << 20)
	}
	r.work.Go(r.forth)
	r.work.Go(r.fro)
	t.Cleanup(func() {
		_, _ = r.front.Close(), r.back.Close()
		r.work.Wait()
	})
	return r
}

func (r *relay) forth() {
	b := make([]byte, 64<<10)
	for {
		n, from, err := r.front.ReadFromUDP(b)
		if err != nil {
			return
		}
		r.client.Store(from)
		r.count(n)
		_, _ = r.back.Write(b[:n])
	}
}

func (r *relay) fro() {
	b := make([]byte, 64<<10)
	for {
		n, err := r.back.Read(b)
		if err != nil {
			return
		}
		r.count(n)
		if to := r.client.Load(); to != nil {
			_, _ = r.front.WriteToUDP(b[:n], to)
		}
	}
}

func (r *relay) count(n int) {
	r.packets.Add(1)
	r.bytes.Add(int64(n))
}

func (r *relay) reset() { r.bytes.Store(0); r.packets.Store(0) }

// What a link carries for an object whose metadata is shipped: all datagrams both ways, acknowledgements too.
func TestMetadataOverhead(t *testing.T) {
	objects := 10_000
	if raceDetector {
		objects = 2_000
	}
	w := newWorld(t, nil, "a", "b")
	a, b := w.at("a"), w.at("b")
	a.create("bkt", segment.Settings{})
	r := newRelay(t, a.links.Addresses()[0])
	connect := func() {
		if err := b.links.Add(isgw.Peer{Segment: a.id.Segment, Name: "a", Addresses: []string{r.front.LocalAddr().String()}}); err != nil {
			t.Fatal(err)
		}
		w.up("b", "a")
	}
	measure := func(how string, objects, limit float64) {
		per := float64(r.bytes.Load()) / objects
		t.Logf("%s: %.0f bytes of datagrams per object, %.0f with headers of IP and UDP, %d packets", how, per, per+28*float64(r.packets.Load())/objects, r.packets.Load())
		if per > limit {
			t.Errorf("%s: %.0f bytes per object, want at most %.0f", how, per, limit)
		}
	}

	fill(w, a, "live", objects/2) // half of them before the link, to sync
	fill(w, a, "more", objects/2)
	connect()
	last := "more" + name60(objects/2-1)
	b.lists("bkt", last, 100)
	measure("sync", float64(objects), 350)

	r.reset()
	fill(w, a, "feed", objects)
	b.lists("bkt", "feed"+name60(objects-1), 100)
	w.eventually("acknowledged", func() error {
		if st := a.link("b"); st.Out != (isgw.Lag{Known: true}) {
			return fmt.Errorf("%+v", st.Out)
		}
		return nil
	})
	measure("feed", float64(objects), 350)
	r.reset()
	for i := range 100 { // the worst case: each is seen at b before the next is written
		a.put("bkt", "lone"+name60(i), "x")
		b.lists("bkt", "lone"+name60(i), 1)
	}
	measure("one by one", 100, 500)
	if got := b.link("a").Bytes["payload"].Received; got != 0 {
		t.Errorf("%d bytes of payload", got)
	}
	w.converge("bkt", "a", "b")
}

// name60 makes keys of 60 bytes with a prefix of four, that share as much as file names do.
func name60(i int) string {
	return fmt.Sprintf("/dir-%04d/%s-%09d.txt", i%113, strings.Repeat("name", 8), i)[:56]
}

// fill writes objects of 100 bytes as an S3 gateway does, with 16 clients.
func fill(w *world, s *site, prefix string, n int) {
	w.t.Helper()
	bkt := s.bucket("bkt")
	next := atomic.Int64{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				body := text(100)
				attrs := segment.Attrs{ETag: fmt.Sprintf("%x", md5.Sum([]byte(body))), Meta: map[string]string{"content-type": "text/plain"}}
				if _, err := bkt.Put(w.t.Context(), prefix+name60(i), attrs, segment.Cond{}, strings.NewReader(body)); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
