package fsck

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/internal/finding"
)

// Repair is something that can be made good, or was.
type Repair struct {
	File string `json:"file"`
	What string `json:"what"`

	mend func() error
}

// mends are the repairs that findings name, each once however many findings it is for.
type mends struct {
	all  []Repair
	seen map[string]bool
}

func (m *mends) take(f finding.Finding) {
	at := f.File + "\x00" + f.Repair
	if f.Mend == nil || m.seen[at] {
		return
	}
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	m.seen[at] = true
	m.all = append(m.all, Repair{f.File, f.Repair, f.Mend})
}

// repair makes the repairs that are wanted, in the order in which they were found: what tells whose a file is comes before the file.
func repair(ctx context.Context, o Options, m []Repair) (made []Repair, _ error) {
	if err := o.Repair(m); err != nil {
		return nil, err
	}
	for _, r := range m {
		if ctx.Err() != nil {
			return made, ctx.Err()
		}
		o.Repaired(r, false, nil)
		err := r.mend()
		o.Repaired(r, true, err)
		if err != nil {
			return made, fmt.Errorf("repair %s: %w", r.File, err)
		}
		made = append(made, r)
	}
	return made, nil
}
