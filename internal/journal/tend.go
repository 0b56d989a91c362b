package journal

import (
	"path"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// tendFiles keeps the next file ready, so that going on to it costs nothing, and retires those that were cut, until nothing more is committed.
func (j *Journal) tendFiles() {
	retry := time.NewTimer(j.opts.retry)
	defer retry.Stop()
	for {
		full, err := j.tendOnce()
		if err != nil {
			j.fail(err)
			return
		}
		retry.Stop()
		if full {
			retry.Reset(j.opts.retry)
		}
		select {
		case <-j.tend:
		case <-retry.C:
		case <-j.done:
			return
		}
	}
}

func (j *Journal) tendOnce() (full bool, err error) {
	if err := j.retireCut(); err != nil {
		return false, err
	}
	err = j.prepareNext()
	full = vfs.IsFull(err)
	j.mu.Lock()
	if full && !j.full {
		j.log.Warn("no space for the next journal file", "dir", j.opts.Dir)
	}
	j.full = full
	if full {
		j.room.Broadcast()
	}
	j.mu.Unlock()
	signal(j.tended)
	if full {
		return true, nil
	}
	return false, err
}

// retireCut turns the files that were cut into spares, and removes those too many. The folder is synced before a spare is written to: a name of
// the journal must never come back with another content.
func (j *Journal) retireCut() error {
	j.mu.Lock()
	cut, keep := j.cut, maxSpares-len(j.spares)
	j.cut = nil
	j.mu.Unlock()
	if len(cut) == 0 {
		return nil
	}
	var spares []spare
	for _, f := range cut {
		name, err := f.retire(j.opts.FS, j.opts.Dir, len(spares) < keep && f.size <= j.opts.FileSize)
		if err != nil {
			return err
		}
		if name != "" {
			spares = append(spares, spare{name, f.size})
		}
	}
	if err := j.opts.FS.SyncDir(j.opts.Dir); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spares = append(j.spares, spares...)
	return nil
}

// prepareNext makes a file ready if none is.
func (j *Journal) prepareNext() error {
	j.mu.Lock()
	if len(j.ready) > 0 {
		j.mu.Unlock()
		return nil
	}
	last := j.files[len(j.files)-1]
	info := fileInfo{j.id, last.generation + 1, min(max(2*last.size, j.firstSize()), j.opts.FileSize)}
	from := j.takeSpare(&info)
	j.mu.Unlock()

	f, err := prepare(j.opts.FS, j.opts.Dir, info, from)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ready = append(j.ready, f)
	return nil
}

// takeSpare picks a spare of at least the size asked for, which then is the spare's. Called with the lock.
func (j *Journal) takeSpare(info *fileInfo) string {
	for i, s := range j.spares {
		if s.size >= info.size {
			j.spares = append(j.spares[:i], j.spares[i+1:]...)
			info.size = s.size
			return s.name
		}
	}
	return ""
}

// firstSize is the size of the first file: small, so that a new journal is made quickly.
func (j *Journal) firstSize() int64 { return min(j.opts.FileSize, max(4<<20, 2*j.opts.MaxBatch)) }

// removeTemp removes what a crash left of a file that was being prepared.
func (j *Journal) removeTemp() error {
	return j.opts.FS.Remove(path.Join(j.opts.Dir, tempName))
}
