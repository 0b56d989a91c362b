package server

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// setTags replaces the tags of a version, which stays what it is.
func (s *Server) setTags(w http.ResponseWriter, r *http.Request) error {
	var c admin.TagsChange
	if err := read(r, &c); err != nil {
		return err
	}
	if err := checkTags(c.Tags); err != nil {
		return err
	}
	b, key, v, err := s.version(r)
	if err != nil {
		return err
	}
	now, err := b.SetTags(r.Context(), key, v, c.Tags, segment.Cond{})
	if err != nil {
		return err
	}
	return ok(w, s.objectOf(now))
}

// The most tags, and the most characters of one, as S3 has it.
const (
	maxTags     = 10
	maxTagName  = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("%d tags: a file has at most %d", len(tags), maxTags)
	}
	for name, value := range tags {
		if name == "" || utf8.RuneCountInString(name) > maxTagName || utf8.RuneCountInString(value) > maxTagValue {
			return invalid("tag %q: a name has 1 to %d characters, a value %d at most", name, maxTagName, maxTagValue)
		}
	}
	return nil
}

// lock changes what keeps a version from being removed.
func (s *Server) lock(w http.ResponseWriter, r *http.Request) error {
	var c admin.LockChange
	if err := read(r, &c); err != nil {
		return err
	}
	b, key, v, err := s.version(r)
	if err != nil {
		return err
	}
	change := segment.LockChange{LegalHold: c.LegalHold}
	if c.Mode != nil {
		change.Retention = &segment.Retention{Until: c.Until}
		if err := change.Retention.Mode.UnmarshalText([]byte(*c.Mode)); err != nil {
			return err
		}
	}
	now, err := b.Lock(r.Context(), key, v, change, segment.Cond{BypassGovernance: c.Bypass})
	if err != nil {
		return err
	}
	return ok(w, s.objectOf(now))
}

// lockOf describes a version's lock; nil when there is none.
func lockOf(v *segment.Version) *admin.Lock {
	l := v.Lock()
	if l == (segment.Lock{}) {
		return nil
	}
	out := &admin.Lock{LegalHold: l.LegalHold}
	if l.Mode != segment.NoRetention {
		out.Mode, out.Until = l.Mode.String(), l.Until
	}
	return out
}

// retentionText and parseRetention write a default retention as governance:30d, or 7y; none is empty, or "none".
func retentionText(l segment.LockSettings) string {
	switch {
	case l.Years > 0:
		return l.Mode.String() + ":" + strconv.FormatInt(l.Years, 10) + "y"
	case l.Days > 0:
		return l.Mode.String() + ":" + strconv.FormatInt(l.Days, 10) + "d"
	}
	return ""
}

func parseRetention(text string, l *segment.LockSettings) error {
	l.Mode, l.Days, l.Years = segment.NoRetention, 0, 0
	if text == "none" {
		return nil
	}
	mode, period, _ := strings.Cut(text, ":")
	if err := l.Mode.UnmarshalText([]byte(mode)); err != nil {
		return err
	}
	for unit, into := range map[string]*int64{"d": &l.Days, "y": &l.Years} {
		number, ok := strings.CutSuffix(period, unit)
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil && n > 0 {
			*into = n
			return nil
		}
	}
	return invalid("retention %q: want none, or a mode and days or years, as governance:30d or compliance:7y", text)
}
