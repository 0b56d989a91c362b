// Package spread keeps chunks on several devices: it decides where a chunk is written, finds where it lies, and moves what a device holds to the others, so that devices come
// and go while the segment serves.
//
// Each chunk lies on one device. No place is computed from a name: every device has an index of its own that says at once what it does not hold, so a chunk
// is found wherever it is, and adding a device moves nothing. Where copies and coding come, they come here: what [order] ranks is as good for n of them.
package spread
