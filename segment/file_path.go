package segment

import (
	"fmt"
	"slices"
	"strings"
)

// rootKey keeps the attributes of a bucket's root directory, which no key names.
const rootKey = reservedPrefix + "root"

// place is where a path leads.
type place struct {
	path   string
	key    string   // of the file; as a directory it is the keys that begin with dir
	dir    string   // key and a slash; empty for the root
	beside bool     // the file that has the name of a directory
	goesOn bool     // no file, but a part of longer names that is shown as a directory
	names  []string // that show the key's last component up to here
}

// parsePath finds the key that a path from the bucket's root shows: names with slashes between. The root itself is the empty path.
func parsePath(path string) (place, error) {
	p := place{path: path, key: rootKey}
	if path == "" {
		return p, nil
	}
	whole, component := "", "" // components that are complete, and what is known of the next
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if err := checkName(name); err != nil {
			return p, fmt.Errorf("%q: %w", path, err)
		}
		plain, beside := strings.CutSuffix(name, besideMark)
		plain, goesOn := strings.CutSuffix(plain, goesOnMark)
		p.names = append(p.names, name)
		component += componentOf(plain)
		p.key, p.dir, p.beside, p.goesOn = whole+component, whole+component+"/", beside, goesOn
		switch {
		case goesOn && !beside:
			p.dir = p.key
		case goesOn || beside && more || !shows(component, p.names, beside):
			return p, fmt.Errorf("%q: %w", path, ErrNoSuchKey)
		case more:
			whole, component, p.names = p.dir, "", nil
		}
	}
	if len(p.key) > MaxKey && CheckName(p.key) != nil {
		return p, fmt.Errorf("%q is a key of %d bytes: %w", path, len(p.key), ErrNameTooLong)
	}
	return p, checkReserved(p.key)
}

func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.Contains(name, "\x00"):
		return fmt.Errorf("a name is %q: %w", name, ErrInvalidArgument)
	case len(name) > maxName:
		return fmt.Errorf("a name has %d bytes, more than %d: %w", len(name), maxName, ErrNameTooLong)
	}
	return nil
}

// shows says whether these are the names that show a component.
func shows(component string, names []string, beside bool) bool {
	return slices.Equal(namesOf(component, beside), names)
}

// PathOfKey is the path that shows a key. beside is said of a key whose name is also that of a directory: there is one that goes on with a slash.
func PathOfKey(key string, beside bool) string {
	var path []string
	components := strings.Split(key, "/")
	for i, c := range components {
		path = append(path, namesOf(c, beside && i == len(components)-1)...)
	}
	return strings.Join(path, "/")
}

// up is the key of the directory that the place is in: what of its key comes before the last slash, and that.
func (p place) up() string {
	return p.key[:strings.LastIndexByte(p.key, '/')+1]
}

// name is the last of the path's.
func (p place) name() string { return p.path[strings.LastIndexByte(p.path, '/')+1:] }

// above is the path of the directory that the place is in.
func (p place) above() string { return p.path[:max(strings.LastIndexByte(p.path, '/'), 0)] }

// dirEntry is what a directory shows for a key below it.
type dirEntry struct {
	name   string
	key    string // of the file, or all that the keys in it begin with, of a directory
	isDir  bool
	goesOn bool // it is a part of longer names
}

// entryOf is what the directory p shows for a key that begins with p.dir. It shows nothing where p is a part of longer names and the key's is not as long.
func (p place) entryOf(key string) (e dirEntry, ok bool) {
	base, before := p.dir, []string(nil)
	if p.goesOn {
		base, before = p.up(), p.names
	}
	component, _, below := strings.Cut(key[len(base):], "/")
	names := namesOf(component, false)
	n := len(before)
	if len(names) <= n || !slices.Equal(names[:n], before) {
		return e, false
	}
	e = dirEntry{names[n], base + component, below, len(names) > n+1}
	switch {
	case e.goesOn:
		e.isDir = true
		e.key = p.dir + componentOf(strings.TrimSuffix(e.name, goesOnMark))
	case below:
		e.key += "/"
	}
	return e, true
}
