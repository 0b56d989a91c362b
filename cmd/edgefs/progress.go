package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal, and nowhere else, how far something long has come. What it shows is gone when it is done.
type progress struct {
	bar *progressbar.ProgressBar
	out io.Writer // where it is shown
}

// progress begins to show; total is in bytes, -1 when nobody knows.
func (a *app) progress(what string, total int64) progress {
	if a.json || !isTerminal(a.errs) {
		return progress{progressbar.DefaultBytesSilent(total), io.Discard}
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.errs),
		progressbar.OptionSetDescription(printable(what)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionUseANSICodes(true),
	)
	return progress{bar, a.errs}
}

// reader counts what is read from r.
func (p progress) reader(r io.Reader) io.Reader { return countedReader{r, p.bar} }

// countedReader reads on when the bar finds the count wrong, as of files that grow.
type countedReader struct {
	io.Reader
	bar *progressbar.ProgressBar
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	_ = c.bar.Add(n)
	return n, err
}

// at sets how far it has come.
func (p progress) at(n int64) { _ = p.bar.Set64(n) }

// add adds to how far it has come.
func (p progress) add(n int64) { _ = p.bar.Add64(n) }

// describe changes what is said beside the bar.
func (p progress) describe(what string) { p.bar.Describe(printable(what)) }

// clear takes it off the screen for the moment, so that a line can be written. The bar's own Clear may not be called while who sends a
// request still counts.
func (p progress) clear() { _, _ = io.WriteString(p.out, "\r\x1b[K") }

// done takes it off the screen.
func (p progress) done() { _ = p.bar.Finish() }
