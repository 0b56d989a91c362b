package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Edited is the tree after a day's work: one of every so many files, chosen by the seed, has lines replaced, inserted and deleted. It also
// returns the names of the edited files. Files that are not text are left alone.
func (t *Tree) Edited(one int, seed uint64) (*Tree, []string, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	next := &Tree{Files: slices.Clone(t.Files)}
	var names []string
	for _, i := range r.Perm(len(next.Files)) {
		if len(names) >= len(t.Files)/one {
			break
		}
		before, err := t.Files[i].Content()
		if err != nil {
			return nil, nil, fmt.Errorf("edit: %w", err)
		}
		if len(before) == 0 || bytes.IndexByte(before, 0) >= 0 {
			continue
		}
		after := edit(r, before)
		next.Files[i] = Made(t.Files[i].Name, after)
		names = append(names, t.Files[i].Name)
	}
	next.sum()
	return next, names, nil
}

// edit changes one to three places of a text, and always something.
func edit(r *rand.Rand, text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := 1 + r.IntN(3); n > 0; n-- {
		at := r.IntN(len(lines))
		line := fmt.Appendf(nil, "// edited: %016x\n", r.Uint64())
		switch r.IntN(3) {
		case 0:
			lines[at] = line
		case 1:
			lines = slices.Insert(lines, at, line)
		case 2:
			lines = slices.Delete(lines, at, at+1)
		}
		if len(lines) == 0 {
			lines = [][]byte{line}
		}
	}
	after := bytes.Join(lines, nil)
	if len(after) == 0 || bytes.Equal(after, text) { // as when the line that was deleted is the empty one behind the last
		after = append(after, "// edited\n"...)
	}
	return after
}
