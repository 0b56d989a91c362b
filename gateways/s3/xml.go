package s3

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlns     = "http://s3.amazonaws.com/doc/2006-03-01/"
	// timeFormat is how S3 documents write a moment, in UTC.
	timeFormat = "2006-01-02T15:04:05.000Z"
)

// document appends an XML document. Names are ours and well formed; values are escaped. The zero document is empty.
// Reflection would be most of the cost of listing a large bucket: see BenchmarkListDocument.
type document struct{ b []byte }

// begin starts the document with its root element, in S3's name space.
func (d *document) begin(root string) {
	d.b = append(d.b, xmlHeader...)
	d.b = append(d.b, '<')
	d.b = append(d.b, root...)
	d.b = append(d.b, ` xmlns="`+xmlns+`">`...)
}

func (d *document) open(name string) {
	d.b = append(d.b, '<')
	d.b = append(d.b, name...)
	d.b = append(d.b, '>')
}

func (d *document) close(name string) {
	d.b = append(d.b, '<', '/')
	d.b = append(d.b, name...)
	d.b = append(d.b, '>')
}

// text writes an element with a value, also an empty one.
func (d *document) text(name, value string) {
	d.open(name)
	d.b = appendText(d.b, value)
	d.close(name)
}

// textIf writes an element unless its value is empty.
func (d *document) textIf(name, value string) {
	if value != "" {
		d.text(name, value)
	}
}

func (d *document) num(name string, n int64) {
	d.open(name)
	d.b = strconv.AppendInt(d.b, n, 10)
	d.close(name)
}

func (d *document) flag(name string, v bool) {
	d.open(name)
	d.b = strconv.AppendBool(d.b, v)
	d.close(name)
}

func (d *document) time(name string, t time.Time) {
	d.open(name)
	d.b = appendTime(d.b, t)
	d.close(name)
}

// etag writes an ETag with its quotes, which S3 escapes.
func (d *document) etag(value string) {
	d.b = append(d.b, "<ETag>&quot;"...)
	d.b = appendText(d.b, value)
	d.b = append(d.b, "&quot;</ETag>"...)
}

func (d *document) owner(name string, o owner) {
	d.open(name)
	d.text("ID", o.ID)
	d.text("DisplayName", o.DisplayName)
	d.close(name)
}

// appendTime is t.UTC().AppendFormat(b, timeFormat) at a third of its cost.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeFormat)
	}
	hour, minute, sec := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), sec, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1e6, 3)
	return append(b, 'Z')
}

func appendDigits(b []byte, n, width int) []byte {
	for div := pow10(width - 1); div > 0; div /= 10 {
		b = append(b, byte('0'+n/div%10))
	}
	return b
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// appendText escapes s. A key may hold any character: what XML 1.0 cannot hold is written as a reference, as S3 does (such a document is read
// by lenient clients only; encoding-type=url is for them), and bytes that are not UTF-8 as U+FFFD.
func appendText(b []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += n
			continue
		}
		if plainText(c) {
			i++
			continue
		}
		b = append(b, s[done:i]...)
		b = appendReference(b, c)
		i++
		done = i
	}
	return append(b, s[done:]...)
}

func plainText(c byte) bool {
	return c >= ' ' && c != '<' && c != '>' && c != '&' && c != '"' && c != '\'' && c != 0x7f
}

func appendReference(b []byte, c byte) []byte {
	switch c {
	case '<':
		return append(b, "&lt;"...)
	case '>':
		return append(b, "&gt;"...)
	case '&':
		return append(b, "&amp;"...)
	case '"':
		return append(b, "&quot;"...)
	case '\'':
		return append(b, "&#39;"...)
	}
	b = append(b, "&#x"...)
	b = strconv.AppendUint(b, uint64(c), 16)
	return append(b, ';')
}

// appendURL percent-encodes s as signatures and encoding-type=url do: all but letters, digits and -_.~ and, where keepSlash, the slash.
func appendURL(b []byte, s string, keepSlash bool) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || keepSlash && c == '/' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}
