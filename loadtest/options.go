package loadtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Kind is what an operation does. Mixed is a run of several.
type Kind string

const (
	Put    Kind = "put"
	Get    Kind = "get"
	Head   Kind = "head"
	List   Kind = "list" // one operation is one page
	Delete Kind = "delete"
	Mixed  Kind = "mixed"
)

var kinds = [...]Kind{Put, Get, Head, List, Delete}

// Mix is how often each kind comes up in a mixed run, by weight.
type Mix []Weight

// Weight is one kind's part of a Mix.
type Weight struct {
	Kind   Kind
	Weight int
}

// ParseMix reads "get:45,head:30,put:15,delete:10".
func ParseMix(text string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(text, ",") {
		name, weightText, _ := strings.Cut(strings.TrimSpace(part), ":")
		weight, err := strconv.Atoi(weightText)
		if err != nil || weight < 1 {
			return nil, fmt.Errorf("mix %q: want get:45,put:15 and so on", text)
		}
		if !known(Kind(name)) {
			return nil, fmt.Errorf("mix %q: no operation %q", text, name)
		}
		m = append(m, Weight{Kind(name), weight})
	}
	return m, nil
}

func known(kind Kind) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

func (m Mix) pick(random uint64) Kind {
	var total uint64
	for _, w := range m {
		total += uint64(w.Weight)
	}
	at := random % total
	for _, w := range m {
		if at < uint64(w.Weight) {
			return w.Kind
		}
		at -= uint64(w.Weight)
	}
	panic("loadtest: weights of a mix do not sum up")
}

// Options say what a run does.
type Options struct {
	Kind        Kind
	Mix         Mix // of a Mixed run
	Concurrency int
	Count       uint64        // operations; 0: until Duration is over
	Duration    time.Duration // 0: until Count is reached
	Rate        float64       // operations a second over all workers; 0: as fast as answers come
	Keys        int           // size of the fixed set of keys; 0, for Put only: every key is new
	Prefix      string        // of keys; "" is made of the seed
	Seed        uint64        // 0: chosen at random and reported
	Sizes       Sizes
	Repeat      float64 // part of the bytes that repeat, 0 to 1
	SkipVerify  bool    // read without looking
	Existing    bool    // the keys were written by an earlier run with the same seed, keys, sizes and repeat

	PIDs     []int          // server processes here whose CPU and memory are to be reported
	Progress func(Progress) // called twice a second by one goroutine; may be nil
}

// complete fills in defaults and says what is wrong.
func (o *Options) complete() error {
	if o.Seed == 0 {
		o.Seed = rand.Uint64() >> 11 // JSON numbers are exact to 53 bits
	}
	if o.Prefix == "" {
		o.Prefix = fmt.Sprintf("lt-%x/", o.Seed)
	}
	if o.Count == 0 && o.Kind == Delete {
		o.Count = uint64(o.Keys)
	}
	if o.Count == 0 && o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	switch {
	case o.Kind != Mixed && !known(o.Kind):
		return fmt.Errorf("no operation %q", o.Kind)
	case o.Kind == Mixed && len(o.Mix) == 0:
		return errors.New("a mixed run needs a mix")
	case o.Concurrency < 1:
		return errors.New("concurrency must be at least 1")
	case o.Keys < 0 || o.Keys == 0 && o.Kind != Put:
		return errors.New("this operation needs a fixed set of keys (--keys)")
	case o.Repeat < 0 || o.Repeat > 1:
		return errors.New("repeat must be between 0 and 1")
	case o.Rate < 0 || o.Duration < 0:
		return errors.New("rate and duration must not be negative")
	case o.Kind == Delete && o.Count > uint64(o.Keys):
		return errors.New("there are fewer keys than deletes")
	}
	return nil
}
