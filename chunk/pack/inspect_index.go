package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"

	"github.com/edgefs/edgefs/chunk"
)

// madeAgain is what a repair does to an index: the next start makes it again of the packs.
const madeAgain = "it is removed; the next start makes it again of the packs"

// index compares the index with the catalog. An index that is not there, or of another device, is made again by the next start anyway.
func (n *Inspection) index(ctx context.Context) error {
	dir := n.indexDir()
	x, done, err := n.openIndex(dir)
	if x == nil && err == nil {
		n.tell.Note("index.missing", dir, "there is no index; the next start makes one of the packs")
		return nil
	}
	if err != nil {
		n.tell.Repairable("index", dir, 0, "it cannot be read: "+err.Error(), madeAgain, n.dropIndex)
		return nil
	}
	err = n.compare(ctx, x, dir)
	done()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		n.indexed = false
		n.tell.Repairable("index", dir, 0, "it cannot be read: "+err.Error(), madeAgain, n.dropIndex)
	}
	return nil
}

func (n *Inspection) indexDir() string {
	if n.opts.IndexDir != "" {
		return path.Join(n.opts.IndexDir, n.ID.String())
	}
	return path.Join(n.opts.Dir, indexDir)
}

func (n *Inspection) openIndex(dir string) (Index, func(), error) {
	if n.opts.Index != nil {
		return n.opts.Index, func() {}, nil
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if _, err := os.Stat(dir + damagedSuffix); err == nil {
		return nil, nil, errors.New("it was found damaged when it was used")
	}
	return lookBadger(dir)
}

// lookBadger opens an index without changing it: as it is if it was closed, else a copy of it, since Badger recovers by writing.
func lookBadger(dir string) (Index, func(), error) {
	log := slog.New(slog.DiscardHandler)
	o := badgerOptions(dir, log)
	db, err := openBadgerAs(o.WithReadOnly(true))
	if err == nil {
		return badgerIndex{db: db, dir: dir, log: log, look: true}, func() { _ = db.Close() }, nil
	}
	temp, err := os.MkdirTemp("", "edgefs-index-")
	if err != nil {
		return nil, nil, err
	}
	drop := func() { _ = os.RemoveAll(temp) }
	copied := filepath.Join(temp, "index")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		drop()
		return nil, nil, err
	}
	if db, err = openBadgerAs(badgerOptions(copied, log)); err != nil {
		drop()
		return nil, nil, err
	}
	return badgerIndex{db: db, dir: copied, log: log, look: true}, func() { _ = db.Close(); drop() }, nil
}

// compare goes through the index once.
func (n *Inspection) compare(ctx context.Context, x Index, dir string) error {
	owner, err := x.Note(deviceNote)
	if err != nil {
		return err
	}
	if !bytes.Equal(owner, n.ID[:]) {
		n.tell.Note("index.other", dir, "it is of another device, or empty; the next start makes it again of the packs")
		return nil
	}
	if err := n.notes(x); err != nil {
		return err
	}
	counts := map[chunk.Class]Count{}
	clean, err := x.Note(cleanNote)
	if err != nil {
		return err
	}
	_, n.clean = decodeClean(clean, counts) // what it says of packs that are not sealed is not needed: they are read anyway
	held, astray := map[chunk.Class]Count{}, 0
	err = x.All(func(k Key, e Entry) error {
		if !n.leads(k, e) && (n.clean || e.Class.Durable()) {
			astray++
			n.tell.Repairable("index.entry", packName(n.opts.Dir, e.Generation), e.Offset, fmt.Sprintf("chunk %v should be there, and no whole record of it is", k.ID), "the index is made again without it", n.dropIndex)
		}
		held[e.Class] = held[e.Class].with(e, 1)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	n.indexed = true
	if n.clean && astray == 0 && !bytes.Equal(encodeCounts(counts), encodeCounts(held)) {
		n.tell.Repairable("index.figures", dir, 0, "it holds another number of chunks than was noted when the device was closed", madeAgain, n.dropIndex)
	}
	return nil
}

func (n *Inspection) notes(x Index) error {
	numbers := map[uint64]int{}
	for i, p := range n.packs {
		numbers[p.generation] = i
	}
	return x.Notes(packNotes, func(name string, _ []byte) error {
		var generation uint64
		if _, err := fmt.Sscanf(name[len(packNotes):], "%x", &generation); err != nil {
			return fmt.Errorf("note %q: %w", name, err)
		}
		if i, ok := numbers[generation]; ok {
			n.noted[i] = true
		}
		return nil
	})
}

// leads marks the record that an entry leads to.
func (n *Inspection) leads(k Key, e Entry) bool {
	sum, spots := entrySum(k, e), n.catalog.of(k)
	for i := range spots {
		s := &spots[i]
		if s.sum == sum && s.offset() == e.Offset && n.packs[s.pack].generation == e.Generation {
			s.flags |= spotIndexed
			return true
		}
	}
	return false
}
