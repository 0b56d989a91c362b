package isgw_test

import (
	"testing"

	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/segment"
)

// onBoth runs a story on the network in memory and over QUIC.
func onBoth(t *testing.T, story func(t *testing.T, net *memnet.Network)) {
	t.Run("memory", func(t *testing.T) { story(t, inMemory()) })
	t.Run("quic", func(t *testing.T) { story(t, nil) })
}

func TestWritesAppearAtTheOtherSite(t *testing.T) {
	onBoth(t, func(t *testing.T, net *memnet.Network) {
		w := newWorld(t, net, "a", "b")
		w.at("a").create("early", segment.DefaultSettings())
		w.at("a").put("early", "k", "before the link")
		w.link("a", "b")
		w.up("a", "b")
		w.at("b").lists("early", "k", 15)
		w.at("a").create("late", segment.DefaultSettings())
		w.at("a").put("late", "k", "after the link")
		w.at("b").lists("late", "k", 14)
		w.at("b").put("late", "back", "from b")
		w.at("a").lists("late", "back", 6)
		w.at("a").reads("late", "back", "from b")
		w.at("b").reads("late", "k", "after the link")
		w.converge("early", "a", "b")
		w.converge("late", "a", "b")
	})
}
