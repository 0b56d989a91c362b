package segment

import (
	"errors"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

// Request is a write as data, that one segment asks the home of a bucket to do.
type Request struct {
	Bucket BucketID
	Name   RequestName

	acks []RequestName // requests whose answers the one who asks has
	verb verb
	key  string
	cond Cond
	ref  VersionRef // what is removed or kept
	put  *Version   // what is written: content and attributes
	task task       // a verb's own arguments; nil for none
	// payload are chunks of the content that are durable nowhere yet, and become so with the record.
	payload [][]byte
}

type verb uint8

const (
	verbPut verb = iota + 1
	verbDelete
	verbRemove
	verbResolve
	verbAttribute // these have arguments: see task
	verbLock
	verbRename
	verbFile
	verbFlush
	verbMerge
)

const (
	requestFieldBucket  = 1
	requestFieldName    = 2
	requestFieldVerb    = 3
	requestFieldKey     = 4
	requestFieldCond    = 5
	requestFieldRef     = 6
	requestFieldNull    = 7
	requestFieldPut     = 8
	requestFieldPayload = 9
	requestFieldAck     = 10
	requestFieldTask    = 11
)

const (
	maxAcks    = 1024 // of one request
	maxPayload = 4    // chunks of one request
)

// Append encodes the request for a link.
func (r *Request) Append(b []byte) []byte {
	b = putMessage(b, requestFieldBucket, r.Bucket[:])
	b = putMessage(b, requestFieldName, r.Name[:])
	b = putUint(b, requestFieldVerb, uint64(r.verb))
	b = putBytes(b, requestFieldKey, r.key)
	b = putSome(b, requestFieldCond, r.cond.appendTo)
	if !r.ref.ID.IsZero() {
		b = putPart(b, requestFieldRef, r.ref.ID.appendTo)
	}
	b = putBool(b, requestFieldNull, r.ref.Null)
	if r.put != nil {
		b = putPart(b, requestFieldPut, r.put.appendOwn)
	}
	for _, p := range r.payload {
		b = putMessage(b, requestFieldPayload, p)
	}
	for _, a := range r.acks {
		b = putMessage(b, requestFieldAck, a[:])
	}
	if r.task != nil {
		b = putPart(b, requestFieldTask, r.task.appendTo)
	}
	return b
}

// ParseRequest reads a request, which shares b. What it asks for and does not know it refuses.
func ParseRequest(b []byte) (*Request, error) {
	r := new(Request)
	err := eachField("request", b, func(f field) (err error) {
		switch f.num {
		case requestFieldBucket:
			r.Bucket, err = bucketIDOf(f.b)
		case requestFieldName:
			err = r.Name.take(f)
		case requestFieldVerb:
			r.verb = verb(min(f.n, 255))
		case requestFieldKey:
			r.key = string(f.b)
		case requestFieldCond:
			r.cond, err = parseCond(f.b)
		case requestFieldRef:
			r.ref.ID, err = parseVersionID(f.b)
		case requestFieldNull:
			r.ref.Null = f.n != 0
		case requestFieldPut:
			r.put, err = parseVersion(f.b)
		case requestFieldPayload:
			r.payload = append(r.payload, f.b)
			if len(f.b) > chunk.MaxSize || len(r.payload) > maxPayload {
				err = badFormat("request")
			}
		case requestFieldAck:
			var n RequestName
			err = n.take(f)
			if r.acks = append(r.acks, n); len(r.acks) > maxAcks {
				err = badFormat("request")
			}
		case requestFieldTask:
			r.task, err = parseTask(r.verb, f.b)
		default: // a write that is done in part is another write
			err = badFormat("request")
		}
		return err
	})
	if err == nil && (!r.whole() || r.Name == RequestName{}) {
		err = badFormat("request")
	}
	return r, err
}

const (
	condFieldAbsent  = 1
	condFieldMatch   = 2
	condFieldMatches = 3
	condFieldVersion = 4
	condFieldOpen    = 5
	condFieldOpens   = 6
	condFieldResolve = 7
	condFieldBypass  = 8
)

// appendTo tells an empty list from none.
func (c Cond) appendTo(b []byte) []byte {
	b = putBool(b, condFieldAbsent, c.Absent)
	for _, tag := range c.Match {
		b = putMessage(b, condFieldMatch, tag)
	}
	b = putBool(b, condFieldMatches, c.Match != nil)
	if c.Version != nil {
		b = putPart(b, condFieldVersion, c.Version.appendTo)
	}
	for _, v := range c.Open {
		b = putPart(b, condFieldOpen, v.appendTo)
	}
	b = putBool(b, condFieldOpens, c.Open != nil)
	b = putBool(b, condFieldResolve, c.Resolve)
	return putBool(b, condFieldBypass, c.BypassGovernance)
}

func parseCond(b []byte) (c Cond, err error) {
	matches, opens := false, false
	err = eachField("condition", b, func(f field) (err error) {
		switch f.num {
		case condFieldAbsent:
			c.Absent = f.n != 0
		case condFieldMatch:
			c.Match = append(c.Match, string(f.b))
		case condFieldMatches:
			matches = f.n != 0
		case condFieldVersion:
			c.Version = new(VersionID)
			*c.Version, err = parseVersionID(f.b)
		case condFieldOpen:
			var v VersionID
			v, err = parseVersionID(f.b)
			c.Open = append(c.Open, v)
		case condFieldOpens:
			opens = f.n != 0
		case condFieldResolve:
			c.Resolve = f.n != 0
		case condFieldBypass:
			c.BypassGovernance = f.n != 0
		default: // a condition that is not judged is as good as broken
			err = badFormat("condition")
		}
		return err
	})
	if matches && c.Match == nil {
		c.Match = []string{}
	}
	if opens && c.Open == nil {
		c.Open = []VersionID{}
	}
	if err == nil && (matches != (c.Match != nil) || opens != (c.Open != nil)) {
		err = badFormat("condition")
	}
	return c, err
}

// Answer is what became of a request.
type Answer struct {
	outcome
	code  refusal
	why   string
	seen  Vector // of the bucket, at the home, when it had decided
	acked bool   // the request's acks are taken
}

// refusal says by a number why a request was not done; 0 when it was.
type refusal uint8

const unavailable refusal = 1

// refusals are the reasons that mean the same at both ends; of any other nothing more is said than that it was not done now.
func refusals() []error {
	return []error{unavailable: ErrUnavailable, 2: ErrPrecondition, 3: ErrNoSuchKey, 4: ErrNoSuchVersion, 5: ErrNoSuchBucket, 6: ErrInvalidArgument, 7: ErrNotHome,
		8: ErrFull, 9: ErrRefused, 10: ErrLocked, 11: ErrNoLocks, 12: ErrNotCopied, 13: ErrTargetExists, 15: ErrReadOnly, 16: ErrMergeConflict,
		17: ErrFileExists, 18: ErrNotDirectory, 19: ErrIsDirectory, 20: ErrDirectoryInUse, 21: ErrNameTooLong, 22: ErrStaleFile, 23: ErrTooManyLinks, 24: ErrNoSuchXattr,
		25: ErrXattrTooLarge}
}

// refusalOf is the code of an error.
func refusalOf(err error) refusal {
	if err == nil {
		return 0
	}
	known := refusals()
	for i := len(known) - 1; i > int(unavailable); i-- {
		if errors.Is(err, known[i]) {
			return refusal(i)
		}
	}
	return unavailable
}

// refused is an answer's error at the one who asked.
func (a *Answer) refused() error {
	known := refusals()
	switch {
	case a.code == 0:
		return nil
	case int(a.code) < len(known) && known[a.code] != nil:
		return &refusedError{a.why, known[a.code]}
	}
	return &refusedError{a.why, ErrUnavailable}
}

// refusedError is an error that came over a link: its text, and what it is here.
type refusedError struct {
	why string
	is  error
}

func (e *refusedError) Error() string { return e.why }
func (e *refusedError) Unwrap() error { return e.is }

const maxWhy = 1024

// Append encodes the answer for a link.
func (a *Answer) Append(b []byte) []byte {
	b = putUint(b, 1, uint64(a.code))
	b = putBytes(b, 2, a.why[:min(len(a.why), maxWhy)])
	b = a.outcome.appendTo(b, 3, false)
	b = putSome(b, 5, a.seen.appendTo)
	b = putBool(b, 6, a.acked)
	return putBytes(b, 7, a.told)
}

// ParseAnswer reads an answer.
func ParseAnswer(b []byte) (*Answer, error) {
	a := &Answer{seen: Vector{}}
	own := false
	err := eachField("answer", b, func(f field) (err error) {
		switch f.num {
		case 1:
			a.code = refusal(min(f.n, 255))
		case 2:
			a.why = string(f.b[:min(len(f.b), maxWhy)])
		case 3, 4:
			err = a.outcome.take(f, 3, &own)
		case 5:
			a.seen, err = parseVector(f.b)
		case 6:
			a.acked = f.n != 0
		case 7:
			err = a.outcome.takeTold(f)
		}
		return err
	})
	if err == nil && own {
		err = badFormat("answer")
	}
	return a, err
}

// template is the version that is to be written, as the one who asked filled it, without what only the home decides.
func (r *Request) template() Version {
	v := *r.put
	v.VersionID, v.Holds, v.Key, v.Null, v.Marker, v.Superseded, v.locks = VersionID{}, nil, r.key, false, false, false, nil
	return v
}

// check refuses what no segment asks for.
func (r *Request) check() error {
	check := r.ofKey
	if r.task != nil {
		check = func() error { return r.task.check(r) }
	}
	if err := check(); err != nil {
		return err
	}
	if r.put == nil {
		return nil
	}
	if r.put.Marker || len(r.put.Data) > 0 {
		return fmt.Errorf("a version of %q that no client writes: %w", r.key, ErrRefused)
	}
	for _, g := range r.put.registers {
		if !g.by.IsZero() || g.on != nil {
			return fmt.Errorf("an attribute of %q that its version has not from the first: %w", r.key, ErrRefused)
		}
	}
	return checkFederated(r.key, &Version{VersionID: VersionID{Dot: Dot{N: 1}}, Content: r.put.Content, registers: r.put.registers})
}

// chunks are the payload, with names.
func (r *Request) chunks(d chunk.Domain) (out []chunk.Chunk) {
	for _, p := range r.payload {
		out = append(out, d.Make(slices.Clone(p)))
	}
	return out
}
