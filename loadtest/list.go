package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
)

// maxPage bounds what one page of a listing may take in memory: a thousand keys of S3's longest, escaped.
const maxPage = 8 << 20

// Entry is one object of a listing. Key is valid until the session's next request.
type Entry struct {
	Key  []byte
	Size int64
}

// Page asks for one page of a listing by ListObjectsV2. The first page has no token; after is the key to start behind, or "".
// each gets the entries in the order of the answer. The token returned is "" after the last page.
func (s *Session) Page(ctx context.Context, prefix, after, token string, each func(Entry) error) (next string, err error) {
	var query []byte
	if token != "" {
		query = append(query, "continuation-token="...)
		query = append(appendEscaped(query, token, false), '&')
	}
	query = append(query, "list-type=2&prefix="...)
	query = appendEscaped(query, prefix, false)
	if after != "" {
		query = append(query, "&start-after="...)
		query = appendEscaped(query, after, false)
	}
	_, err = s.exchange(ctx, request{method: http.MethodGet, query: string(query), read: func(resp *http.Response) error {
		page, err := s.readPage(resp)
		if err != nil {
			return err
		}
		next, err = parsePage(page, each)
		var wrong *WrongError
		if err != nil && !errors.As(err, &wrong) {
			return &WrongError{What: "listing", Key: prefix, Detail: err.Error()}
		}
		return err
	}})
	return next, err
}

func (s *Session) readPage(resp *http.Response) ([]byte, error) {
	page := bytes.NewBuffer(s.in[:0])
	n, err := page.ReadFrom(io.LimitReader(resp.Body, maxPage))
	s.in = page.Bytes()
	if n == maxPage {
		return nil, errors.New("page over 8 MiB")
	}
	return s.in, err
}

// parsePage reads a ListBucketResult. It looks for the few elements it needs instead of parsing XML: encoding/xml takes ten times
// as long as a good server takes to make the page (BenchmarkParsePage).
func parsePage(page []byte, each func(Entry) error) (next string, err error) {
	if !bytes.Contains(page, []byte("</ListBucketResult>")) {
		return "", errors.New("not a whole ListBucketResult")
	}
	for rest := page; ; {
		object, tail, ok := element(rest, "<Contents>", "</Contents>")
		if !ok {
			break
		}
		rest = tail
		entry, err := parseEntry(object)
		if err != nil {
			return "", err
		}
		if err := each(entry); err != nil {
			return "", err
		}
	}
	truncated, _, _ := element(page, "<IsTruncated>", "</IsTruncated>")
	if string(truncated) != "true" {
		return "", nil
	}
	token, _, ok := element(page, "<NextContinuationToken>", "</NextContinuationToken>")
	if !ok || len(token) == 0 {
		return "", errors.New("truncated, but without a token")
	}
	return html.UnescapeString(string(token)), nil
}

func parseEntry(object []byte) (Entry, error) {
	key, _, hasKey := element(object, "<Key>", "</Key>")
	size, _, hasSize := element(object, "<Size>", "</Size>")
	if !hasKey || !hasSize {
		return Entry{}, fmt.Errorf("entry without key or size: %q", object)
	}
	n, err := strconv.ParseInt(string(size), 10, 64)
	if err != nil {
		return Entry{}, fmt.Errorf("size of %q: %w", key, err)
	}
	if bytes.IndexByte(key, '&') >= 0 {
		key = []byte(html.UnescapeString(string(key)))
	}
	return Entry{Key: key, Size: n}, nil
}

// element is what stands between the first open and the close after it, and what follows.
func element(text []byte, open, end string) (inner, rest []byte, ok bool) {
	from := bytes.Index(text, []byte(open))
	if from < 0 {
		return nil, nil, false
	}
	text = text[from+len(open):]
	to := bytes.Index(text, []byte(end))
	if to < 0 {
		return nil, nil, false
	}
	return text[:to], text[to+len(end):], true
}
