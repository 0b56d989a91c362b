package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each way that a wait for a byte ends, with the reader in another goroutine, as who sends a request has it.
func TestTheWaitForInputEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(cancel, done func(), w *os.File)
		want error
	}{
		"with the command":   {func(cancel, _ func(), _ *os.File) { cancel() }, context.Canceled},
		"with its user":      {func(_, done func(), _ *os.File) { done() }, os.ErrClosed},
		"with its other end": {func(_, _ func(), w *os.File) { w.Close() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			all(t, err)
			defer r.Close()
			defer w.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in, done, err := input(ctx, r)
			all(t, err)
			defer done()
			_, err = w.WriteString("x")
			all(t, err)
			if n, err := in.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			got := make(chan error, 1)
			go func() {
				_, err := in.Read(make([]byte, 9))
				got <- err
			}()
			end.do(cancel, done, w)
			select {
			case err := <-got:
				if !errors.Is(err, end.want) {
					t.Errorf("got %v, want %v", err, end.want)
				}
			case <-time.After(time.Minute):
				t.Error("it waits on")
			}
		})
	}
}

func TestMemoryAndFilesAreReadAsTheyAre(t *testing.T) {
	f, err := open(fileWith(t, "f", "content"))
	all(t, err)
	defer f.Close()
	in, done, err := input(t.Context(), f)
	all(t, err)
	defer done()
	if got := readAll(t, in); got != "content" {
		t.Errorf("%q", got)
	}
}

func TestAFileIsReadAsLongAsItWas(t *testing.T) {
	for _, c := range []struct {
		size int64
		want string
		ok   bool
	}{{7, "content", true}, {4, "cont", true}, {8, "content", false}} {
		text, err := io.ReadAll(&exactReader{r: strings.NewReader("content"), name: "f", rest: c.size})
		if string(text) != c.want || (err == nil) != c.ok {
			t.Errorf("of %d: %q, %v", c.size, text, err)
		}
	}
}

// What is shown of how far something has come never stops it.
func TestMoreThanWasToldIsReadOn(t *testing.T) {
	for _, total := range []int64{-1, 0, 3} {
		bar := (&app{errs: io.Discard}).progress("x", total)
		if got := readAll(t, bar.reader(strings.NewReader("content"))); got != "content" {
			t.Errorf("total %d: %q", total, got)
		}
	}
}

// Who sends a request may count on after its answer.
func TestCountingAndShowingGoOnAtOnce(t *testing.T) {
	bar := (&app{errs: io.Discard}).progress("x", -1)
	var counting sync.WaitGroup
	counting.Go(func() { _, _ = io.Copy(io.Discard, bar.reader(io.LimitReader(rand.Reader, 1<<20))) })
	for range 1000 {
		bar.clear()
	}
	counting.Wait()
	bar.done()
}
