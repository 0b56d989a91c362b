package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

const collectTell = 200 * time.Millisecond // how often a collection says how far it is

// collect runs a collection for as long as the client listens and the daemon lives.
func (s *Server) collect(w http.ResponseWriter, r *http.Request) error {
	var q admin.CollectRequest
	if err := read(r, &q); err != nil {
		return err
	}
	if q.Dead < 0 || q.Dead > 100 || q.Rate < 0 {
		return invalid("dead is a percentage, and rate bytes a second")
	}
	var forget []segment.BucketID
	for _, name := range q.ForgetHistory {
		b, err := s.Segment.Bucket(name)
		if err != nil {
			return err
		}
		if _, past := b.State(); past {
			return invalid("%s: name a bucket, not a state of one", name)
		}
		forget = append(forget, b.ID())
	}
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop(nil)
	watch.Go(func() {
		select {
		case <-s.Stopping:
			stop(errors.New("the segment is ending"))
		case <-ctx.Done():
		}
	})
	lines, told, phase := json.NewEncoder(w), time.Time{}, segment.CollectPhase("")
	tell := func(e admin.CollectEvent) {
		if told.IsZero() {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		told = time.Now()
		_ = lines.Encode(e) // whoever does not listen any more has ended the context
		_ = http.NewResponseController(w).Flush()
	}
	report, err := s.Segment.Collect(ctx, segment.CollectOptions{
		Compaction: chunk.Compaction{Dead: q.Dead, Rate: q.Rate}, Forget: forget,
		Progress: func(p segment.CollectProgress) {
			if p.Phase != phase || time.Since(told) > collectTell {
				phase = p.Phase
				tell(collectEvent(p))
			}
		},
	})
	if err != nil && told.IsZero() {
		return err
	}
	e := admin.CollectEvent{Collection: collection(report), Done: true}
	if err != nil {
		e.BrokenOff = cmp.Or(context.Cause(ctx), err).Error()
	}
	tell(e)
	return nil
}

func collectEvent(p segment.CollectProgress) admin.CollectEvent {
	return admin.CollectEvent{Collection: collection(p.Report), Phase: string(p.Phase), Named: p.Named}
}

func collection(r segment.CollectReport) admin.Collection {
	c := r.Compacted
	var history []admin.KeptHistory
	for _, k := range r.History {
		if k.Chunks > 0 {
			history = append(history, admin.KeptHistory{Bucket: k.Name, States: k.States, Chunks: k.Chunks, Bytes: k.Bytes, Until: k.Until})
		}
	}
	return admin.Collection{
		History: history,

		Began: r.Began, Ended: r.Ended, Reached: r.Reached, Condemned: admin.Swept(r.Condemned), Gone: admin.Swept(r.Gone), Kept: r.Kept,
		Compacted: admin.Compacted{Files: c.Files, Freed: c.Freed, Copied: c.Copied, Dead: c.Dead, Skipped: c.Skipped},
	}
}

func (s *Server) collectStatus(w http.ResponseWriter, r *http.Request) error {
	st, err := s.CollectStatus(r.Context())
	if err != nil {
		return err
	}
	return ok(w, st)
}

// CollectStatus is what is known of collections.
func (s *Server) CollectStatus(ctx context.Context) (admin.CollectStatus, error) {
	st, err := s.Segment.CollectStatus(ctx)
	if err != nil {
		return admin.CollectStatus{}, err
	}
	t := st.Total
	out := admin.CollectStatus{
		Failed: st.Failed, Kept: st.Kept, Writers: st.Writers, Every: st.Every.String(), Runs: t.Runs, Failures: t.Failures,
		GoneChunks: t.Gone.Chunks, GoneBytes: t.Gone.Bytes, FreedBytes: t.Freed, CopiedBytes: t.Copied,
	}
	if st.Running != nil {
		out.Running = new(collectEvent(*st.Running))
	}
	if st.Last != nil {
		out.Last = new(collection(*st.Last))
	}
	return out, nil
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	id, err := chunk.ParseID(r.PathValue("chunk"))
	if err != nil {
		return invalid("%v", err)
	}
	holders, err := s.Segment.Explain(r.Context(), id)
	if err != nil {
		return err
	}
	missing, err := s.Local.Missing(r.Context(), []chunk.ID{id})
	if err != nil {
		return err
	}
	e := admin.Explanation{Chunk: id.String(), Here: len(missing) == 0, Holders: []admin.Holder{}}
	for _, h := range holders {
		e.Holders = append(e.Holders, admin.Holder(h))
	}
	return ok(w, e)
}
