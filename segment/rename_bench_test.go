package segment

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// fillBelow makes n keys below a directory, some thousand in a record, as writes of clients leave them.
func fillBelow(t testing.TB, b *Bucket, dir string, n int) {
	t.Helper()
	const each = 4096
	first, err := b.Put(t.Context(), dir+"first", Attrs{ETag: "0123456789abcdef0123456789abcdef", Meta: map[string]string{"content-type": "text/plain"}}, Cond{}, strings.NewReader("twelve bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for from := 1; from < n; from += each {
		r := &record{}
		for i := from; i < min(n, from+each); i++ {
			key := fmt.Sprintf("%s%03d/file-%08d", dir, i%500, i)
			r.effects = append(r.effects, effect{key: key, hold: &Version{Key: key, Null: true, Content: first.Content, Attrs: first.Attrs}})
		}
		if err := b.s.submit(plan{b: b, r: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkRename moves a directory of 100,000 keys, which are in the trees. It tells what of that time others wait for at the most.
func BenchmarkRename(b *testing.B) {
	bucket := benchSegment(b)
	const keys = 100_000
	fillBelow(b, bucket, "d/", keys)
	names := []string{"d/", "e/"}
	b.ReportAllocs()
	var longest, took time.Duration
	for i := range b.N {
		b.StopTimer()
		if _, err := bucket.Fold(b.Context()); err != nil {
			b.Fatal(err)
		}
		stop, waits := make(chan struct{}), make(chan time.Duration)
		go func() { waits <- longestPut(b, bucket, stop) }()
		b.StartTimer()
		began := time.Now()
		r, err := bucket.RenamePrefix(b.Context(), names[i%2], names[(i+1)%2], RenameOptions{})
		took += time.Since(began)
		if err != nil || r.Keys != keys {
			b.Fatal(r, err)
		}
		b.StopTimer()
		close(stop)
		longest = max(longest, <-waits)
		b.ReportMetric(float64(bucket.renamed)/keys, "overlay-B/key")
		b.StartTimer()
	}
	b.ReportMetric(float64(longest.Milliseconds()), "longest-put-ms")
	b.ReportMetric(took.Seconds()*1e6/float64(b.N)/keys, "µs/key")
}

// longestPut writes to another key of the bucket until it is told to stop.
func longestPut(b *testing.B, bucket *Bucket, stop chan struct{}) (longest time.Duration) {
	for {
		select {
		case <-stop:
			return longest
		default:
		}
		began := time.Now()
		if _, err := bucket.Put(b.Context(), "other", Attrs{}, Cond{}, strings.NewReader("x")); err != nil {
			b.Error(err)
		}
		longest = max(longest, time.Since(began))
	}
}
