package s3

import (
	"context"
	"time"
)

// Bounds on what requests hold at once, so that memory does not grow with the number of clients. Waiting is for a moment: a client that is told
// to slow down asks again.
const (
	// maxBodies is how many bodies are being stored at once.
	maxBodies = 512
	// maxDocuments is how many large documents, read or written, there are at once.
	maxDocuments = 64
	// maxBlocks is how many blocks are lent to large bodies; who gets none goes without a goroutine of its own for MD5.
	maxBlocks = 192
	// gateWait is how long a request waits for one of the others to end.
	gateWait = 10 * time.Second
)

// gate lets so many in at once as it has room. It is safe for concurrent use.
type gate chan struct{}

// enter waits for room, for a moment. Whoever enters leaves.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(gateWait)
	defer patience.Stop()
	select {
	case g <- struct{}{}:
		return nil
	case <-patience.C:
		return (&fault{code: errSlowDown}).withHeader("Retry-After", retryAfter)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryEnter is false when there is no room now.
func (g gate) tryEnter(n int) bool {
	for i := range n {
		select {
		case g <- struct{}{}:
		default:
			g.leave(i)
			return false
		}
	}
	return true
}

func (g gate) leave(n int) {
	for range n {
		<-g
	}
}
