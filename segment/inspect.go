package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/journal"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Inspect opens the segment in cfg.Dir as its files say, to be checked and read, and changes nothing: no log is open, nothing runs in the background, nobody may write to it,
// and it needs no closing. Nobody else may have cfg.Dir open. It tells of what is wrong with log and state. What a start would refuse is opened as far as it goes: with the
// older state, or with the log up to where it is damaged. It is nil where nothing can be opened.
//
// Payload that only the log holds is kept in memory, cfg.CheckpointAt at the most, about.
func Inspect(ctx context.Context, cfg Config, tell finding.Tell) (*Segment, error) {
	cfg.setDefaults()
	cfg.StageBytes, cfg.Mend, cfg.Read = math.MaxInt64, nil, nil
	i := inspection{cfg: cfg, tell: tell}
	if err := i.files(); err != nil {
		return nil, fmt.Errorf("look at segment in %s: %w", cfg.Dir, err)
	}
	for n, st := range i.states {
		s, err := i.open(ctx, st)
		if err == nil || ctx.Err() != nil {
			return s, ctx.Err()
		}
		so := "the segment does not start"
		if n+1 < len(i.states) {
			so += ", and is looked at with the state before"
		}
		i.tell.Damage("segment.start", st.name, 0, err.Error()+"; "+so)
	}
	return nil, nil
}

// inspection is what the files of a segment say.
type inspection struct {
	cfg    Config
	tell   finding.Tell
	states []namedState // to be opened from, the best first
}

type namedState struct {
	*state
	name string
}

func (i *inspection) log() journal.Options {
	return journal.Options{FS: i.cfg.FS, Dir: filepath.Join(i.cfg.Dir, "log"), FileSize: i.cfg.LogFileSize, Logger: i.cfg.Logger}
}

// files looks at the states and at the log behind the newest of them.
func (i *inspection) files() error {
	damaged, err := i.readStates()
	if err != nil {
		return err
	}
	if len(i.states) == 0 {
		if damaged {
			i.tell.Damage("state.none", i.cfg.Dir, 0, "no state is whole: the segment does not start. What can be seen is what the log alone says")
		}
		i.states = []namedState{{new(state), i.cfg.Dir}}
	}
	newest := i.states[0]
	extent, err := journal.Check(i.log(), newest.need(), i.tell)
	if err == nil && extent.Files > 0 && extent.Last < newest.pos {
		i.tell.Damage("log.short", i.log().Dir, 0, fmt.Sprintf("the log ends at record %d, and the state is of record %d: a part of the log is lost, and the segment does not start", extent.Last, newest.pos))
	}
	return err
}

func (i *inspection) readStates() (damaged bool, _ error) {
	s := &Segment{cfg: i.cfg}
	files, err := s.stateFiles()
	if err != nil {
		return false, err
	}
	var bad []finding.Finding
	for _, name := range files {
		full := filepath.Join(i.cfg.Dir, name)
		st, err := s.readState(full)
		switch {
		case errors.Is(err, ErrDamaged):
			bad, damaged = append(bad, finding.Finding{Grade: finding.Damage, Kind: "state", File: full, What: err.Error()}), true
		case err != nil && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrInvalidArgument):
			return false, err
		case err != nil:
			i.tell.Damage("state", full, 0, err.Error())
			damaged = true
		default:
			if want := fmt.Sprintf("%s%016x", statePrefix, st.pos); want != name {
				i.tell.Damage("state.name", full, 0, "it is the state that is called "+want)
			}
			i.states = append(i.states, namedState{st, full})
		}
	}
	for _, f := range bad {
		if len(i.states) > 0 {
			f.Repair, f.Mend = "it is put aside; the segment starts from the other one", func() error {
				_, err := vfs.Aside(i.cfg.FS, f.File, i.cfg.Dir)
				return err
			}
		}
		i.tell(f)
	}
	return damaged, i.left()
}

// left tells of what a crash has left.
func (i *inspection) left() error {
	names, err := i.cfg.FS.ReadDir(i.cfg.Dir)
	for _, name := range names {
		if strings.HasPrefix(name, statePrefix) && strings.HasSuffix(name, ".new") {
			i.tell.Note("state.left", filepath.Join(i.cfg.Dir, name), "a state that was being written; the one before counts")
		}
	}
	return err
}

// open applies the log to a state, as far as it is whole: where it is not was told of.
func (i *inspection) open(ctx context.Context, st namedState) (*Segment, error) {
	s := newSegment(i.cfg)
	from, err := s.restore(ctx, st.state)
	if err != nil {
		return nil, err
	}
	r := replay{s: s, pos: st.pos, done: tally{said: time.Now()}}
	var applying error
	_, err = journal.Look(i.log(), from, func(rec journal.Record) error {
		applying = r.take(ctx, rec)
		return applying
	})
	if applying == nil {
		applying = r.flush(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case applying != nil:
		i.tell.Damage("log.entry", i.log().Dir, 0, applying.Error()+"; the segment does not start, and what comes later in the log is not looked at")
	case err != nil && !errors.Is(err, journal.ErrDamaged) && !errors.Is(err, journal.ErrMissing):
		return nil, err
	}
	if err := s.wakeAll(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// canonical says whether bytes are what this build would have written.
func canonical(raw []byte, write func([]byte) []byte) bool { return bytes.Equal(write(nil), raw) }
