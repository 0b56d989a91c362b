package segment

import (
	"context"
	"errors"
	"fmt"
)

// A bucket's home is one life of a segment. It alone changes the settings and, under Home, makes all writes. Each change of the home, or
// to or from that policy, begins an epoch, which orders before any clock: what an old home writes in ignorance of the change hides nothing
// that the new one has acknowledged.

// maxEpoch is the last number that an epoch can have: no bucket comes near it.
const maxEpoch = 1 << 31

// homeOf is the home that set names. A life of zero stands for any.
func (b *Bucket) homeOf(set Settings) Origin {
	if set.Home != (Origin{}) {
		return set.Home
	}
	return Origin{Segment: b.doc.Load().home}
}

// isHome says whether this life of the segment is the home.
func (b *Bucket) isHome(set Settings) bool { return b.homeOf(set).is(b.s.Origin()) }

// is says whether o, whose life may be left open, means the life p.
func (o Origin) is(p Origin) bool { return o.Segment == p.Segment && (o.Inc == 0 || o.Inc == p.Inc) }

// settingsNow are the settings, and the write that set them.
func (b *Bucket) settingsNow() settingsRecord { return *b.settings.Load() }

// doneNow are the requests that are remembered.
func (b *Bucket) doneNow() doneList {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.done
}

// notHome says who the home is.
func (b *Bucket) notHome(set Settings) error {
	return fmt.Errorf("the home of bucket %q is %s: %w", b.doc.Load().name, b.homeName(set), ErrNotHome)
}

func (b *Bucket) homeName(set Settings) string {
	home := b.homeOf(set)
	name := b.s.SegmentName(home.Segment)
	if home.Segment == b.s.cfg.ID {
		name += " as it was before it was restored"
	}
	return name
}

// turn is what a plan that changes the settings was made of.
type turn struct {
	was    VersionID // what set the settings before
	begins bool      // an epoch begins
}

// epoch is what the plan's record is stamped with, once it is sure that own, this life, may write it: settings that came after it was planned,
// from another segment, have perhaps ended that.
func (p *plan) epoch(own Origin) (Epoch, error) {
	set := p.b.settings.Load()
	switch {
	case p.turn != nil && p.turn.was != set.by:
		return Epoch{}, fmt.Errorf("the settings of bucket %q changed meanwhile: %w", p.b.doc.Load().name, ErrUnavailable)
	case p.turn != nil && p.turn.begins:
		return Epoch{set.by.Epoch.N + 1, own}, nil
	case p.turn != nil:
		return set.by.Epoch, nil
	case set.Policy == Home && !p.b.homeOf(set.Settings).is(own):
		return Epoch{}, p.b.notHome(set.Settings)
	case set.by.Epoch != (Epoch{}) && set.by.Dot.Origin != own && !p.r.deps.Has(set.by.Dot):
		return Epoch{}, fmt.Errorf("bucket %q has a new home: %w", p.b.doc.Load().name, ErrUnavailable)
	}
	return set.by.Epoch, nil
}

// checkEpoch refuses a record that bears an epoch which nobody has begun: one more than known is for settings alone.
func (r *record) checkEpoch(known Epoch) error {
	n := uint64(known.N)
	if r.settings != nil {
		n++
	}
	if uint64(r.Epoch.N) > min(n, maxEpoch) || r.settings == nil && r.Epoch.Compare(known) > 0 {
		return fmt.Errorf("record %v bears epoch %d, the bucket's is %d: %w", r.Dot, r.Epoch.N, known.N, ErrRefused)
	}
	return nil
}

// checkSettings refuses settings that no segment writes. Those of the federation's bucket never change.
func (b *Bucket) checkSettings(s settingsRecord) error {
	if b.id == FederationBucket || s.by.Epoch.N > maxEpoch {
		return fmt.Errorf("settings of bucket %v, epoch %d: %w", b.id, s.by.Epoch.N, ErrRefused)
	}
	return nil
}

// Configure changes the settings. Only the bucket's home does: elsewhere it is ErrNotHome. It leaves [Settings.Home] alone, except that who
// begins Home becomes the home by this life. Writes made elsewhere before they know of that policy are losers by their epoch.
func (b *Bucket) Configure(ctx context.Context, change func(*Settings) error) error {
	return b.configure(ctx, func(set *Settings) error {
		if !b.isHome(*set) {
			return b.notHome(*set)
		}
		home, before := set.Home, *set
		if err := change(set); err != nil {
			return err
		}
		if set.Home = home; set.Policy == Home {
			set.Home = b.s.Origin()
		}
		return errors.Join(set.validate(), set.follow(before))
	})
}

// MoveHome hands the bucket to another segment: the last thing that this one does as its home, else it is ErrNotHome. The other serves from when
// it has applied that, and so all that came before. It must be known here in the life that it leads: by a link from it.
func (b *Bucket) MoveHome(ctx context.Context, to ID) error {
	home := b.s.Origin()
	if to != home.Segment {
		c, ok := b.s.Cursor(to)
		if !ok {
			return fmt.Errorf("nothing was received from %s yet: %w", b.s.SegmentName(to), ErrUnavailable)
		}
		home = Origin{to, c.Inc}
	}
	return b.configure(ctx, func(set *Settings) error {
		if !b.isHome(*set) {
			return b.notHome(*set)
		}
		if !b.homeOf(*set).is(home) {
			set.Home = home
		}
		return nil
	})
}

// TakeHome makes this segment, as it is now, the bucket's home, without asking the old one: for when that is lost, or was restored from a
// backup. Whatever the old one writes before it knows is kept, and is older than all that is written here from now on.
func (b *Bucket) TakeHome(ctx context.Context) error {
	return b.configure(ctx, func(set *Settings) error {
		if !b.isHome(*set) {
			set.Home = b.s.Origin()
		}
		return nil
	})
}

// configure writes what change makes of the settings, unless that is nothing. Settings under which writes wait for a second segment wait themselves; those
// that end the waiting do not.
func (b *Bucket) configure(ctx context.Context, change func(*Settings) error) (err error) {
	if b.frozen != "" {
		return ErrReadOnly
	}
	if err := b.s.admit(ctx); err != nil {
		return err
	}
	ack := acknowledgement{b: b}
	defer ack.await(ctx, &err)
	b.gate.Lock() // no write is planned by the old settings after the new ones
	defer b.gate.Unlock()
	now := b.settingsNow()
	v := b.view("") // not before: what set the settings has been seen by what changes them
	set := now.Settings
	if err := change(&set); err != nil {
		return err
	}
	if set == now.Settings {
		return nil
	}
	begins := set.Home != now.Home || (set.Policy == Home) != (now.Policy == Home)
	if begins && now.by.Epoch.N >= maxEpoch {
		return fmt.Errorf("bucket %v has had %d epochs: %w", b.id, now.by.Epoch.N, ErrRefused)
	}
	if ack, err = b.acknowledgingAs(set.Ack); err != nil {
		return err
	}
	r := &record{deps: v.deps, settings: &settingsRecord{Settings: set}}
	return ack.submit(plan{b: b, r: r, own: v.own, turn: &turn{now.by, begins}})
}

// Acknowledgement says which write set the bucket's settings, and up to which position of this segment's log they were applied: a peer that
// has seen the one, or has taken in the log up to the other, knows them.
func (b *Bucket) Acknowledgement() (Dot, uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.settings.Load().by.Dot, b.since
}
