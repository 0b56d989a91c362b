package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/edgefs/edgefs/internal/vfs"
)

// The layout is described in docs/format/journal.md. Numbers are little-endian.
const (
	fileMagic   = "EDGEJRNL"
	fileVersion = 1
	fileHeader  = 64        // bytes used of the file's first block
	dataStart   = vfs.Align // where batches begin

	batchMagic  = 0x31424a45 // "EJB1"
	batchHeader = 64
	frameHeader = 4

	// MaxRecord bounds a record's data, in bytes.
	MaxRecord = 64 << 20
	// maxPayload bounds what a decoder allocates: a batch is bounded by MaxBatch, but for one record that may exceed it.
	maxPayload = 2*MaxRecord + frameHeader
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is chosen at random when a journal is made; its checksums begin with it, so no bytes from elsewhere pass for a batch.
type identity [16]byte

// fileInfo is what a file's header says.
type fileInfo struct {
	id         identity
	generation uint64 // counts the files of a journal; a recycled file has a new one
	size       int64
}

func (i fileInfo) encode(b []byte) {
	clear(b[:fileHeader])
	copy(b, fileMagic)
	b[8] = fileVersion
	copy(b[16:], i.id[:])
	binary.LittleEndian.PutUint64(b[32:], i.generation)
	binary.LittleEndian.PutUint64(b[40:], uint64(i.size))
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:fileHeader], castagnoli))
}

func decodeFileInfo(b []byte) (fileInfo, error) {
	if len(b) < fileHeader || string(b[:8]) != fileMagic {
		return fileInfo{}, errors.New("it is not a journal file, or its header is damaged")
	}
	if b[8] != fileVersion {
		return fileInfo{}, fmt.Errorf("format version %d is not known to this build", b[8])
	}
	var h [fileHeader]byte
	copy(h[:], b)
	clear(h[12:16])
	if crc32.Checksum(h[:], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return fileInfo{}, errors.New("the header's checksum is wrong")
	}
	return fileInfo{
		id:         identity(b[16:32]),
		generation: binary.LittleEndian.Uint64(b[32:]),
		size:       int64(binary.LittleEndian.Uint64(b[40:])),
	}, nil
}

// header precedes a batch. Where it lies is part of what is summed, so a batch counts only in the place, and in the life of the file, that it
// was written for.
type header struct {
	generation uint64
	offset     int64
	first      uint64 // position of the first record
	count      uint32 // of records; none in a mark
	prev       uint32 // the sum of the batch before this one
	length     int64  // of the payload, in bytes
	payload    uint32 // crc32c of the payload
	life       uint64 // chosen at random when the journal was opened: what two copies of it wrote does not mix unseen
	sum        uint32 // of all the above under the journal's identity
}

// end is where the next batch lies.
func (h header) end() int64 { return h.offset + batchSize(h.length) }

// next is the position after the batch.
func (h header) next() uint64 { return h.first + uint64(h.count) }

func batchSize(payload int64) int64 { return vfs.AlignUp(batchHeader + payload) }

// encode writes the header to b and sets its sum.
func (h *header) encode(id identity, b []byte) {
	clear(b[:batchHeader])
	binary.LittleEndian.PutUint32(b, batchMagic)
	binary.LittleEndian.PutUint64(b[8:], h.generation)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.offset))
	binary.LittleEndian.PutUint64(b[24:], h.first)
	binary.LittleEndian.PutUint32(b[32:], h.count)
	binary.LittleEndian.PutUint32(b[36:], h.prev)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.length))
	binary.LittleEndian.PutUint32(b[48:], h.payload)
	binary.LittleEndian.PutUint64(b[56:], h.life)
	h.sum = headerSum(id, b)
	binary.LittleEndian.PutUint32(b[4:], h.sum)
}

// headerSum covers generation, offset and position, and through the payload's sum the data.
func headerSum(id identity, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, b[8:batchHeader])
}

// decodeHeader reads the header of a batch at offset of the file that info describes, or says that there is none.
func decodeHeader(info fileInfo, offset int64, b []byte) (header, bool) {
	if len(b) < batchHeader || binary.LittleEndian.Uint32(b) != batchMagic {
		return header{}, false
	}
	h := header{
		generation: binary.LittleEndian.Uint64(b[8:]),
		offset:     int64(binary.LittleEndian.Uint64(b[16:])),
		first:      binary.LittleEndian.Uint64(b[24:]),
		count:      binary.LittleEndian.Uint32(b[32:]),
		prev:       binary.LittleEndian.Uint32(b[36:]),
		length:     int64(binary.LittleEndian.Uint64(b[40:])),
		payload:    binary.LittleEndian.Uint32(b[48:]),
		life:       binary.LittleEndian.Uint64(b[56:]),

		sum: binary.LittleEndian.Uint32(b[4:]),
	}
	if h.sum != headerSum(info.id, b) || h.generation != info.generation || h.offset != offset {
		return header{}, false
	}
	if h.length < int64(h.count)*frameHeader || h.length > maxPayload {
		return header{}, false
	}
	return h, true
}

func appendFrame(b []byte, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

// frames yields the records of a payload of count frames that begins at position first, then the error that ended it early, if any. The
// records share the payload's bytes.
func frames(payload []byte, first uint64, count uint32) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for i := range uint64(count) {
			if len(payload) < frameHeader {
				yield(Record{}, errFrame)
				return
			}
			n := uint64(binary.LittleEndian.Uint32(payload))
			if n > uint64(len(payload)-frameHeader) {
				yield(Record{}, errFrame)
				return
			}
			end := frameHeader + int(n)
			if !yield(Record{Pos: first + i, Data: payload[frameHeader:end:end]}, nil) {
				return
			}
			payload = payload[end:]
		}
		if len(payload) > 0 {
			yield(Record{}, errFrame)
		}
	}
}

var errFrame = errors.New("the records of a batch do not fill it")
