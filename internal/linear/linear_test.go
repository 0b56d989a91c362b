package linear_test

import (
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/linear"
)

func TestWhatIsLinearizable(t *testing.T) {
	put := func(tag, match string) linear.Op { return linear.Op{Kind: linear.Put, Tag: tag, Match: match} }
	mark := func(tag, match string) linear.Op { return linear.Op{Kind: linear.Mark, Tag: tag, Match: match} }
	get, list := linear.Op{Kind: linear.Get}, linear.Op{Kind: linear.List}
	tag := func(s string) linear.Seen { return linear.Seen{Tags: [linear.Keys]string{s}} }
	for _, c := range []struct {
		name string
		run  func(h *linear.History)
		ok   bool
	}{
		{"one after the other", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(1, h.Call(), put("b", "a"), linear.Seen{})
			h.Return(0, h.Call(), put("c", "a"), linear.Seen{Result: linear.Refused})
			h.Return(1, h.Call(), get, tag("b"))
			h.Return(0, h.Call(), list, tag("b"))
		}, true},
		{"two on one version", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			one, other := h.Call(), h.Call()
			h.Return(0, one, put("b", "a"), linear.Seen{})
			h.Return(1, other, put("c", "a"), linear.Seen{})
		}, false},
		{"marks of one content", func(h *linear.History) {
			h.Return(0, h.Call(), mark("m", ""), linear.Seen{Result: linear.Missing})
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(1, h.Call(), mark("m", "b"), linear.Seen{Result: linear.Refused})
			h.Return(1, h.Call(), mark("n", "a"), linear.Seen{})
			h.Return(0, h.Call(), get, tag(linear.Marked("a", "n")))
			h.Return(0, h.Call(), put("b", "a"), linear.Seen{})
			h.Return(0, h.Call(), get, tag("b"))
		}, true},
		{"a mark that was acknowledged and is not there", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(1, h.Call(), mark("m", "a"), linear.Seen{})
			h.Return(0, h.Call(), get, tag("a"))
		}, false},
		{"a mark of what was replaced", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(0, h.Call(), put("b", ""), linear.Seen{})
			h.Return(1, h.Call(), mark("m", "a"), linear.Seen{})
		}, false},
		{"a mark that was done twice", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(1, h.Call(), mark("m", "a"), linear.Seen{})
			h.Return(1, h.Call(), mark("n", "a"), linear.Seen{})
			h.Return(0, h.Call(), get, tag(linear.Marked("a", "m")))
		}, false},
		{"a stale read", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(0, h.Call(), put("b", ""), linear.Seen{})
			h.Return(1, h.Call(), get, tag("a"))
		}, false},
		{"a read beside a write", func(h *linear.History) {
			read := h.Call()
			h.Return(0, h.Call(), put("a", ""), linear.Seen{})
			h.Return(1, read, get, tag(""))
		}, true},
		{"unknown, and done", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{Result: linear.Unknown})
			h.Return(1, h.Call(), get, tag(""))
			h.Return(1, h.Call(), get, tag("a"))
		}, true},
		{"unknown, and not done", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{Result: linear.Unknown})
			h.Return(1, h.Call(), get, tag(""))
		}, true},
		{"unknown, and done when it was over", func(h *linear.History) {
			h.Return(0, h.Call(), put("a", ""), linear.Seen{Result: linear.Unknown})
			h.Settle()
			h.Return(1, h.Call(), get, tag(""))
			h.Return(1, h.Call(), get, tag("a"))
		}, false},
		{"refused for what it did itself", func(h *linear.History) {
			h.Return(0, h.Call(), linear.Op{Kind: linear.Put, Tag: "a", Absent: true}, linear.Seen{Result: linear.Refused})
			h.Return(1, h.Call(), get, tag("a"))
		}, false},
	} {
		h := new(linear.History)
		c.run(h)
		if err := h.Check(time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
