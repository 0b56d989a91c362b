package segment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/journal"
)

// replay applies the log at a start. Most of what a record costs then is the look at its key's head, which may have to come from the disk. So
// records are gathered, and their keys' heads are looked up in key order and side by side, before the records are applied one after the other.
type replay struct {
	s      *Segment
	pos    uint64 // of the state that the start is from
	steps  []step
	writes int
	bytes  int

	done tally
}

// tally is how far a long start came, for the log: people wait for it.
type tally struct {
	records, bytes int
	said           time.Time // when it was said last; the start's beginning at first
}

// tallyEvery is when a start says again how far it came.
const tallyEvery = 2 * time.Second

// step is a log record to be applied.
type step struct {
	pos   uint64
	entry *entry
	size  int
}

const (
	replayWrites = 16 << 10 // gathered at the most,
	replayBytes  = 16 << 20 // and their size in the log
	replayLooks  = 8        // side by side
)

// take gathers a log record. Those before the state's position were applied to all but the buckets' trees, and their payload was in packs
// before the state was written.
func (r *replay) take(ctx context.Context, rec journal.Record) error {
	e, err := parseEntry(bytes.Clone(rec.Data))
	if err != nil {
		return fmt.Errorf("log position %d: %w", rec.Pos, err)
	}
	if rec.Pos <= r.pos {
		e.cursors, e.life = nil, 0
		for i := range e.writes {
			e.writes[i].payload = nil
		}
	}
	r.steps = append(r.steps, step{rec.Pos, e, len(rec.Data)})
	r.writes += len(e.writes)
	r.bytes += len(rec.Data)
	if r.writes < replayWrites && r.bytes < replayBytes {
		return nil
	}
	return r.flush(ctx)
}

// flush applies what was gathered.
func (r *replay) flush(ctx context.Context) error {
	r.look(ctx)
	for _, st := range r.steps {
		if err := r.s.applyEntry(ctx, st.pos, st.entry); err != nil {
			return fmt.Errorf("log position %d: %w", st.pos, err)
		}
		r.s.keeper.grown(st.entry, int64(st.size), st.pos)
		if r.s.cfg.Chunks.Held() > r.s.cfg.StageBytes {
			if err := r.s.cfg.Chunks.Settle(ctx); err != nil {
				return err
			}
		}
	}
	r.done.add(r.s.cfg.Logger, len(r.steps), r.bytes)
	clear(r.steps)
	r.steps, r.writes, r.bytes = r.steps[:0], 0, 0
	return nil
}

func (t *tally) add(log *slog.Logger, records, bytes int) {
	t.records, t.bytes = t.records+records, t.bytes+bytes
	if time.Since(t.said) < tallyEvery {
		return
	}
	t.said = time.Now()
	log.Info("starting: going through the log", "records", t.records, "MiB", t.bytes>>20)
}

// look gives writes the heads of their keys for hints. A hint that is not right when the write is applied, because its key or its bucket's base
// changed since, does not count; what cannot be read is found out then, too.
func (r *replay) look(ctx context.Context) {
	var writes []*write
	for _, st := range r.steps {
		for i := range st.entry.writes {
			if w := &st.entry.writes[i]; r.s.wants(st.pos, w) {
				writes = append(writes, w)
			}
		}
	}
	slices.SortFunc(writes, func(a, b *write) int {
		return cmp.Or(bytes.Compare(a.bucket[:], b.bucket[:]), cmp.Compare(a.record.effects[0].key, b.record.effects[0].key))
	})
	var looks errgroup.Group
	for part := range slices.Chunk(writes, len(writes)/replayLooks+1) {
		looks.Go(func() error {
			for _, w := range part {
				b, key := r.s.bucket(w.bucket), w.record.effects[0].key
				if h, err := b.base.here.headOf(ctx, key); err == nil {
					w.hint = &hint{key: key, head: h, base: b.base.at}
				}
			}
			return nil
		})
	}
	_ = looks.Wait()
}

// wants says whether a write will be applied to a key of a bucket that is known, as far as can be told now.
func (s *Segment) wants(pos uint64, w *write) bool {
	b := s.bucket(w.bucket)
	return b != nil && b.broken == nil && pos > b.base.covers && len(w.record.effects) > 0
}
