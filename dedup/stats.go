package dedup

// Stats is what one operation wrote.
type Stats struct {
	Bytes     int64 // logical: what the object holds of it
	NewChunks int   // payload chunks that were not held, those handed back as pending included
	NewBytes  int64 // in NewChunks
	NewNodes  int   // manifest nodes that were not held
	NodeBytes int64 // in NewNodes
}

// Deduped is how many of the logical bytes were held already, or occurred before in the same object.
func (s Stats) Deduped() int64 { return s.Bytes - s.NewBytes }
