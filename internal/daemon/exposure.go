package daemon

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// exposedEvery is how often the exposed bytes are counted for the metrics.
	exposedEvery = 30 * time.Second
	// exposedShare is the most of the time that counting takes: a large bucket is counted less often.
	exposedShare = 20
)

// exposure is the sum of the exposed bytes as it was last counted; it begins as unknown, which is -1.
type exposure struct{ bytes atomic.Int64 }

// watchExposure counts until the site closes.
func (s *site) watchExposure(ctx context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.watch.Go(func() {
		<-s.closing
		stop()
	})
	s.watch.Go(func() {
		for {
			began := time.Now()
			if n, err := s.admin.ExposedBytes(ctx); err == nil {
				s.exposure.bytes.Store(n)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(exposedEvery, exposedShare*time.Since(began))):
			}
		}
	})
}
