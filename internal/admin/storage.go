package admin

// Storage is what the segment's device holds. Bytes of chunks are as they are stored, each chunk once.
type Storage struct {
	Chunks        int64  `json:"chunks"`               // durable, data and metadata
	Bytes         int64  `json:"bytes"`                //
	CachedChunks  int64  `json:"cachedChunks"`         // that came from other segments, and may vanish
	CachedBytes   int64  `json:"cachedBytes"`          //
	StagedBytes   int64  `json:"stagedBytes"`          // in memory and in the log, on their way to a device
	DeviceBytes   int64  `json:"deviceBytes"`          // that the devices take of their file systems
	FreeBytes     int64  `json:"freeBytes"`            // of these file systems
	ExposedBytes  int64  `json:"exposedBytes"`         // of versions that no other segment is known to hold; -1: not counted
	ExposedWhy    string `json:"exposedWhy,omitempty"` // why that is not known
	DamagedChunks int64  `json:"damagedChunks"`        // damaged copies found since the daemon started
	Failed        bool   `json:"failed"`               // no device takes writes

	Devices []Device `json:"devices"`
}

// VerifyRequest asks for a check of what is held.
type VerifyRequest struct {
	Bucket string `json:"bucket,omitempty"` // empty: all buckets
}

// VerifyEvent is a line of the answer: where the check stands. The last has Done set; when none has, the check was broken off.
type VerifyEvent struct {
	Done      bool         `json:"done,omitempty"`
	Bucket    string       `json:"bucket,omitempty"`    // at work
	Versions  int64        `json:"versions"`            // checked
	Total     int64        `json:"total"`               // versions to check, as far as known
	Bytes     int64        `json:"bytes"`               // read and verified
	NotHere   int64        `json:"notHere"`             // versions whose payload is, in part, only at other segments
	Repaired  int64        `json:"repaired"`            // damaged places here that were read from another segment
	Damaged   int64        `json:"damaged"`             // versions that could not be read
	Fault     *VerifyFault `json:"fault,omitempty"`     // a version that could not be read
	BrokenOff string       `json:"brokenOff,omitempty"` // why the check ended early
}

// VerifyFault is a version that could not be read.
type VerifyFault struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
	Why     string `json:"why"`
}
