package segment

import (
	"context"
	"fmt"
)

// maxCopying bounds the writes that wait for a second segment, and so the memory that they take.
const maxCopying = 4096

// acknowledgement is what a write waits for under [Copies] when it is durable here; under [Local], nothing. It is begun, and its await deferred,
// before the gate and any latch are taken, so that they are let go of before it waits: [Bucket.write] does so for all writes of one key.
type acknowledgement struct {
	b      *Bucket
	copies bool
	refs   []Ref // what was written
}

// acknowledging begins a write. One that would be one too many to wait is refused before it is made.
func (b *Bucket) acknowledging() (acknowledgement, error) {
	return b.acknowledgingAs(b.settings.Load().Ack)
}

func (b *Bucket) acknowledgingAs(how Ack) (acknowledgement, error) {
	a := acknowledgement{b: b, copies: how == Copies && b.frozen == ""}
	if !a.copies {
		return a, nil
	}
	select {
	case b.s.copying <- struct{}{}:
		return a, nil
	default:
		return acknowledgement{}, fmt.Errorf("%d writes wait for a second segment already: %w", cap(b.s.copying), ErrUnavailable)
	}
}

// submit is that of the segment; what is written to the bucket is waited for, the locks of what is put too.
func (a *acknowledgement) submit(plans ...plan) error { return a.submitWith(new(entry), plans...) }

// submitWith is submit of records that are part of an entry with more.
func (a *acknowledgement) submitWith(e *entry, plans ...plan) error {
	if err := a.b.s.submitWith(e, plans); err != nil || !a.copies {
		return err
	}
	for _, w := range e.writes {
		if w.bucket == a.b.id {
			a.refs = append(a.refs, w.record.toCopy(a.b.id)...)
		}
	}
	return nil
}

// found is submit of what was written before, and perhaps not waited for: the versions of a key that are current or open.
func (a *acknowledgement) found(h head) {
	for i, v := range h.versions {
		if a.copies && (i == 0 || h.isOpen(i)) {
			a.refs = append(a.refs, Ref{a.b.id, v.Key, v.VersionID})
		}
	}
}

// toCopy names what must be at a second segment: the record, and the versions that it put with payload of their own.
func (r *record) toCopy(id BucketID) (refs []Ref) {
	for i := range r.effects {
		if v := r.effects[i].hold; r.rename == nil && r.own(&r.effects[i]) && v.payload() != nil {
			refs = append(refs, Ref{id, v.Key, v.VersionID})
		}
	}
	switch {
	case len(refs) > 0:
	case r.rename == nil && len(r.effects) > 0:
		refs = append(refs, Ref{id, r.effects[0].key, r.VersionID})
	default: // what moves was acknowledged when it was written
		refs = append(refs, Ref{Bucket: id, Version: r.VersionID})
	}
	return refs
}

// await waits until a second segment has what was submitted. It is deferred: err is the write's.
func (a *acknowledgement) await(ctx context.Context, err *error) {
	if !a.copies {
		return
	}
	defer func() { <-a.b.s.copying }()
	for i := 0; *err == nil && i < len(a.refs); i++ {
		*err = a.b.copied(ctx, a.refs[i])
	}
}

func (b *Bucket) copied(ctx context.Context, r Ref) error {
	if b.s.cfg.Copied == nil {
		return fmt.Errorf("this segment has no links: %w: %w", ErrNotCopied, ErrUnavailable)
	}
	if err := b.s.cfg.Copied(ctx, r); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrNotCopied, ErrUnavailable, err)
	}
	return nil
}

// Needed is whose payload must be durable here so that a write, which has been applied here, survives the segment that made it: the version that
// it put or, where that is gone, what took its place. Nil for nothing. It is ErrUnavailable when the write has not been seen.
func (s *Segment) Needed(ctx context.Context, r Ref) (*Version, error) {
	b := s.bucket(r.Bucket)
	if b == nil || !b.Linked() {
		return nil, fmt.Errorf("bucket %v: %w", r.Bucket, ErrRefused)
	}
	if err := b.Err(); err != nil {
		return nil, err
	}
	if !b.Seen().Has(r.Version.Dot) {
		return nil, fmt.Errorf("write %v of bucket %v: %w", r.Version.Dot, r.Bucket, ErrUnavailable)
	}
	v := b.view(r.Key)
	put, err := v.version(ctx, r.Key, r.Version)
	if err != nil {
		return nil, err
	}
	if put != nil {
		return put.payload(), nil
	}
	h, err := v.head(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	if now := h.content(); now != nil && now.Compare(r.Version) > 0 {
		return now.payload(), nil
	}
	return nil, nil
}

// payload is the version, if it has any.
func (v *Version) payload() *Version {
	if v.Marker || v.Size() == 0 {
		return nil
	}
	return v
}

// Progress is closed when something more was applied.
func (s *Segment) Progress() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.applied
}
