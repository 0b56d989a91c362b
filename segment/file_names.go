package segment

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a key's component and a file's name can say is not quite the same. nameOf and componentOf are inverse to each other on all of both, except
// that a component may be too long for a name: namesOf then makes it several, each but the last a directory. docs/format/names.md is the table.

const (
	maxName = 255 // bytes of a file's name, as POSIX systems have it

	escape      = "%~"
	unsayable   = escape + "@" // then a component that is no file name, quoted
	notUTF8     = escape + "!" // then a file name that no key can hold, quoted
	goesOnMark  = escape + "+" // ends a name whose component goes on in the next
	besideMark  = escape + "&" // ends the name of an object beside which there is a directory
	suffixBytes = len(goesOnMark)
)

// nameOf is the name that shows a component of a key, of any length.
func nameOf(component string) string {
	if !isName(component) || !utf8.ValidString(component) {
		return unsayable + quote(component)
	}
	stuffing, kind, name := escaped(component)
	switch {
	case kind == unsayable:
		return escape + "=" + component[len(escape):]
	case kind == notUTF8 && stuffing > 0:
		return escape + component[len(escape)+1:]
	case kind == notUTF8:
		return name
	}
	return component
}

// componentOf is the component that a name shows.
func componentOf(name string) string {
	if !utf8.ValidString(name) {
		return notUTF8 + quote(name)
	}
	stuffing, kind, component := escaped(name)
	switch {
	case kind == unsayable && stuffing > 0:
		return escape + name[len(escape)+1:]
	case kind == unsayable:
		return component
	case kind == notUTF8:
		return escape + "=" + name[len(escape):]
	}
	return name
}

// isName says whether a file can have the name, were it not for its length and for what UTF-8 is.
func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "\x00/") && !strings.HasSuffix(s, goesOnMark) && !strings.HasSuffix(s, besideMark)
}

// escaped takes apart what begins with the escape, any number of = and a quotation of what the other side cannot say, and of nothing else: kind is
// empty where s is no such thing. The = keep apart what was written by us and what was so called by somebody.
func escaped(s string) (stuffing int, kind, quoted string) {
	rest, ok := strings.CutPrefix(s, escape)
	if !ok {
		return 0, "", ""
	}
	body := strings.TrimLeft(rest, "=")
	stuffing = len(rest) - len(body)
	if body == "" {
		return 0, "", ""
	}
	quoted, ok = unquote(body[1:])
	switch {
	case !ok:
	case body[0] == '@' && utf8.ValidString(quoted) && !isName(quoted) && !strings.Contains(quoted, "/"):
		return stuffing, unsayable, quoted
	case body[0] == '!' && !utf8.ValidString(quoted) && isName(quoted) && len(quoted) <= maxName:
		return stuffing, notUTF8, quoted
	}
	return 0, "", ""
}

// quote writes percent signs, zero bytes and what is not UTF-8 as %XX.
func quote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == '%' || r == 0 {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// unquote reads what quote writes, and nothing else.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
				return "", false
			}
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), quote(b.String()) == s
}

// namesOf are the names that show a component: one, or, where it is too long for one, some that end in goesOnMark and one more. beside leaves room for
// besideMark, with which the last then ends.
func namesOf(component string, beside bool) []string {
	room, suffix := maxName, ""
	if beside {
		room, suffix = maxName-suffixBytes, besideMark
	}
	var names []string
	for {
		name := nameOf(component)
		if len(name) <= room {
			return append(names, name+suffix)
		}
		cut := longestPart(component)
		names = append(names, nameOf(component[:cut])+goesOnMark)
		component = component[cut:]
	}
}

// longestPart is how much of a component, too long for a name, goes into its first one.
func longestPart(component string) int {
	cut := min(len(component)-1, maxName-suffixBytes)
	for !utf8.RuneStart(component[cut]) || len(nameOf(component[:cut])) > maxName-suffixBytes {
		cut--
	}
	return cut
}
