package segment

import "errors"

// The errors of files, beside ErrNoSuchKey (there is no such file), ErrReadOnly, ErrPrecondition and ErrInvalidArgument. Each is one that NFS knows.
var (
	ErrFileExists     = errors.New("file exists")
	ErrNotDirectory   = errors.New("not a directory")
	ErrIsDirectory    = errors.New("is a directory")
	ErrDirectoryInUse = errors.New("directory not empty")
	ErrNameTooLong    = errors.New("file name too long")
	ErrStaleFile      = errors.New("the file was removed or replaced")
	ErrTooManyLinks   = errors.New("too many links")
	ErrNoSuchXattr    = errors.New("no such extended attribute")
	ErrXattrTooLarge  = errors.New("extended attributes too large")
)
