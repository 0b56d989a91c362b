package pack

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	entryPrefix = 'c' // then tag and id
	notePrefix  = 'n' // then the name
	keySize     = 1 + 8 + 32
)

// badgerIndex is an Index in Badger, as a hash index: 40 bytes lead to 26.
type badgerIndex struct {
	db  *badger.DB
	dir string
	log *slog.Logger

	look bool // nothing is written
}

// errIndexDamaged says that the index cannot be read as it was written. It is made again the next time that it is opened.
var errIndexDamaged = errors.New("the index of the packs is damaged, and will be made again at the next start")

// damagedSuffix is what the name of the file adds to that of the index' folder which says that the index is damaged.
const damagedSuffix = ".damaged"

// OpenBadger opens the index in dir, or makes it. One that cannot be opened, or was found damaged, is removed and made again, empty.
//
// Badger writes without syncing: with SyncWrites each request costs a sync of its own, and what is lost is found in the packs.
func OpenBadger(dir string, log *slog.Logger) (Index, error) {
	if _, err := os.Stat(dir + damagedSuffix); err == nil {
		log.Warn("the index of the packs was damaged and is made again", "dir", dir)
		if err := errors.Join(os.RemoveAll(dir), os.Remove(dir+damagedSuffix)); err != nil {
			return nil, err
		}
	}
	db, err := openBadger(dir, log)
	if err != nil {
		log.Warn("the index of the packs cannot be opened and is made again", "dir", dir, "err", err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		db, err = openBadger(dir, log)
	}
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	return badgerIndex{db: db, dir: dir, log: log}, nil
}

// openBadger turns a panic of Badger's, which some damage causes, into an error.
func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	return openBadgerAs(badgerOptions(dir, log))
}

func openBadgerAs(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger: %v", p)
		}
	}()
	if err := soundTables(o); err != nil {
		return nil, err
	}
	return badger.Open(o)
}

// told notes that the index is damaged: an answer of a damaged index is none.
func (x badgerIndex) told(err error) error {
	if err == nil || x.look {
		return err
	}
	x.log.Error("the index of the packs cannot be read; it is made again at the next start", "dir", x.dir, "err", err)
	return errors.Join(fmt.Errorf("%w: %w", errIndexDamaged, err), os.WriteFile(x.dir+damagedSuffix, nil, 0o600))
}

// guarded does what reads the index. A panic of Badger's is damage too.
func (x badgerIndex) guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = x.told(fmt.Errorf("badger: %v", p))
		}
	}()
	return do()
}

// badgerOptions keep Badger small: with its defaults a million chunks cost 600 MiB of memory, with these 75.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false).
		WithMemTableSize(16 << 20).
		WithNumMemtables(3).
		WithBlockCacheSize(32 << 20).
		WithNumCompactors(2).
		WithCompression(0).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithValueLogFileSize(16 << 20).
		WithLogger(badgerLog{log})
}

func appendKey(b []byte, k Key) []byte {
	b = append(b, entryPrefix)
	b = append(b, k.Tag[:]...)
	return append(b, k.ID[:]...)
}

func noteKey(name string) []byte { return append([]byte{notePrefix}, name...) }

func (x badgerIndex) Lookup(keys []Key, found func(i int, e Entry)) error {
	entries := make([]Entry, len(keys))
	err := x.guarded(func() error {
		txn := x.db.NewTransaction(false)
		defer txn.Discard()
		buf := make([]byte, 0, keySize)
		for i, k := range keys {
			item, err := txn.Get(appendKey(buf, k))
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err == nil {
				entries[i], err = entryOf(item)
			}
			if err != nil {
				return x.told(err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e.Class != 0 {
			found(i, e)
		}
	}
	return nil
}

func entryOf(item *badger.Item) (e Entry, err error) {
	err = item.Value(func(b []byte) error {
		var ok bool
		if e, ok = decodeEntry(b); !ok {
			return fmt.Errorf("index entry of %d bytes", len(b))
		}
		return nil
	})
	return e, err
}

func (x badgerIndex) Apply(set []Pair, remove []Key) error {
	batch := x.db.NewWriteBatch()
	defer batch.Cancel()
	slab := make([]byte, 0, len(set)*(keySize+entrySize)+len(remove)*keySize)
	for _, p := range set {
		from := len(slab)
		slab = appendKey(slab, p.Key)
		mid := len(slab)
		slab = p.Entry.append(slab)
		if err := batch.Set(slab[from:mid:mid], slab[mid:]); err != nil {
			return err
		}
	}
	for _, k := range remove {
		from := len(slab)
		slab = appendKey(slab, k)
		if err := batch.Delete(slab[from:]); err != nil {
			return err
		}
	}
	return batch.Flush()
}

// All is [Index.All]. Badger passes over blocks that it cannot read, here as in Lookup, and does not say so: what has yielded everything is verified.
func (x badgerIndex) All(yield func(Key, Entry) error) error {
	return x.guarded(func() error {
		err := x.iterate([]byte{entryPrefix}, func(item *badger.Item) error {
			b := item.Key()
			if len(b) != keySize {
				return x.told(fmt.Errorf("index key of %d bytes", len(b)))
			}
			e, err := entryOf(item)
			if err != nil {
				return x.told(err)
			}
			k := Key{Tag: Tag(b[1:9])}
			copy(k.ID[:], b[9:])
			return yield(k, e)
		})
		if err != nil {
			return err
		}
		return x.told(x.db.VerifyChecksum())
	})
}

func (x badgerIndex) iterate(prefix []byte, yield func(*badger.Item) error) error {
	return x.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := yield(it.Item()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x badgerIndex) Note(name string) (value []byte, err error) {
	err = x.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(noteKey(name))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err == nil {
			value, err = item.ValueCopy(nil)
		}
		return err
	})
	return value, err
}

func (x badgerIndex) Notes(prefix string, yield func(string, []byte) error) error {
	return x.iterate(noteKey(prefix), func(item *badger.Item) error {
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return yield(string(item.Key()[1:]), value)
	})
}

func (x badgerIndex) SetNote(name string, value []byte) error {
	return x.db.Update(func(txn *badger.Txn) error {
		if value == nil {
			return txn.Delete(noteKey(name))
		}
		return txn.Set(noteKey(name), value)
	})
}

func (x badgerIndex) Sync() error  { return x.db.Sync() }
func (x badgerIndex) Reset() error { return x.db.DropAll() }
func (x badgerIndex) Close() error { return x.db.Close() }

// badgerLog passes on what Badger says; what it does from day to day is for debugging only. So is what it thinks of the size of its caches, once a minute:
// they are bounded on purpose, and nobody who operates a segment can size them.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any) { l.log.Error(badgerLine(f, a)) }
func (l badgerLog) Warningf(f string, a ...any) {
	if strings.Contains(f, "might be too small") || strings.HasPrefix(f, "Cache life expectancy") {
		l.log.Debug(badgerLine(f, a))
		return
	}
	l.log.Warn(badgerLine(f, a))
}
func (l badgerLog) Infof(f string, a ...any)  { l.log.Debug(badgerLine(f, a)) }
func (l badgerLog) Debugf(f string, a ...any) { l.log.Debug(badgerLine(f, a)) }

func badgerLine(f string, a []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(f, a...))
}
