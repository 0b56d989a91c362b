package segment

import (
	"context"
	"slices"
)

// task is what a request asks the home to do beyond putting, deleting, removing and keeping versions of a key: a verb with arguments of its own.
// The rest is the same for all: who asks, by which name, that it is done once, and what the answer waits for.
type task interface {
	verb() verb
	appendTo(b []byte) []byte
	take(f field) error // one field that appendTo writes; it refuses any other
	check(r *Request) error

	// do makes the write at the home as one that does request c.request: see [Cond.note].
	do(ctx context.Context, b *Bucket, r *Request, c Cond) (outcome, error)
}

// task is an empty one of the verb; nil where that has no arguments.
func (v verb) task() task {
	switch v {
	case verbAttribute:
		return new(attributeTask)
	case verbLock:
		return new(lockTask)
	case verbRename:
		return new(renameTask)
	case verbFile:
		return new(fileTask)
	case verbFlush:
		return new(flushTask)
	case verbMerge:
		return new(mergeTask)
	}
	return nil
}

func parseTask(v verb, b []byte) (task, error) {
	t := v.task()
	if t == nil {
		return nil, badFormat("request")
	}
	return t, eachField("arguments of a request", b, t.take)
}

// whole says whether the request has what its verb needs, and nothing else.
func (r *Request) whole() bool {
	switch r.verb {
	case verbPut:
		return r.put != nil && r.task == nil
	case verbDelete, verbRemove, verbResolve:
		return r.put == nil && r.task == nil
	}
	return r.task != nil && r.task.verb() == r.verb && (r.put == nil || r.verb == verbFlush)
}

// Protocol is the version of the links' protocol that a peer must speak to understand the request.
func (r *Request) Protocol() uint64 {
	if r.task != nil {
		return 3
	}
	return 2
}

// ofKey is the check of a task that is about the request's key and no other.
func (r *Request) ofKey() error { return checkKey(r.key) }

// known says whether a number that a peer sent is one of those that mean something.
func known[T ~uint8](n uint64, all ...T) bool {
	return slices.ContainsFunc(all, func(t T) bool { return uint64(t) == n })
}
