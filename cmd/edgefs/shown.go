package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is on a terminal can write over it, change its title, or answer as if the user had typed: keys and messages from elsewhere are shown
// there with their control characters spelled out. Where no terminal is, programs read, and get them as they are.

// word is a name as one word of a terminal's line: as it is, or as bash's $'...' when it holds what cannot be seen.
func word(s string) string {
	if visible(s) {
		return s
	}
	return "$'" + spelled(s, `'\`) + "'"
}

// printable is a message, of any number of lines, for a terminal or a log.
func printable(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		text, end := strings.CutSuffix(line, "\n")
		b.WriteString(spelled(text, ""))
		if end {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// visible says whether s has only characters that print, which leaves out what reverses the order of others.
func visible(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// spelled writes what does not print as escapes, and a backslash before each of the characters of special.
func spelled(s, special string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\%03o`, r)
		case !unicode.IsPrint(r) && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case strings.ContainsRune(special, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printableWriter makes what goes to a terminal printable, whatever a server or a peer has put into it. Each Write ends at the end of a
// character.
type printableWriter struct{ w io.Writer }

func (p printableWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(p.w, printable(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
