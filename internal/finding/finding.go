// Package finding is the words in which those who check a format say what they have found.
package finding

// Grade says how bad something is.
type Grade string

const (
	// Damage is of what must not be so: bytes are not those that were written, or something is not there that must be.
	Damage Grade = "damage"
	// Note is of what a crash may leave, and what the next start sees to by itself.
	Note Grade = "note"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Grade Grade `json:"grade"`
	// Kind tells findings apart, as "pack.footer". It stays the same in later builds; docs/ops/fsck.md lists all.
	Kind   string `json:"kind"`
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset,omitempty"` // in the file
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"` // in the bucket
	What   string `json:"what"`
	// Repair is what a repair makes of it; empty where it can make nothing.
	Repair string `json:"repair,omitempty"`
	// Mend is the repair. It looks again before it changes anything, and changes nothing where all is well; nil where there is none.
	Mend func() error `json:"-"`
}

// Tell is told of findings, by one goroutine at a time.
type Tell func(Finding)

// Damage tells of damage in a file.
func (t Tell) Damage(kind, file string, offset int64, what string) {
	t(Finding{Grade: Damage, Kind: kind, File: file, Offset: offset, What: what})
}

// Note tells of a file that a crash may have left so.
func (t Tell) Note(kind, file, what string) {
	t(Finding{Grade: Note, Kind: kind, File: file, What: what})
}

// Repairable tells of damage in a file that mend makes good, and what that makes of it.
func (t Tell) Repairable(kind, file string, offset int64, what, repair string, mend func() error) {
	t(Finding{Grade: Damage, Kind: kind, File: file, Offset: offset, What: what, Repair: repair, Mend: mend})
}
