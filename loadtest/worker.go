package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
)

// worker is one client of a run: a session and a place in a listing.
type worker struct {
	run     *run
	session *Session
	random  *rand.Rand
	walk    walk
}

func newWorker(r *run) *worker {
	return &worker{run: r, session: r.client.Session(), random: rand.New(rand.NewPCG(r.opts.Seed, rand.Uint64()))}
}

// do performs one operation and returns the bytes, or for a listing the keys, that it moved.
func (w *worker) do(ctx context.Context, kind Kind, turn uint64) (int64, error) {
	switch kind {
	case Put:
		return w.put(ctx, w.writeKey(turn))
	case Get:
		return w.get(ctx, w.readKey())
	case Head:
		return 0, w.head(ctx, w.readKey())
	case Delete:
		return 0, w.delete(ctx, w.writeKey(turn))
	case List:
		return w.list(ctx)
	}
	panic("loadtest: unknown operation " + string(kind))
}

func (w *worker) readKey() uint64 { return w.random.Uint64N(uint64(w.run.opts.Keys)) }

// writeKey goes through the keys in order, so that workers do not wait for each other; a mixed run writes anywhere.
func (w *worker) writeKey(turn uint64) uint64 {
	switch {
	case w.run.opts.Keys == 0:
		return turn
	case w.run.spread:
		return w.readKey()
	}
	return turn % uint64(w.run.opts.Keys)
}

func (w *worker) put(ctx context.Context, n uint64) (int64, error) {
	if w.run.keys == nil {
		o := w.run.content.Object(keyName(w.run.opts.Prefix, n), 1)
		return o.Size, w.session.Put(ctx, o)
	}
	var size int64
	err := w.run.keys.write(n, false, func(version uint64) error {
		o := w.run.content.Object(w.run.keys.name(n), version)
		size = o.Size
		return w.session.Put(ctx, o)
	})
	return size, err
}

func (w *worker) delete(ctx context.Context, n uint64) error {
	return w.run.keys.write(n, true, func(uint64) error { return w.session.Delete(ctx, w.run.keys.name(n)) })
}

func (w *worker) head(ctx context.Context, n uint64) error {
	keys := w.run.keys
	before := keys.view(n)
	size, err := w.session.Head(ctx, keys.name(n))
	if IsAbsent(err) {
		return keys.allowsAbsent(n, before, keys.view(n))
	}
	if err != nil || w.run.opts.SkipVerify {
		return err
	}
	return keys.allowsSize(n, before, keys.view(n), size)
}

func (w *worker) get(ctx context.Context, n uint64) (int64, error) {
	keys, content := w.run.keys, w.run.content
	name := keys.name(n)
	before := keys.view(n)
	var o Object
	var told bool
	size, err := w.session.Get(ctx, name, func(size, off int64, piece []byte) error {
		if w.run.opts.SkipVerify {
			return nil
		}
		if off == 0 {
			o, told = content.Identify(name, size, piece, max(before.acked, 1))
		}
		return w.session.Check(o, off, piece)
	})
	if IsAbsent(err) {
		return 0, keys.allowsAbsent(n, before, keys.view(n))
	}
	if err != nil || w.run.opts.SkipVerify {
		return size, err
	}
	after := keys.view(n)
	if !told {
		return size, keys.allowsSize(n, before, after, size)
	}
	if want := content.SizeOf(name, o.Version); size != want {
		return size, &WrongError{What: "length", Key: name, Detail: fmt.Sprintf("%d bytes, but version %d has %d", size, o.Version, want)}
	}
	return size, keys.allows(n, before, after, o.Version)
}

// Check returns a WrongError when piece, read at off by Get, is not the object's.
func (s *Session) Check(o Object, off int64, piece []byte) error {
	s.scratch = sized(s.scratch, len(piece))
	bad := o.Check(piece, off, s.scratch)
	if bad < 0 {
		return nil
	}
	return &WrongError{What: "corrupt", Key: o.Key, Offset: bad, Detail: fmt.Sprintf("not the content of version %d, %d bytes", o.Version, o.Size)}
}

// IsAbsent says whether an answer was that there is no such key.
func IsAbsent(err error) bool {
	var answer *ResponseError
	return errors.As(err, &answer) && answer.Status == http.StatusNotFound && answer.Code != "NoSuchBucket"
}

// walk is a worker's place in its listing of the whole prefix.
type walk struct {
	token string
	next  uint64 // number of the key that must come next
}

// list asks for the next page. Nothing is written during a run of listings, so every key must be there, in order and with its size;
// in a mixed run a page from anywhere must be in order and of known keys.
func (w *worker) list(ctx context.Context) (int64, error) {
	if w.run.opts.Kind == Mixed {
		return w.listAnywhere(ctx)
	}
	from := w.walk
	w.walk = walk{} // start over after an error
	at := from.next
	token, err := w.session.Page(ctx, w.run.opts.Prefix, "", from.token, func(e Entry) error {
		if !w.run.opts.SkipVerify {
			if err := w.checkEntry(e, at); err != nil {
				return err
			}
		}
		at++
		return nil
	})
	listed := int64(at - from.next)
	if err != nil {
		return listed, err
	}
	if token != "" {
		w.walk = walk{token: token, next: at}
		return listed, nil
	}
	if at != uint64(w.run.opts.Keys) {
		return listed, &WrongError{What: "listing", Key: w.run.opts.Prefix, Detail: fmt.Sprintf("ends after %d of %d keys", at, w.run.opts.Keys)}
	}
	return listed, nil
}

func (w *worker) checkEntry(e Entry, n uint64) error {
	want := w.run.keys.name(n)
	if string(e.Key) != want {
		return &WrongError{What: "listing", Key: want, Detail: fmt.Sprintf("%q stands in its place", e.Key)}
	}
	now := w.run.keys.view(n)
	return w.run.keys.allowsSize(n, now, now, e.Size)
}

func (w *worker) listAnywhere(ctx context.Context) (int64, error) {
	last := w.run.keys.name(w.readKey())
	var listed int64
	_, err := w.session.Page(ctx, w.run.opts.Prefix, last, "", func(e Entry) error {
		if string(e.Key) <= last || !w.run.content.sizes.Has(e.Size) {
			return &WrongError{What: "listing", Key: string(e.Key), Detail: fmt.Sprintf("after %q, %d bytes", last, e.Size)}
		}
		last = string(e.Key)
		listed++
		return nil
	})
	return listed, err
}
