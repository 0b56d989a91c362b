package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/segment/stream"
)

// export writes a bucket as a stream. What breaks it off is said in a trailer.
func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	ctx, done := s.whileServing(r.Context())
	defer done()
	out := &lateWriter{w: w, begin: func(h http.Header) { h.Set("Content-Type", "application/x-edgefs-stream") }}
	_, err = b.Export(ctx, out, segment.ExportOptions{Current: param(r, "current") == "true"})
	if err == nil || !out.begun {
		return err
	}
	s.Logger.WarnContext(ctx, "an export broke off", "bucket", r.PathValue("bucket"), "error", err)
	if context.Cause(ctx) != nil && r.Context().Err() == nil { // the segment ends
		err = &admin.Error{Code: admin.Unavailable, Message: context.Cause(ctx).Error()}
	}
	text, _ := json.Marshal(struct {
		Error *admin.Error `json:"error"`
	}{refusal(err)})
	w.Header().Set(http.TrailerPrefix+admin.TrailerError, string(text))
	return nil
}

// importStream makes a bucket of a stream.
func (s *Server) importStream(w http.ResponseWriter, r *http.Request) error {
	ctx, done := s.whileServing(r.Context())
	defer done()
	var out admin.Imported
	o := segment.ImportOptions{
		KeepGoing: param(r, "keepGoing") == "true",
		Damaged: func(d stream.Damage) {
			if len(out.Damages) < admin.MaxTold {
				out.Damages = append(out.Damages, admin.StreamDamage{Offset: d.Offset, Bytes: d.Bytes, Frames: d.Frames, Chunks: d.Lost, Why: d.Why.Error()})
			}
		},
		Lost: func(key string, id segment.VersionID) {
			if len(out.Lost) < admin.MaxTold {
				out.Lost = append(out.Lost, admin.LostVersion{Key: key, Version: id.String()})
			}
		},
	}
	b, did, err := s.Segment.Import(ctx, r.PathValue("bucket"), sentContent{r.Body}, o)
	if err != nil {
		if r.Context().Err() == nil && ctx.Err() != nil {
			err = &admin.Error{Code: admin.Unavailable, Message: context.Cause(ctx).Error()}
		}
		return err
	}
	out.Bucket = bucketOf(b.Info())
	out.Versions, out.LostVersions, out.Logical, out.Chunks, out.Bytes = did.Versions, did.Lost, did.Logical, did.Chunks, did.Bytes
	out.NewChunks, out.NewBytes, out.DamagedAt, out.Current = did.New, did.NewBytes, int64(did.Damages), did.Current
	answer(w, http.StatusCreated, out)
	return nil
}
