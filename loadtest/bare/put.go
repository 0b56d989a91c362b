package bare

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"sync"

	"github.com/zeebo/blake3"
)

// pieceSize is what put-stages reads, hashes and writes at a time.
const pieceSize = 1 << 20

// putStages does the stages of a compatible PUT one after the other, and writes the last piece while it works on the next.
type putStages struct {
	file   *file
	gear   *gear
	states sync.Pool // of *putState
}

// putState is what one PUT works with.
type putState struct {
	md5    hash.Hash
	blake3 *blake3.Hasher
	pieces [2][]byte
}

func newPutStages(f *file) *putStages {
	p := &putStages{file: f, gear: newGear()}
	p.states.New = func() any {
		s := &putState{md5: md5.New(), blake3: blake3.New()}
		for i := range s.pieces {
			s.pieces[i] = aligned(pieceSize)
		}
		return s
	}
	return p
}

func (p *putStages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !onlyPut(w, r) {
		return
	}
	s := p.states.Get().(*putState)
	defer p.states.Put(s)
	etag, err := p.take(s, r.Body, r.ContentLength)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("ETag", `"`+etag+`"`)
}

func (p *putStages) take(s *putState, body io.Reader, size int64) (etag string, err error) {
	off, err := p.file.reserve(size)
	if err != nil {
		return "", err
	}
	out := newWriteBehind(p.file, off)
	hashErr := p.hash(s, body, size, out)
	if err := out.finish(); err != nil {
		return "", err
	}
	if hashErr != nil {
		return "", hashErr
	}
	if err := p.file.sync(); err != nil {
		return "", err
	}
	return hex.EncodeToString(s.md5.Sum(nil)), nil
}

// hash hands each piece to out, which takes one only when it has written the one before: that one may be filled again.
func (p *putStages) hash(s *putState, body io.Reader, size int64, out *writeBehind) error {
	s.md5.Reset()
	s.blake3.Reset()
	cut := cutter{gear: p.gear}
	var id [32]byte
	for i := 0; size > 0; i++ {
		piece := s.pieces[i%len(s.pieces)]
		data := piece[:min(size, pieceSize)]
		if _, err := io.ReadFull(body, data); err != nil {
			return err
		}
		size -= int64(len(data))
		s.md5.Write(data)
		for rest := data; len(rest) > 0; {
			n, ends := cut.next(rest)
			s.blake3.Write(rest[:n])
			rest = rest[n:]
			if ends || size == 0 && len(rest) == 0 {
				s.blake3.Sum(id[:0])
				s.blake3.Reset()
			}
		}
		out.pieces <- piece[:roundUp(int64(len(data)))]
	}
	return nil
}

// writeBehind writes pieces in order while the next ones are made.
type writeBehind struct {
	pieces chan []byte // unbuffered: a piece handed over means that the one before it is written
	done   sync.WaitGroup
	err    error
}

func newWriteBehind(f *file, off int64) *writeBehind {
	w := &writeBehind{pieces: make(chan []byte)}
	w.done.Go(func() {
		for piece := range w.pieces {
			if w.err == nil {
				_, w.err = f.f.WriteAt(piece, off)
			}
			off += int64(len(piece))
		}
	})
	return w
}

func (w *writeBehind) finish() error {
	close(w.pieces)
	w.done.Wait()
	return w.err
}
