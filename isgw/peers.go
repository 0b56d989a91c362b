package isgw

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/internal/document"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// Peer is a segment that a link leads to.
type Peer struct {
	Segment   segment.ID
	Name      string
	Addresses []string // HOST:PORT to dial; none: the peer dials
}

func (p Peer) compare(q Peer) int {
	return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.Segment, q.Segment))
}

// peerFile is what is remembered of links.
type peerFile struct {
	federation identity.FederationID // peers of another federation, from before the segment joined this one, are forgotten
	peers      []Peer
	removed    []segment.ID
}

var peerKind = document.Kind{Name: "edgefs-links", Version: 1}

func peerFileName(dir string) string { return path.Join(dir, "links", "peers") }

const (
	peersFieldFederation = 1
	peersFieldPeer       = 2
	peersFieldRemoved    = 3

	peerFieldSegment = 1
	peerFieldName    = 2
	peerFieldAddress = 3
)

func (f *peerFile) append(b []byte) []byte {
	b = wire.PutBytes(b, peersFieldFederation, f.federation[:])
	for _, p := range f.peers {
		m := wire.PutFixed(nil, peerFieldSegment, uint64(p.Segment))
		m = wire.PutBytes(m, peerFieldName, p.Name)
		for _, a := range p.Addresses {
			m = wire.PutBytes(m, peerFieldAddress, a)
		}
		b = wire.PutBytes(b, peersFieldPeer, m)
	}
	for _, id := range f.removed {
		b = wire.PutFixed(b, peersFieldRemoved, uint64(id))
	}
	return b
}

func (f *peerFile) parse(b []byte) error {
	return wire.Fields(b, func(v wire.Field) error {
		switch {
		case v.Is(peersFieldFederation, len(f.federation)):
			f.federation = identity.FederationID(v.Bytes)
		case v.Num == peersFieldPeer:
			p, err := parsePeer(v.Bytes)
			f.peers = append(f.peers, p)
			return err
		case v.Num == peersFieldRemoved:
			f.removed = append(f.removed, segment.ID(v.Uint))
		}
		return nil
	})
}

func parsePeer(b []byte) (p Peer, err error) {
	err = wire.Fields(b, func(v wire.Field) error {
		switch v.Num {
		case peerFieldSegment:
			p.Segment = segment.ID(v.Uint)
		case peerFieldName:
			p.Name = string(v.Bytes)
		case peerFieldAddress:
			p.Addresses = append(p.Addresses, string(v.Bytes))
		}
		return nil
	})
	return p, err
}

func (f *peerFile) save(fsys vfs.FS, dir string) error {
	return document.Save(fsys, peerFileName(dir), peerKind, f.append(nil))
}

func (l *Links) loadPeers() error {
	b, err := document.Load(l.cfg.FS, peerFileName(l.cfg.Dir), peerKind)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f peerFile
	if err := f.parse(b); err != nil {
		return fmt.Errorf("%s: %w", peerFileName(l.cfg.Dir), err)
	}
	if f.federation != l.cfg.Identity.Federation {
		return nil
	}
	l.removed = f.removed
	for _, p := range f.peers {
		l.links[p.Segment] = newLink(l, p)
	}
	return nil
}

// savePeers remembers the links but one, and one more. The caller holds mu.
func (l *Links) savePeers(without segment.ID, with *Peer) error {
	f := peerFile{federation: l.cfg.Identity.Federation}
	for _, k := range l.allLocked() {
		if p := k.peer(); p.Segment != without {
			f.peers = append(f.peers, p)
		}
	}
	f.removed = slices.DeleteFunc(slices.Clone(l.removed), func(id segment.ID) bool { return with != nil && id == with.Segment })
	if with != nil {
		f.peers = append(f.peers, *with)
	} else if !slices.Contains(f.removed, without) {
		f.removed = append(f.removed, without)
	}
	if err := f.save(l.cfg.FS, l.cfg.Dir); err != nil {
		return err
	}
	l.removed = f.removed
	return nil
}

// Add begins a link, or changes the addresses of one. It is remembered when Add returns.
func (l *Links) Add(p Peer) error { return l.add(p, false) }

func (l *Links) add(p Peer, patient bool) error {
	if p.Segment == 0 || p.Segment == l.cfg.Identity.Segment {
		return fmt.Errorf("link with segment %v: %w", p.Segment, segment.ErrInvalidArgument)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return fmt.Errorf("link with %s: %w", p.Name, segment.ErrClosed)
	}
	if err := l.savePeers(p.Segment, &p); err != nil {
		return fmt.Errorf("link with %s: %w", p.Name, err)
	}
	if k := l.links[p.Segment]; k != nil {
		k.setPeer(p)
		return nil
	}
	k := newLink(l, p)
	k.patient = patient
	l.links[p.Segment] = k
	l.wg.Go(k.run)
	return nil
}

// Remove ends the link with a peer, named by its name or id, and refuses it until it is added again.
func (l *Links) Remove(name string) error {
	l.mu.Lock()
	var k *link
	for _, o := range l.links {
		if p := o.peer(); p.Name == name || p.Segment.String() == name {
			k = o
		}
	}
	if k == nil {
		l.mu.Unlock()
		return fmt.Errorf("%q: %w", name, ErrNoLink)
	}
	id := k.peer().Segment
	if err := l.savePeers(id, nil); err != nil {
		l.mu.Unlock()
		return fmt.Errorf("remove the link with %q: %w", name, err)
	}
	delete(l.links, id)
	l.mu.Unlock()
	k.leave()
	return nil
}

// Peers are the segments linked with, by name.
func (l *Links) Peers() []Peer {
	var out []Peer
	for _, k := range l.all() {
		out = append(out, k.peer())
	}
	return out
}

// CheckPeers says what is wrong with the file of links in a segment's directory; none is right. It changes nothing.
func CheckPeers(fsys vfs.FS, dir string) (name string, _ error) {
	name = peerFileName(dir)
	b, err := document.Load(fsys, name, peerKind)
	if errors.Is(err, fs.ErrNotExist) {
		return name, nil
	}
	if err != nil {
		return name, err
	}
	return name, new(peerFile).parse(b)
}
