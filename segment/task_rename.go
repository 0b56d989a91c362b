package segment

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// renameTask is [Bucket.Rename] of the request's key, or [Bucket.RenamePrefix].
type renameTask struct {
	dst   string
	whole bool // of all keys below a directory
	RenameOptions
}

func (*renameTask) verb() verb { return verbRename }

func (t *renameTask) appendTo(b []byte) []byte {
	return putBool(putBool(putBytes(b, 1, t.dst), 2, t.whole), 3, t.Replace)
}

func (t *renameTask) take(f field) error {
	switch {
	case f.num == 1 && f.typ == protowire.BytesType:
		t.dst = string(f.b)
	case f.num == 2 && f.n == 1:
		t.whole = true
	case f.num == 3 && f.n == 1:
		t.Replace = true
	default:
		return badFormat("rename")
	}
	return nil
}

func (t *renameTask) check(r *Request) error { return errors.Join(r.ofKey(), checkKey(t.dst)) }

func (t *renameTask) do(ctx context.Context, b *Bucket, r *Request, c Cond) (outcome, error) {
	do := b.renameKey
	if t.whole {
		do = b.renameDirectory
	}
	done, err := do(ctx, r.key, t.dst, t.RenameOptions, c)
	return done.outcome(), err
}

// forwardRename has a rename made at the home.
func (b *Bucket) forwardRename(ctx context.Context, src string, t *renameTask) (Renamed, error) {
	out, err := b.forward(ctx, &Request{verb: verbRename, key: src, task: t}, nil)
	if err != nil {
		return Renamed{}, b.markerInstead(ctx, src, VersionRef{}, err)
	}
	return out.renamed()
}

// outcome keeps the counts too: who asks again is told them as well.
func (r Renamed) outcome() outcome {
	return outcome{version: r.ID, told: string(putUint(putUint(nil, 1, uint64(r.Keys)), 2, uint64(r.Versions)))}
}

func (o outcome) renamed() (Renamed, error) {
	r := Renamed{ID: o.version}
	err := eachField("outcome of a rename", []byte(o.told), func(f field) error {
		switch f.num {
		case 1:
			r.Keys = int64(f.n)
		case 2:
			r.Versions = int64(f.n)
		}
		return nil
	})
	if err != nil {
		return Renamed{}, fmt.Errorf("%w: %w", err, ErrUnavailable)
	}
	return r, nil
}

// markerInstead is what a home's refusal would have been here, where the key or version is a delete marker: an answer has no room for that.
func (b *Bucket) markerInstead(ctx context.Context, key string, ref VersionRef, err error) error {
	if m := (*MarkerError)(nil); !errors.Is(err, ErrNoSuchKey) || errors.As(err, &m) {
		return err
	}
	if v, e := b.view(key).resolve(ctx, key, ref); e == nil && v.Marker {
		return &MarkerError{*v}
	}
	return err
}
