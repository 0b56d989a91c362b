// Package story tells what a program shows step by step: what each step measured, which claims it checked, and which of them were false.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Story is told to one reader. Steps follow one another; it is not for concurrent use, apart from [Bar].
type Story struct {
	out   io.Writer
	live  bool // the reader sees a terminal
	paint painter
	begun time.Time
	steps []*Step
}

// New begins a story on f. On a terminal it has colours, unless NO_COLOR is set, and bars that move.
func New(f *os.File) *Story {
	s := To(f)
	s.live = term.IsTerminal(int(f.Fd()))
	s.paint = painter(s.live && os.Getenv("NO_COLOR") == "")
	return s
}

// To begins a story in plain lines.
func To(w io.Writer) *Story { return &Story{out: w, begun: time.Now()} }

// Say writes a line beside the steps.
func (s *Story) Say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// Step is one step of a story.
type Step struct {
	s        *Story
	number   int
	title    string
	measured []string
	claims   int
	wrong    []string
	err      error
	took     time.Duration
}

// ErrSkipped says that a step was not tried, because what it builds on is not there.
var ErrSkipped = errors.New("not tried")

// Step tells a step by doing it. It reports whether everything the step claimed is true, and the step did not fail.
func (s *Story) Step(ctx context.Context, title string, do func(context.Context, *Step) error) bool {
	st := &Step{s: s, number: len(s.steps) + 1, title: title}
	s.steps = append(s.steps, st)
	s.Say("\n%s", s.paint.bold(fmt.Sprintf("%d. %s", st.number, title)))
	begun := time.Now()
	st.err = do(ctx, st)
	st.took = time.Since(begun)
	switch {
	case ctx.Err() != nil:
		st.line(s.paint.bad("STOP "), context.Cause(ctx).Error())
	case errors.Is(st.err, ErrSkipped):
		st.line(s.paint.bad("skip "), st.err.Error())
	case st.err != nil:
		st.line(s.paint.bad("FAIL "), st.err.Error())
	}
	return st.true()
}

// Say tells what happens in the step, or what was measured beside what counts.
func (st *Step) Say(format string, args ...any) { st.line("     ", fmt.Sprintf(format, args...)) }

// Measured tells what was measured, and repeats it in the table at the end.
func (st *Step) Measured(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	st.measured = append(st.measured, text)
	st.line("     ", text)
}

// Check tells a claim and whether it holds, which it returns.
func (st *Step) Check(holds bool, format string, args ...any) bool {
	st.claims++
	claim := fmt.Sprintf(format, args...)
	if !holds {
		st.wrong = append(st.wrong, claim)
		st.line(st.s.paint.bad("FALSE"), claim)
		return false
	}
	st.line(st.s.paint.good("true "), claim)
	return true
}

func (st *Step) line(mark, text string) {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			mark = "     "
		}
		fmt.Fprintf(st.s.out, "   %s %s\n", mark, line)
	}
}

// true says whether the step did what it claims. A step that claims nothing shows nothing.
func (st *Step) true() bool { return st.err == nil && len(st.wrong) == 0 && st.claims > 0 }

// End writes the table, and says whether all steps were true.
func (s *Story) End() bool {
	width, all := 0, true
	for _, st := range s.steps {
		width = max(width, utf8.RuneCountInString(st.title))
		all = all && st.true()
	}
	s.Say("")
	for _, st := range s.steps {
		verdict := s.paint.good("true ")
		if !st.true() {
			verdict = s.paint.bad("FALSE")
		}
		s.Say("%d  %s  %s  %6s", st.number, verdict, s.paint.bold(fmt.Sprintf("%-*s", width, st.title)), Duration(st.took))
		for _, line := range st.summary() {
			s.Say("          %s", line)
		}
	}
	s.Say("\n%d of %d steps are true, in %s", s.count(), len(s.steps), Duration(time.Since(s.begun)))
	return all && len(s.steps) > 0
}

// count is how many steps are true.
func (s *Story) count() (n int) {
	for _, st := range s.steps {
		if st.true() {
			n++
		}
	}
	return n
}

// summary is what the table says of a step beside its verdict.
func (st *Step) summary() []string {
	lines := slices.Clone(st.measured)
	for _, w := range st.wrong {
		lines = append(lines, "false: "+w)
	}
	if st.err != nil {
		lines = append(lines, st.err.Error())
	}
	return lines
}

// Duration is d as people say it, with about three digits.
func Duration(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// painter colours text, when it is true.
type painter bool

func (p painter) in(code, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p painter) good(text string) string { return p.in("32", text) }
func (p painter) bad(text string) string  { return p.in("1;31", text) }
func (p painter) bold(text string) string { return p.in("1", text) }
