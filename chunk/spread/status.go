package spread

import (
	"context"

	"github.com/edgefs/edgefs/chunk/pack"
)

// State is how a device is, in a word.
type State string

// The states of a device.
const (
	Serving  State = "serving"
	Opening  State = "opening"  // its packs are being looked at
	Missing  State = "missing"  // it cannot be opened
	Stalled  State = "stalled"  // the disk does not answer
	Failed   State = "failed"   // nothing more is written to it, and what it holds does not count
	Draining State = "draining" // what it holds is being moved
	Empty    State = "drained"  // what it holds is elsewhere too
	Full     State = "full"
)

// States are all of them.
func States() []State {
	return []State{Serving, Opening, Missing, Stalled, Failed, Draining, Empty, Full}
}

// Status is a device at one moment.
type Status struct {
	ID         pack.ID
	Dir        string
	First      bool // the one that the configuration names
	State      State
	Why        string // of a state that needs a reason
	Stats      pack.Stats
	Room       int64 // bytes that it may take, as last asked for
	Unreadable int64 // chunks that the disk did not give since the start
	Opened, Of int64 // packs looked at while it is being opened
	Drain      *Drained
}

// Devices tells how the devices are, in the list's order. It asks no disk.
func (s *Store) Devices() []Status {
	members := *s.members.Load()
	all := make([]Status, len(members))
	for i, m := range members {
		all[i] = m.status()
	}
	return all
}

func (m *member) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := Status{
		ID: m.entry.id, Dir: m.folder, First: m.entry.path == "", State: Serving, Room: m.room.Load(),
		Unreadable: int64(len(m.unread)), Opened: m.opened.Load(), Of: m.packs.Load(),
	}
	if m.drain != nil {
		d, _ := m.drain.progress()
		st.Drain = &d
	}
	if m.device == nil {
		st.State, st.Why = Missing, m.why.Error()
		if m.why == errOpening {
			st.State = Opening
		}
		return st
	}
	st.Stats = m.device.Stats()
	err := m.device.Err()
	switch {
	case st.Stats.Stalled:
		st.State = Stalled
	case err != nil:
		st.State, st.Why = Failed, err.Error()
	case m.ill:
		st.State, st.Why = Failed, errIll.Error()
	case st.Drain != nil && st.Drain.Done:
		st.State = Empty
	case m.entry.use == draining:
		st.State = Draining
		if st.Drain != nil {
			st.Why = st.Drain.Why
		}
	case st.Room == 0:
		st.State = Full
	}
	return st
}

// Follow calls tell with how a device is, at first and whenever its drain has got on, until tell says that it is enough, or ctx ends.
func (s *Store) Follow(ctx context.Context, id pack.ID, tell func(Status) (goOn bool)) error {
	for {
		m, err := s.find(id)
		if err != nil {
			return err
		}
		changed := m.drainChanged()
		if !tell(m.status()) || changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return pack.ErrClosed
		}
	}
}

// drainChanged is closed when the drain gets on, and nil without one.
func (m *member) drainChanged() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drain == nil {
		return nil
	}
	_, changed := m.drain.progress()
	return changed
}
