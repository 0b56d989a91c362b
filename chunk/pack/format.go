package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// The layout is described in docs/format/pack.md. Numbers are little-endian.
const (
	deviceMagic = "EDGEDEVC"
	packMagic   = "EDGEPACK"
	sealMagic   = "EDGESEAL"
	version     = 1

	versionOwned = 2 // of a device's format file that says whose the device is

	infoSize  = 64            // of the device's and of a pack's header, and of a seal
	sealStart = vfs.Align     // the seal has a block of its own
	dataStart = 2 * vfs.Align // where records begin

	recordMagic = "EPR1"
	recordSize  = 80 // of a record's header
	recordAlign = 16 // records begin at multiples of it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// deviceID begins checksums, so that bytes from elsewhere never pass for records.
type deviceID = ID

// encodeDevice writes the content of the device's format file. With an owner it is of a version that builds refuse which know of one device only:
// they would take what lies on the others for lost.
func encodeDevice(i Identity) []byte {
	b := make([]byte, infoSize)
	copy(b, deviceMagic)
	b[8] = version
	if i.Owner != (Owner{}) {
		b[8] = versionOwned
	}
	copy(b[16:], i.Device[:])
	copy(b[32:], i.Owner[:])
	binary.LittleEndian.PutUint32(b[12:], sumWithout(b))
	return b
}

func decodeDevice(b []byte) (Identity, error) {
	if err := checkInfo(b, deviceMagic, versionOwned); err != nil {
		return Identity{}, err
	}
	i := Identity{Device: ID(b[16:32])}
	if b[8] == versionOwned {
		i.Owner = Owner(b[32:48])
	}
	return i, nil
}

// lane says which kind of chunks a pack holds: cached ones lie apart, so that they can be dropped by whole packs.
type lane uint8

const (
	cacheLane lane = 1 + iota
	durableLane
)

func laneOf(c chunk.Class) lane {
	if c.Durable() {
		return durableLane
	}
	return cacheLane
}

// packInfo is what a pack's header says.
type packInfo struct {
	device     deviceID
	generation uint64 // counts the packs of a device; a recycled file has a new one
	lane       lane
}

func (i packInfo) encode(b []byte) {
	clear(b[:infoSize])
	copy(b, packMagic)
	b[8], b[9] = version, byte(i.lane)
	copy(b[16:], i.device[:])
	binary.LittleEndian.PutUint64(b[32:], i.generation)
	binary.LittleEndian.PutUint32(b[12:], sumWithout(b))
}

func decodePackInfo(b []byte) (packInfo, error) {
	if err := checkInfo(b, packMagic, version); err != nil {
		return packInfo{}, err
	}
	i := packInfo{deviceID(b[16:32]), binary.LittleEndian.Uint64(b[32:]), lane(b[9])}
	if i.lane != cacheLane && i.lane != durableLane {
		return packInfo{}, fmt.Errorf("pack of an unknown kind %d", i.lane)
	}
	return i, nil
}

// seal says that a pack takes no more records, and where its footer lies: the headers of its records, one after the other.
type seal struct {
	generation uint64
	footer     int64 // offset
	count      uint32
	sum        uint32 // crc32c of the footer
}

func (s seal) size() int64 { return int64(s.count) * recordSize }

func (s seal) encode(b []byte) {
	clear(b[:infoSize])
	copy(b, sealMagic)
	b[8] = version
	binary.LittleEndian.PutUint64(b[16:], s.generation)
	binary.LittleEndian.PutUint64(b[24:], uint64(s.footer))
	binary.LittleEndian.PutUint32(b[32:], s.count)
	binary.LittleEndian.PutUint32(b[36:], s.sum)
	binary.LittleEndian.PutUint32(b[12:], sumWithout(b))
}

// decodeSeal reads the seal of a pack of the given size, or says that there is none.
func decodeSeal(i packInfo, size int64, b []byte) (seal, bool) {
	if checkInfo(b, sealMagic, version) != nil {
		return seal{}, false
	}
	s := seal{
		generation: binary.LittleEndian.Uint64(b[16:]),
		footer:     int64(binary.LittleEndian.Uint64(b[24:])),
		count:      binary.LittleEndian.Uint32(b[32:]),
		sum:        binary.LittleEndian.Uint32(b[36:]),
	}
	fits := s.footer >= dataStart && s.footer <= size && s.size() <= size-s.footer
	return s, fits && s.generation == i.generation
}

// checkInfo checks magic, version and checksum of a header.
func checkInfo(b []byte, magic string, newest byte) error {
	if len(b) < infoSize || string(b[:8]) != magic {
		return errors.New("it does not begin as it should")
	}
	if b[8] == 0 || b[8] > newest {
		return fmt.Errorf("format version %d is not known to this build", b[8])
	}
	if binary.LittleEndian.Uint32(b[12:]) != sumWithout(b) {
		return errors.New("the header's checksum is wrong")
	}
	return nil
}

// sumWithout is the checksum of a header without the four bytes that hold it.
func sumWithout(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:infoSize])
}

// Tag tells dedup domains apart on a device, without telling anything of their keys.
type Tag [8]byte

// TagOf is the tag of a domain: the start of the name that a fixed string has there.
func TagOf(d chunk.Domain) Tag {
	id := d.Name([]byte("edgefs domain tag"))
	return Tag(id[:8])
}

// Key is what a chunk is found by on a device.
type Key struct {
	Tag Tag
	ID  chunk.ID
}

// record is the header of a chunk in a pack. Where it lies is part of what is summed, so it counts only in the place, and in the life of the
// file, that it was written for.
type record struct {
	key        Key
	generation uint64
	offset     int64
	length     uint32 // of the payload as it is stored
	size       uint32 // of the chunk
	class      chunk.Class
	codec      Codec
	sum        uint32 // crc32c of the payload
}

// end is where the next record may begin.
func (r record) end() int64 { return r.offset + recordSpace(int(r.length)) }

// recordSpace is what a record with a payload of that length takes.
func recordSpace(length int) int64 {
	return (recordSize + int64(length) + recordAlign - 1) &^ (recordAlign - 1)
}

func (r record) encode(id *deviceID, b []byte) {
	clear(b[:recordSize])
	copy(b, recordMagic)
	binary.LittleEndian.PutUint64(b[8:], r.generation)
	binary.LittleEndian.PutUint64(b[16:], uint64(r.offset))
	binary.LittleEndian.PutUint32(b[24:], r.length)
	binary.LittleEndian.PutUint32(b[28:], r.size)
	b[32], b[33] = byte(r.class), byte(r.codec)
	binary.LittleEndian.PutUint32(b[36:], r.sum)
	copy(b[40:], r.key.Tag[:])
	copy(b[48:], r.key.ID[:])
	binary.LittleEndian.PutUint32(b[4:], recordSum(id, b))
}

// recordSum covers generation and offset, and through the payload's sum the payload.
func recordSum(id *deviceID, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, b[8:recordSize])
}

// decodeRecord reads the header of a record of the pack, or says that there is none. Where it should lie is for the caller to compare.
func decodeRecord(i packInfo, b []byte) (record, bool) {
	if len(b) < recordSize || string(b[:4]) != recordMagic || binary.LittleEndian.Uint32(b[4:]) != recordSum(&i.device, b) {
		return record{}, false
	}
	r := record{
		key:        Key{Tag(b[40:48]), chunk.ID(b[48:80])},
		generation: binary.LittleEndian.Uint64(b[8:]),
		offset:     int64(binary.LittleEndian.Uint64(b[16:])),
		length:     binary.LittleEndian.Uint32(b[24:]),
		size:       binary.LittleEndian.Uint32(b[28:]),
		class:      chunk.Class(b[32]),
		codec:      Codec(b[33]),
		sum:        binary.LittleEndian.Uint32(b[36:]),
	}
	whole := r.offset >= dataStart && r.offset%recordAlign == 0 && r.length <= 2*chunk.MaxSize && r.size <= chunk.MaxSize
	return r, whole && r.generation == i.generation
}

func payloadSum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
