// Package linear says whether what clients did with a few keys is linearizable: whether there is one order of all operations, each at some
// moment between its call and its return, in which every one sees what those before it did. It is for tests; porcupine decides.
package linear

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Keys is how many keys there are.
const Keys = 3

// Kind is what an operation does.
type Kind int

// The kinds of operation.
const (
	Put Kind = iota
	Delete
	Get
	List // of all keys
	Mark // gives the content of a key a mark in place of any that it has
)

// Op is an operation of a client.
type Op struct {
	Kind   Kind
	Key    int
	Tag    string // what is put, or the mark; no two have the same
	Absent bool   // only if the key has no content
	Match  string // only if the content is this; empty: whatever it is
}

// Result is how an operation ended.
type Result int

// The results of an operation.
const (
	Done    Result = iota
	Refused        // its condition does not hold
	Missing        // its condition is of content, and there is none
	Unknown        // it was done, or not
)

// Seen is what a client learned by an operation.
type Seen struct {
	Result Result
	Tags   [Keys]string // by a Get the content of its key, with its mark (see [Marked]), by a List that of all; empty: none
}

// Marked is content with a mark, which may be empty.
func Marked(content, mark string) string {
	if content == "" || mark == "" {
		return content
	}
	return content + "#" + mark
}

// unmarked is the content alone.
func unmarked(s string) string {
	content, _, _ := strings.Cut(s, "#")
	return content
}

// History is what all clients did. It is safe for concurrent use.
type History struct {
	mu   sync.Mutex
	now  int64
	ops  []porcupine.Operation
	open []int // of those, whose outcome is unknown and may be still to come
}

// Call begins an operation.
func (h *History) Call() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	return h.now
}

// Return ends an operation that was called at call. One that is unknown may take effect until [History.Settle].
func (h *History) Return(client int, call int64, op Op, seen Seen) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	if seen.Result == Unknown {
		h.open = append(h.open, len(h.ops))
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: seen, Return: h.now})
}

// Settle says that whatever has returned can take effect no more.
func (h *History) Settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	for _, i := range h.open {
		h.ops[i].Return = h.now
	}
	h.open = nil
}

// Len is how many operations there are, and how many of them are unknown.
func (h *History) Len() (all, unknown int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if op.Output.(Seen).Result == Unknown {
			unknown++
		}
	}
	return len(h.ops), unknown
}

// Check is nil when the history is linearizable. It gives up after limit, which is an error too.
func (h *History) Check(limit time.Duration) error {
	h.Settle()
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{[Keys]string{}} },
		Step: func(state, input, output any) []any {
			return step(state.([Keys]string), input.(Op), output.(Seen))
		},
	}
	result := porcupine.CheckOperationsTimeout(m.ToModel(), h.ops, limit)
	if result == porcupine.Ok {
		return nil
	}
	return fmt.Errorf("%s, of %d operations:\n%s", result, len(h.ops), h)
}

// String is the history in the order of calls as far as they returned.
func (h *History) String() (out string) {
	for _, op := range h.ops {
		out += fmt.Sprintf("  %d..%d client %d: %+v: %+v\n", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
	return out
}

// step is what the keys may hold after an operation that ended so; nothing when it cannot have.
func step(s [Keys]string, op Op, seen Seen) []any {
	switch op.Kind {
	case Get:
		return only(s, seen.Tags[op.Key] == s[op.Key])
	case List:
		return only(s, seen.Tags == s)
	}
	next, want := s, Done
	content := unmarked(s[op.Key])
	switch {
	case op.Absent && content != "":
		want = Refused
	case (op.Match != "" || op.Kind == Mark) && content == "":
		want = Missing
	case op.Match != "" && content != op.Match:
		want = Refused
	case op.Kind == Mark:
		next[op.Key] = Marked(content, op.Tag)
	case op.Kind == Put:
		next[op.Key] = op.Tag
	default:
		next[op.Key] = ""
	}
	if seen.Result == Unknown {
		return []any{s, next}
	}
	return only(next, seen.Result == want)
}

func only(s [Keys]string, ok bool) []any {
	if !ok {
		return nil
	}
	return []any{s}
}
