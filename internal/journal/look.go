package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Extent is how much a journal holds.
type Extent struct {
	Files, Records int
	First, Last    uint64 // positions; Last is less than First where there are no records
}

// Look reads the journal in opts.Dir as [Open] does, with the same errors, and changes nothing. Nobody may have it open. Where it fails, replay was called with what
// lies before the damage, as far as that is known to be whole.
func Look(opts Options, from uint64, replay func(Record) error) (Extent, error) {
	opts = opts.withDefaults()
	j := &Journal{opts: opts, log: opts.Logger}
	e, err := j.look(max(from, 1), replay)
	if err != nil {
		err = fmt.Errorf("read journal %s: %w", opts.Dir, err)
	}
	return e, err
}

func (j *Journal) look(from uint64, replay func(Record) error) (e Extent, err error) {
	defer j.closeFiles()
	names, err := j.opts.FS.ReadDir(j.opts.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == tempName })
	if err := j.openFiles(names); err != nil {
		return e, err
	}
	if len(j.files) == 0 {
		if from > 1 {
			return e, fmt.Errorf("%w: there is no file, and record %d is expected next", ErrMissing, from)
		}
		return Extent{First: 1}, nil
	}
	if err := j.checkFiles(); err != nil {
		return e, err
	}
	s, err := j.scan(from, func(r Record) error {
		e.Records++
		e.Last = r.Pos
		if replay == nil {
			return nil
		}
		return replay(r)
	})
	if err != nil {
		return e, err
	}
	e.Files, e.First, e.Last = len(s.files), s.files[0].first, s.next-1
	if e.First == 0 {
		e.First = s.next
	}
	return e, nil
}

// Check tells of all that is wrong with the journal in opts.Dir, from whose position from on records are needed. It changes nothing. An error is that of the disk.
func Check(opts Options, from uint64, tell finding.Tell) (Extent, error) {
	opts = opts.withDefaults()
	c := check{opts: opts, tell: tell}
	if err := c.files(); err != nil {
		return Extent{}, err
	}
	e, err := Look(opts, from, nil)
	if c.report("log.records", err, "the segment does not start, and nothing behind this is known") {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	if e.First < from { // kept for other segments
		_, err = Look(opts, e.First, nil)
		if c.report("log.old", err, "no start needs this; other segments that have not seen it will compare trees instead") {
			return e, nil
		}
	}
	return e, err
}

type check struct {
	opts   Options
	tell   finding.Tell
	broken map[string]bool // files that were told of
}

// report tells of an error that is damage, once for each file.
func (c *check) report(kind string, err error, so string) bool {
	var d *DamagedError
	switch {
	case errors.As(err, &d):
		if !c.broken[d.File] {
			c.tell.Damage(kind, d.File, d.Offset, d.Reason+"; "+so)
		}
	case errors.Is(err, ErrMissing):
		c.tell.Damage(kind, c.opts.Dir, 0, err.Error()+"; "+so)
	default:
		return false
	}
	return true
}

// files looks at each file on its own.
func (c *check) files() error {
	names, err := c.opts.FS.ReadDir(c.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.broken = map[string]bool{}
	for _, name := range names {
		full := path.Join(c.opts.Dir, name)
		_, spare := generationOf(name, spareSuffix)
		_, log := generationOf(name, logSuffix)
		switch {
		case log:
			if err := c.file(full); err != nil {
				return err
			}
		case name == tempName:
			c.tell.Note("log.left", full, "a file that was being prepared; the next start removes it")
		case !spare:
			c.tell.Note("log.foreign", full, "no file of the log")
		}
	}
	return nil
}

func (c *check) file(name string) error {
	f, err := openFile(c.opts.FS, name)
	var d *DamagedError
	if errors.As(err, &d) {
		c.broken[name] = true
		c.tell(c.header(d))
		return nil
	}
	if err != nil {
		return err
	}
	return f.close(ErrClosed)
}

// header is what can be made of a file that cannot be opened. Its header says nothing that its name, its length and the other files do not.
func (c *check) header(d *DamagedError) finding.Finding {
	f := finding.Finding{Grade: finding.Damage, Kind: "log.file", File: d.File, Offset: d.Offset, What: d.Reason + "; the segment does not start"}
	if id, ok := c.identity(d.File); ok && d.Offset == 0 {
		f.Repair, f.Mend = "its header is made again", func() error { return c.mend(d.File, id) }
	}
	return f
}

// identity is the journal's, as another file than one says.
func (c *check) identity(but string) (identity, bool) {
	names, _ := c.opts.FS.ReadDir(c.opts.Dir)
	for _, name := range names {
		full := path.Join(c.opts.Dir, name)
		if _, ok := generationOf(name, logSuffix); !ok || full == but {
			continue
		}
		if f, err := openFile(c.opts.FS, full); err == nil {
			_ = f.close(ErrClosed)
			return f.id, true
		}
	}
	return identity{}, false
}

// mend writes the header of a file, and nothing else.
func (c *check) mend(name string, id identity) error {
	if f, err := openFile(c.opts.FS, name); err == nil {
		return f.close(ErrClosed)
	}
	w, err := c.opts.FS.Open(name, vfs.Write)
	if err != nil {
		return err
	}
	info := fileInfo{id: id}
	info.generation, _ = generationOf(name, logSuffix)
	if info.size, err = w.Size(); err == nil {
		b := make([]byte, fileHeader)
		info.encode(b)
		_, err = w.WriteAt(b, 0)
	}
	return errors.Join(err, w.Sync(), w.Close())
}
