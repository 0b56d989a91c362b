package segment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// MaxXattrs is how many extended attributes a file has at the most, of which names and values have at the most MaxXattrBytes together.
	MaxXattrs     = 128
	MaxXattrBytes = 64 << 10
)

// SetXattr says what an extended attribute is set for.
type SetXattr uint8

const (
	// PutXattr sets it whether it is there or not.
	PutXattr SetXattr = iota
	// CreateXattr is ErrFileExists where it is there.
	CreateXattr
	// ReplaceXattr is ErrNoSuchXattr where it is not.
	ReplaceXattr
)

// Xattr is the value of an extended attribute.
func (f Files) Xattr(ctx context.Context, path, name string) (string, error) {
	all, err := f.xattrs(ctx, path)
	if err != nil {
		return "", err
	}
	v, ok := all[name]
	if !ok {
		return "", fmt.Errorf("%q of %q: %w", name, path, ErrNoSuchXattr)
	}
	return v, nil
}

// Xattrs are the names of a file's extended attributes, in order.
func (f Files) Xattrs(ctx context.Context, path string) ([]string, error) {
	all, err := f.xattrs(ctx, path)
	return slices.Sorted(maps.Keys(all)), err
}

func (f Files) xattrs(ctx context.Context, path string) (map[string]string, error) {
	s, err := f.opened()
	if err != nil {
		return nil, err
	}
	at, err := f.lookup(ctx, s, path)
	if err != nil || at.version == nil {
		return nil, err
	}
	a, err := f.b.fileAttrsOf(at.version)
	return a.xattrs, err
}

// SetXattr sets an extended attribute.
func (f Files) SetXattr(ctx context.Context, path, name, value string, how SetXattr) error {
	if name == "" || len(name) > maxName || strings.Contains(name, "\x00") {
		return fmt.Errorf("an extended attribute's name of %d bytes: %w", len(name), ErrInvalidArgument)
	}
	if len(value) > MaxXattrBytes {
		return fmt.Errorf("%d bytes: %w", len(value), ErrXattrTooLarge)
	}
	_, err := f.edit(ctx, &fileTask{what: fileSetXattr, path: path, name: name, value: value, how: how}, func(a *fileAttrs) error {
		_, ok := a.xattrs[name]
		switch {
		case ok && how == CreateXattr:
			return ErrFileExists
		case !ok && how == ReplaceXattr:
			return ErrNoSuchXattr
		}
		if a.xattrs == nil {
			a.xattrs = map[string]string{}
		}
		a.xattrs[name] = value
		return a.checkXattrs()
	})
	return err
}

// RemoveXattr takes an extended attribute away.
func (f Files) RemoveXattr(ctx context.Context, path, name string) error {
	_, err := f.edit(ctx, &fileTask{what: fileRemoveXattr, path: path, name: name}, func(a *fileAttrs) error {
		if _, ok := a.xattrs[name]; !ok {
			return ErrNoSuchXattr
		}
		delete(a.xattrs, name)
		return nil
	})
	return err
}

func (a *fileAttrs) checkXattrs() error {
	size := 0
	for k, v := range a.xattrs {
		size += len(k) + len(v)
	}
	if len(a.xattrs) > MaxXattrs || size > MaxXattrBytes {
		return fmt.Errorf("%d of them, of %d bytes: %w", len(a.xattrs), size, ErrXattrTooLarge)
	}
	return nil
}
