package segment

import (
	"context"
	"errors"
	"fmt"
)

// RenameOptions say what a rename may find at its target.
type RenameOptions struct {
	// Replace lets the target be there: a key that the source has too is written over, as a put would; others of the target stay. Else a
	// target is [ErrTargetExists], but for a directory whose one key is its own name.
	Replace bool
}

// Renamed is what a rename did.
type Renamed struct {
	Keys     int64     // that moved
	Versions int64     // that moved: of a key in conflict each open one
	ID       VersionID // of the record, which is that of the first version that it made
}

// RenamePrefix moves all keys that begin with src, which ends in a slash, to the same names behind dst, which does too, as one write: durable, and
// to every reader at once, when it returns, however many keys they are. What is current or open of a key moves, under new ids; the rest of a key's
// history stays, as a delete of the key would leave it, and so do locked versions. A concurrent write elsewhere to a key of src stays where it is.
//
// It fails with ErrNoSuchKey when nothing is listed below src, with [ErrTargetExists], with [ErrTooManyKeys] when the keys take more memory than
// Config.RenameBytes, with ErrInvalidArgument for a key that would become too long, or where one of src and dst holds the other.
func (b *Bucket) RenamePrefix(ctx context.Context, src, dst string, o RenameOptions) (Renamed, error) {
	return Renamed{}, fmt.Errorf("rename %q to %q: %w", src, dst, errors.ErrUnsupported)
}

// Rename moves one key, as one write: what RenamePrefix does to each. It returns the version that is current at dst then.
func (b *Bucket) Rename(ctx context.Context, src, dst string, o RenameOptions) (Version, error) {
	return Version{}, fmt.Errorf("rename %q to %q: %w", src, dst, errors.ErrUnsupported)
}
