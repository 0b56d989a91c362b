package spread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

// The file that lists a segment's devices is described in docs/format/devices.md. Numbers are little-endian.
const (
	listFile    = "devices"
	listMagic   = "EDGEDEVL"
	listVersion = 1
	listHead    = 32
	maxDevices  = 256
	maxPath     = 4096
)

// use is what a device is there for.
type use uint8

const (
	serving use = 1 + iota
	// draining devices take no new chunks; those that they hold are moved away.
	draining
)

// entry is a device in the list.
type entry struct {
	id   pack.ID
	use  use
	path string // empty: the one that the configuration names
}

var errList = errors.New("the list of devices is damaged")

func encodeList(entries []entry) []byte {
	b := make([]byte, listHead)
	copy(b, listMagic)
	b[8] = listVersion
	binary.LittleEndian.PutUint32(b[16:], uint32(len(entries)))
	for _, e := range entries {
		b = append(b, e.id[:]...)
		b = append(b, byte(e.use), 0)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(e.path)))
		b = append(b, e.path...)
	}
	binary.LittleEndian.PutUint32(b[12:], listSum(b))
	return b
}

// listSum covers all but the four bytes that hold it.
func listSum(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(b[:12], table), table, b[16:])
}

func decodeList(b []byte) ([]entry, error) {
	if len(b) < listHead || string(b[:8]) != listMagic {
		return nil, errList
	}
	if b[8] != listVersion {
		return nil, fmt.Errorf("the list of devices has format version %d, which is not known to this build", b[8])
	}
	n := binary.LittleEndian.Uint32(b[16:])
	if binary.LittleEndian.Uint32(b[12:]) != listSum(b) || n == 0 || n > maxDevices {
		return nil, errList
	}
	entries := make([]entry, 0, n)
	for rest := b[listHead:]; len(rest) > 0; {
		if len(rest) < 20 {
			return nil, errList
		}
		e := entry{id: pack.ID(rest[:16]), use: use(rest[16])}
		size := int(binary.LittleEndian.Uint16(rest[18:]))
		if size > maxPath || len(rest) < 20+size || e.use != serving && e.use != draining {
			return nil, errList
		}
		e.path = string(rest[20 : 20+size])
		entries = append(entries, e)
		rest = rest[20+size:]
	}
	if !bytes.Equal(encodeList(entries), b) {
		return nil, errList
	}
	return entries, nil
}

// maxList bounds what is read of the file.
const maxList = listHead + maxDevices*(20+maxPath)

// readList reads the list; where there is none, the segment has the one device that it began with.
func readList(sys vfs.FS, dir string) ([]entry, error) {
	f, err := sys.Open(path.Join(dir, listFile), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxList {
		return nil, errList
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return decodeList(b)
}

// writeList replaces the list. When it returns nil the new one survives a power cut; after an error either is found.
func writeList(sys vfs.FS, dir string, entries []entry) error {
	name := path.Join(dir, listFile)
	f, err := sys.Open(name+".tmp", vfs.Create)
	if err != nil {
		return err
	}
	b := encodeList(entries)
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Truncate(int64(len(b))) // of one that a crash left
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := sys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return sys.SyncDir(dir)
}
