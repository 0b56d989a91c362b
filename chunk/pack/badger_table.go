package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// soundTables looks at what Badger relies on when it opens its tables, in goroutines of its own: there damage ends the process, or leaves a table out without a word. It reads no
// more than Badger does then.
func soundTables(o badger.Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger: %v", p)
		}
	}()
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a new one
	}
	if err != nil {
		return err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err != nil {
		return err
	}
	for id := range m.Tables {
		name := table.NewFilename(id, o.Dir)
		if err := soundTable(name); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

var errTable = errors.New("what it ends with is damaged")

// soundTable checks the index of a table and its last block. A table ends with index, its length, its checksum, and the length of that; lengths have four bytes, big-endian.
func soundTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	tail := func(n int64) ([]byte, error) {
		if n < 0 || n > end {
			return nil, errTable
		}
		end -= n
		b := make([]byte, n)
		_, err := f.ReadAt(b, end)
		return b, err
	}
	sum, err := lengthAnd(tail)
	if err != nil {
		return err
	}
	index, err := lengthAnd(tail)
	if err != nil {
		return err
	}
	if err := soundPart(index, sum); err != nil {
		return err
	}
	var last fb.BlockOffset
	list := fb.GetRootAsTableIndex(index, 0)
	if n := list.OffsetsLength(); n == 0 || !list.Offsets(&last, n-1) || int64(last.Offset())+int64(last.Len()) > end {
		return errTable
	}
	end = int64(last.Offset()) + int64(last.Len())
	floor := int64(last.Offset())
	if sum, err = lengthAnd(tail); err != nil || end < floor {
		return errTable
	}
	block, err := tail(end - floor)
	if err != nil {
		return err
	}
	return soundPart(block, sum)
}

// lengthAnd reads backwards: a length, and that many bytes before it.
func lengthAnd(tail func(int64) ([]byte, error)) ([]byte, error) {
	n, err := tail(4)
	if err != nil {
		return nil, err
	}
	return tail(int64(binary.BigEndian.Uint32(n)))
}

func soundPart(part, sum []byte) error {
	want := &pb.Checksum{}
	if err := proto.Unmarshal(sum, want); err != nil {
		return fmt.Errorf("%w: %w", errTable, err)
	}
	return y.VerifyChecksum(part, want)
}
