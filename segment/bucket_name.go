package segment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
)

// A bucket's document never changes. The name that it was given since is a document of its own, a register as any: the last to be written counts,
// at every segment alike.
const docName = "name/" // + id -> nameDoc

type nameDoc string

const nameDocFormat = 1

func (d nameDoc) appendTo(b []byte) []byte {
	return putBytes(putUint(b, 1, nameDocFormat), 2, string(d))
}

func parseNameDoc(b []byte) (d nameDoc, err error) {
	format := uint64(0)
	err = eachField("name of a bucket", b, func(f field) error {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			d = nameDoc(f.b)
		default:
			return badFormat("name of a bucket")
		}
		return nil
	})
	if err == nil && (format != nameDocFormat || !validBucketName(string(d))) {
		err = fmt.Errorf("name of a bucket, format %d, %q: %w", format, d, ErrForeign)
	}
	return d, err
}

// givenName is a name that a bucket was given after it was made.
type givenName struct {
	name string
	at   HLC
}

// takeName takes such a document in. The caller holds mu.
func (n *names) takeName(s *Segment, rest string, v *Version) error {
	id, err := ParseBucketID(rest)
	if err != nil || v == nil {
		return err
	}
	d, err := parseNameDoc(v.Data)
	if err != nil {
		return err
	}
	n.given[id] = givenName{string(d), v.HLC}
	n.call(s, id)
	n.stale = true
	return nil
}

// called is the name that a bucket was given last, and when. The caller holds mu.
func (n *names) called(d *bucketDoc) (string, HLC) {
	if g, ok := n.given[d.id]; ok {
		return g.name, g.at
	}
	return d.name, d.created
}

// call lets a bucket know its name, and nothing else: a branch may still lie over its parent although its document has come, of a life before a restored
// backup. The caller holds mu.
func (n *names) call(s *Segment, id BucketID) {
	doc, b := n.docs[id], s.bucket(id)
	if doc == nil || b == nil {
		return
	}
	now := *b.doc.Load()
	now.name, _ = n.called(doc)
	b.doc.Store(&now)
}

// before orders buckets of one name: who had it first keeps it. The caller holds mu.
func (n *names) before(a, b *bucketDoc) int {
	_, x := n.called(a)
	_, y := n.called(b)
	return cmp.Or(cmp.Compare(x, y), bytes.Compare(a.id[:], b.id[:]))
}

// RenameBucket gives a bucket another name, at every segment: its old one is free then, and clients that use it get ErrNoSuchBucket. What is in it, its
// snapshots, branches and settings stay. It is ErrBucketExists when another bucket has the name here. Of two names given at two segments at once the later
// stays; of two buckets that were given one name apart, the one that had it first has it, and the other shows as name~segment until it is renamed.
func (s *Segment) RenameBucket(ctx context.Context, old, name string) (*Bucket, error) {
	if !validBucketName(name) {
		return nil, badBucketName(name)
	}
	b, err := s.Bucket(old)
	if err != nil {
		return nil, err
	}
	if b.frozen != "" {
		return nil, fmt.Errorf("rename %q: %w", old, ErrReadOnly)
	}
	defer s.outer.lock(FederationBucket, name)() // as whoever makes a bucket of the name
	if other, err := s.Bucket(name); err == nil {
		if other.id == b.id {
			return b, nil
		}
		return nil, fmt.Errorf("bucket %q: %w", name, ErrBucketExists)
	}
	doc := Version{Key: docName + b.id.String(), Data: nameDoc(name).appendTo(nil)}
	if _, err := s.federation.put(ctx, Cond{Resolve: true}, doc, nil); err != nil {
		return nil, fmt.Errorf("rename bucket %q to %q: %w", old, name, err)
	}
	return b, nil
}
