package loadtest

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// keyName is the name of key number n: names sort as their numbers do.
func keyName(prefix string, n uint64) string {
	const digits = 10
	b := make([]byte, 0, len(prefix)+digits)
	b = append(b, prefix...)
	start := len(b)
	b = strconv.AppendUint(b, n, 10)
	for pad := digits - (len(b) - start); pad > 0; pad-- {
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start] = '0'
	}
	return string(b)
}

// keyset is what is known of a fixed set of keys: for each the last acknowledged write and what may have happened since. Writes
// to one key take turns, so that an acknowledged one is newer than all before it; reads do not wait.
type keyset struct {
	prefix  string
	content *Content
	states  []keyState
}

// keyState is one key's. Versions of writes grow; 0 is "not written by this run".
type keyState struct {
	writing sync.Mutex

	mu      sync.Mutex
	acked   uint64 // last acknowledged write
	issued  uint64 // last write sent
	deleted uint64 // last delete sent
	absent  bool   // acked is a delete, or nothing was ever written
	foreign bool   // as an earlier run left it: its version is read, not known
}

// newKeyset makes the keys of this run, absent; or, foreign, those that an earlier run with the same seed has left.
func newKeyset(prefix string, content *Content, n int, foreign bool) *keyset {
	k := &keyset{prefix: prefix, content: content, states: make([]keyState, n)}
	for i := range k.states {
		k.states[i].foreign, k.states[i].absent = foreign, !foreign
		if foreign {
			k.states[i].issued = uint64(time.Now().UnixNano()) // above what earlier runs have used
		}
	}
	return k
}

func (k *keyset) name(n uint64) string { return keyName(k.prefix, n) }

// write runs one write of a key under the next version, alone.
func (k *keyset) write(n uint64, deletes bool, send func(version uint64) error) error {
	s := &k.states[n]
	s.writing.Lock()
	defer s.writing.Unlock()
	err := send(s.issue(deletes))
	if err == nil {
		s.acknowledge(deletes)
	}
	return err
}

func (s *keyState) issue(deletes bool) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued++
	if deletes {
		s.deleted = s.issued
	}
	return s.issued
}

func (s *keyState) acknowledge(deletes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked, s.absent, s.foreign = s.issued, deletes, false
}

// view is what was acknowledged of a key at one moment, and what was sent.
type view struct {
	acked, issued, deleted uint64
	absent, foreign        bool
}

func (k *keyset) view(n uint64) view {
	s := &k.states[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	return view{s.acked, s.issued, s.deleted, s.absent, s.foreign}
}

// allows says whether a read between two views may have found a version.
func (k *keyset) allows(n uint64, before, after view, version uint64) error {
	switch {
	case before.foreign:
		return nil
	case version < before.acked:
		return &WrongError{What: "stale", Key: k.name(n), Detail: fmt.Sprintf("version %d, but %d was acknowledged before the read", version, before.acked)}
	case version == 0 || version > after.issued:
		return &WrongError{What: "corrupt", Key: k.name(n), Detail: fmt.Sprintf("version %d was never written", version)}
	case before.absent && version == before.acked:
		return &WrongError{What: "stale", Key: k.name(n), Detail: fmt.Sprintf("content, but version %d deleted it", version)}
	}
	return nil
}

// allowsAbsent says whether a read between two views may have found nothing.
func (k *keyset) allowsAbsent(n uint64, before, after view) error {
	if before.absent || after.deleted > before.acked {
		return nil
	}
	return &WrongError{What: "missing", Key: k.name(n), Detail: fmt.Sprintf("version %d was acknowledged", before.acked)}
}

// allowsSize says whether a read between two views may have found a size.
func (k *keyset) allowsSize(n uint64, before, after view, size int64) error {
	name := k.name(n)
	if before.foreign && k.content.sizes.Has(size) {
		return nil
	}
	for version := max(before.acked, 1); version <= after.issued && !before.foreign; version++ {
		if k.content.SizeOf(name, version) == size {
			return nil
		}
	}
	return &WrongError{What: "length", Key: name, Detail: fmt.Sprintf("%d bytes, as no version that it may be", size)}
}
