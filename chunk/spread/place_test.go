package spread

import (
	"slices"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

func TestPayloadIsSpreadByFreeSpace(t *testing.T) {
	devices := []candidate{{pack.ID{1: 9}, 10 << 30}, {pack.ID{7}, 30 << 30}, {pack.ID{8, 1}, 60 << 30}, {pack.ID{4, 4}, 0}}
	var first [4]int
	const batches = 20_000
	for i := range batches {
		ranked := order(devices, chunk.Data, domain.Name([]byte{byte(i), byte(i >> 8)}))
		if ranked[3] != 3 {
			t.Fatal("a full device is not the last")
		}
		first[ranked[0]]++
	}
	for i, percent := range []int{10, 30, 60, 0} {
		if got := float64(first[i]) * 100 / batches; got < float64(percent)-2 || got > float64(percent)+2 {
			t.Errorf("device %d is the first of %.1f %% of the batches, want %d", i, got, percent)
		}
	}
}

func TestTheSameChunkGoesToTheSameDevice(t *testing.T) {
	devices := []candidate{{pack.ID{1}, 100 << 30}, {pack.ID{2}, 100 << 30}, {pack.ID{3}, 100 << 30}}
	moved := 0
	for i := range 1000 {
		id := domain.Name([]byte{byte(i), byte(i >> 8)})
		was := order(devices, chunk.Data, id)
		if again := order(devices, chunk.Data, id); !slices.Equal(again, was) {
			t.Fatalf("ranked %v, then %v", was, again)
		}
		less := slices.Clone(devices)
		less[1].room -= 1 << 30 // meanwhile written
		if order(less, chunk.Data, id)[0] != was[0] {
			moved++
		}
	}
	if moved > 20 {
		t.Errorf("%d of 1000 chunks would go elsewhere since a hundredth of a device was written", moved)
	}
}

func TestMetadataGoesToTheFirstDeviceWithRoom(t *testing.T) {
	devices := []candidate{{pack.ID{1}, 0}, {pack.ID{2}, 1}, {pack.ID{3}, 100 << 30}}
	for i := range 100 {
		if got := order(devices, chunk.Meta, domain.Name([]byte{byte(i)})); !slices.Equal(got, []int{1, 2, 0}) {
			t.Fatalf("ranked %v", got)
		}
	}
}
