package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"github.com/edgefs/edgefs/internal/admin"
)

// getAll reads everything below a prefix into a folder, and nothing anywhere else: keys come from whoever may write to the bucket, and
// links may lie in the folder.
func (a *app) getAll(ctx context.Context, arg, to string, o getOptions) error {
	if o.version != "" || o.span != "" || to == "-" {
		return usagef("--recursive reads current files, whole, into a directory")
	}
	from, err := parsePlace(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if to == "" {
		to = "."
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	dir, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer dir.Close()
	doc, bad, read, found := a.document("read"), a.failures(), 0, false
	base := from.key[:strings.LastIndexByte(from.key, '/')+1]
	err = eachObject(ctx, client, from, false, func(object admin.Object) error {
		found = true
		key := place{from.bucket, object.Key}
		object, name, err := a.getBelow(ctx, client, key, object, base, dir, o)
		switch {
		case err == nil && name == "":
			return nil // a folder
		case err == nil:
			read++
			return doc.add(got{key.bucket, filepath.Join(to, name), object}, "")
		case ends(err):
			return fmt.Errorf("get %s: %w", key, err)
		}
		bad.add(undone{Bucket: key.bucket, Key: key.key}, fmt.Errorf("get %s: %w", key, err))
		return nil
	})
	if err == nil && !found && from.key != "" {
		err = failed(codeNotFound, "nothing is below %s", from)
	}
	if err == nil {
		err = bad.err("%d of %s could not be read", bad.n, counted(int64(read+bad.n), "file"))
	}
	a.said("%s", counted(int64(read), "file"))
	return doc.end(err, field{"failed", bad.list})
}

// getBelow reads an object into the file of dir that its key names, which it returns; or, without a name, makes the folder it stands for.
func (a *app) getBelow(ctx context.Context, client *admin.Client, from place, object admin.Object, base string, dir *os.Root, o getOptions) (admin.Object, string, error) {
	rel := strings.TrimPrefix(object.Key, base)
	if drawn, ok := strings.CutSuffix(rel, "/"); ok && object.Size == 0 || rel == "" {
		if drawn == "" {
			return object, "", nil // dir itself
		}
		if err := checkPath(drawn); err != nil {
			return object, "", err
		}
		return object, "", makeFolder(dir, filepath.FromSlash(drawn))
	}
	if err := checkPath(rel); err != nil {
		return object, "", err
	}
	name := filepath.FromSlash(rel)
	if err := makeFolder(dir, filepath.Dir(name)); err != nil {
		return object, "", err
	}
	object, err := a.getOne(ctx, client, from, dir, name, o)
	return object, name, err
}

// makeFolder makes a folder. In a bucket a key may be a file and the start of other keys at once, which no file system can hold.
func makeFolder(dir *os.Root, name string) error {
	err := dir.MkdirAll(name, 0o777)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		return failed(codeExists, "%s cannot be a folder: a file has its name, or that of a folder above it", word(filepath.Join(dir.Name(), name)))
	}
	return err
}

// maxPart is the longest name in a folder, on all file systems that people use.
const maxPart = 255

// checkPath says why the end of a key cannot be a path below a folder. What could be, but would be another key's path too, cannot either.
func checkPath(rel string) error {
	why := ""
	for part := range strings.SplitSeq(rel, "/") {
		switch {
		case part == "":
			why = "a part of it is empty"
		case part == "." || part == "..":
			why = fmt.Sprintf("a part of it is %q", part)
		case len(part) > maxPart:
			why = fmt.Sprintf("a part of it has %d bytes, more than %d", len(part), maxPart)
		case strings.IndexFunc(part, unicode.IsControl) >= 0:
			why = "it has control characters"
		}
	}
	if why == "" && !filepath.IsLocal(filepath.FromSlash(rel)) {
		why = "the system has no such name"
	}
	if why == "" {
		return nil
	}
	e := failed(codeFailed, "the key is no path below a directory: %s", why)
	e.hint = "get it alone, into a file that you name"
	return e
}

// ends says whether an error is one that the next file would meet too.
func ends(err error) bool {
	switch explain(err).Code {
	case codeInterrupted, codeUnreachable, codeFull:
		return true
	}
	for _, s := range []error{
		&admin.Error{Code: admin.Unauthorized}, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS,
	} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
