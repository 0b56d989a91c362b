package segment

import (
	"context"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// attributeTask is [Bucket.SetAttribute] of the version that the request refers to.
type attributeTask struct{ name, value string }

func (*attributeTask) verb() verb { return verbAttribute }

func (t *attributeTask) appendTo(b []byte) []byte {
	return putBytes(putBytes(b, 1, t.name), 2, t.value)
}

func (t *attributeTask) take(f field) error {
	switch {
	case f.num == 1 && f.typ == protowire.BytesType:
		t.name = string(f.b)
	case f.num == 2 && f.typ == protowire.BytesType:
		t.value = string(f.b)
	default:
		return badFormat("change of an attribute")
	}
	return nil
}

func (t *attributeTask) check(r *Request) error { return r.ofKey() }

func (t *attributeTask) do(ctx context.Context, b *Bucket, r *Request, c Cond) (outcome, error) {
	v, err := b.SetAttribute(ctx, r.key, r.ref, Attribute(t.name), []byte(t.value), c)
	return outcome{version: v.VersionID, null: v.Null}, err
}

// lockTask is [Bucket.Lock] of the version that the request refers to.
type lockTask struct{ LockChange }

func (*lockTask) verb() verb { return verbLock }

const (
	lockTaskRetention = 1 // empty: it ends
	lockTaskLegal     = 2
	lockTaskFree      = 3

	retentionMode  = 1
	retentionUntil = 2 // milliseconds since 1970
)

func (t *lockTask) appendTo(b []byte) []byte {
	if r := t.Retention; r != nil {
		b = putPart(b, lockTaskRetention, func(b []byte) []byte {
			b = putUint(b, retentionMode, uint64(r.Mode))
			return putUint(b, retentionUntil, uint64(max(r.Until.UnixMilli(), 0)))
		})
	}
	if t.LegalHold != nil {
		b = putBool(b, lockTaskLegal, *t.LegalHold)
		b = putBool(b, lockTaskFree, !*t.LegalHold)
	}
	return b
}

func (t *lockTask) take(f field) (err error) {
	switch {
	case f.num == lockTaskRetention && f.typ == protowire.BytesType:
		t.Retention, err = parseRetention(f.b)
	case (f.num == lockTaskLegal || f.num == lockTaskFree) && f.typ == protowire.VarintType && f.n == 1:
		on := f.num == lockTaskLegal
		t.LegalHold = &on
	default:
		err = badFormat("change of a lock")
	}
	return err
}

func parseRetention(b []byte) (*Retention, error) {
	r := new(Retention)
	err := eachField("retention", b, func(f field) error {
		switch {
		case f.num == retentionMode && f.typ == protowire.VarintType && f.n <= math.MaxUint8: // what it may be is judged as at home
			r.Mode = RetentionMode(f.n)
		case f.num == retentionUntil && f.typ == protowire.VarintType && f.n <= math.MaxInt64:
			r.Until = time.UnixMilli(int64(f.n)).UTC()
		default:
			return badFormat("retention")
		}
		return nil
	})
	return r, err
}

func (t *lockTask) check(r *Request) error { return r.ofKey() }

func (t *lockTask) do(ctx context.Context, b *Bucket, r *Request, c Cond) (outcome, error) {
	v, err := b.Lock(ctx, r.key, r.ref, t.LockChange, c)
	return outcome{version: v.VersionID, null: v.Null}, err
}
