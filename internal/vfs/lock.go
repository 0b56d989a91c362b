package vfs

import (
	"fmt"
	"os"
	"strconv"
)

// LockedError says which lock is taken, and by which process where that is known. It is [ErrLocked].
type LockedError struct{ Name, Owner string }

func (e *LockedError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("%s is in use by another process", e.Name)
	}
	return fmt.Sprintf("%s is in use by process %s", e.Name, e.Owner)
}

// Is makes the error an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

func ownPID() string { return strconv.Itoa(os.Getpid()) }
