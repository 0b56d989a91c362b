package history

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// formatVersion is what this package writes and all that it reads.
const formatVersion = 1

// maxLine bounds a line: the longest key of S3 and much room.
const maxLine = 4 << 10

var errRecord = errors.New("damaged record")

// verb is what a record says.
type verb string

const (
	verbPut    verb = "put"
	verbDelete verb = "delete"
	verbOK     verb = "ok"
	verbNo     verb = "no"
	verbLost   verb = "lost"
)

// record is one line after the first.
type record struct {
	verb    verb
	key     string
	version uint64
	size    int64  // of a put
	reason  string // of a lost one, without line breaks
}

// head is the first line.
type head struct {
	seed           uint64
	bucket, prefix string
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendLine frames a line's body.
func appendLine(dst []byte, body string) []byte {
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum([]byte(body), castagnoli))
	dst = append(dst, body...)
	return append(dst, '\n')
}

// unframe checks a line, without its line break, and returns its body.
func unframe(line string) (string, error) {
	sum, body, ok := strings.Cut(line, " ")
	if !ok || fmt.Sprintf("%08x", crc32.Checksum([]byte(body), castagnoli)) != sum {
		return "", fmt.Errorf("%w: checksum of %q", errRecord, line)
	}
	return body, nil
}

func (h head) String() string {
	return fmt.Sprintf("history %d %d %s %s", formatVersion, h.seed, h.bucket, h.prefix)
}

func parseHead(body string) (head, error) {
	f := strings.Split(body, " ")
	if len(f) != 5 || f[0] != "history" {
		return head{}, fmt.Errorf("%w: not the head of a history: %q", errRecord, body)
	}
	if f[1] != strconv.Itoa(formatVersion) {
		return head{}, fmt.Errorf("history has format %s, this program reads %d", f[1], formatVersion)
	}
	seed, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return head{}, fmt.Errorf("%w: seed %q", errRecord, f[2])
	}
	return head{seed: seed, bucket: f[3], prefix: f[4]}, nil
}

func (r record) String() string {
	switch r.verb {
	case verbPut:
		return fmt.Sprintf("put %s %d %d", r.key, r.version, r.size)
	case verbLost:
		return fmt.Sprintf("lost %s %d %s", r.key, r.version, r.reason)
	}
	return fmt.Sprintf("%s %s %d", r.verb, r.key, r.version)
}

func parseRecord(body string) (record, error) {
	f := strings.SplitN(body, " ", 4)
	if len(f) < 3 {
		return record{}, fmt.Errorf("%w: %q", errRecord, body)
	}
	r := record{verb: verb(f[0]), key: f[1]}
	version, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil || version == 0 || r.key == "" {
		return record{}, fmt.Errorf("%w: %q", errRecord, body)
	}
	r.version = version
	switch {
	case r.verb == verbPut && len(f) == 4:
		r.size, err = strconv.ParseInt(f[3], 10, 64)
		if err != nil || r.size < 0 {
			return record{}, fmt.Errorf("%w: size %q", errRecord, f[3])
		}
		return r, nil
	case r.verb == verbLost && len(f) == 4:
		r.reason = f[3]
		return r, nil
	case (r.verb == verbDelete || r.verb == verbOK || r.verb == verbNo) && len(f) == 3:
		return r, nil
	}
	return record{}, fmt.Errorf("%w: %q", errRecord, body)
}
