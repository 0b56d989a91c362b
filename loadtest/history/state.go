package history

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// write is one put or delete of a key.
type write struct {
	version uint64
	size    int64
	deletes bool
}

func (w write) String() string {
	if w.deletes {
		return fmt.Sprintf("delete %d", w.version)
	}
	return fmt.Sprintf("version %d of %d bytes", w.version, w.size)
}

// keyState is what a key may hold: the last acknowledged write (version 0, a delete: none) or any later one that was not certainly refused.
type keyState struct {
	acked  write
	flying []write
	last   uint64 // highest version ever noted
}

// state is a history, read.
type state struct {
	head head
	keys map[string]*keyState
}

// readState reads a history and returns how many bytes of it are whole: a last line that was being written when the writer died is not, and
// it stands for nothing that was sent. Damage before the last line is an error.
func readState(r io.Reader) (*state, int64, error) {
	lines := bufio.NewReaderSize(r, maxLine)
	s := &state{keys: map[string]*keyState{}}
	var whole int64
	for first := true; ; first = false {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return s, whole, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("history at byte %d: %w", whole, err)
		}
		err = s.apply(string(bytes.TrimSuffix(line, []byte("\n"))), first)
		if errors.Is(err, errRecord) && !first {
			if _, more := lines.Peek(1); more == io.EOF {
				return s, whole, nil
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("history at byte %d: %w", whole, err)
		}
		whole += int64(len(line))
	}
}

func (s *state) apply(line string, first bool) error {
	body, err := unframe(line)
	if err != nil {
		return err
	}
	if first {
		s.head, err = parseHead(body)
		return err
	}
	r, err := parseRecord(body)
	if err != nil {
		return err
	}
	return s.note(r)
}

// note takes in one record.
func (s *state) note(r record) error {
	k := s.keys[r.key]
	if k == nil {
		k = &keyState{acked: write{deletes: true}}
		s.keys[r.key] = k
	}
	if r.verb == verbPut || r.verb == verbDelete {
		if r.version <= k.last {
			return fmt.Errorf("%s: version %d comes after %d", r.key, r.version, k.last)
		}
		k.last = r.version
		k.flying = append(k.flying, write{r.version, r.size, r.verb == verbDelete})
		return nil
	}
	for i, w := range k.flying {
		if w.version != r.version {
			continue
		}
		switch r.verb {
		case verbOK:
			k.acked, k.flying = w, append([]write(nil), k.flying[i+1:]...)
		case verbNo:
			k.flying = append(k.flying[:i], k.flying[i+1:]...)
		}
		return nil
	}
	return fmt.Errorf("%s: answer to version %d, which is not under way", r.key, r.version)
}

// allowed are the writes whose effect the key may show.
func (k *keyState) allowed() []write { return append([]write{k.acked}, k.flying...) }
