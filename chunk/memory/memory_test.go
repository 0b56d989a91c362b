package memory_test

import (
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/memory"
)

func TestContract(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		d := memory.New()
		return chunktest.Harness{Opener: d, Damage: d.Damage}
	})
}

func BenchmarkStore(b *testing.B) {
	chunktest.Bench(b, func(testing.TB) chunk.Opener { return memory.New() })
}
