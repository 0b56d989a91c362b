package segment

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Attribute names what can be changed of a version while its content, its id and its time stay. A later build may have more; a build that does
// not know one takes nothing in that has it.
type Attribute string

// The attributes.
const (
	// Tags are pairs, see [Bucket.SetTags].
	Tags Attribute = "tags"
	// ACL is a gateway's, which alone knows what it says.
	ACL Attribute = "acl"
)

var attributes = [...]Attribute{Tags, ACL}

// maxAttribute bounds the value of an attribute, in bytes: ten tags of S3, each character taking four.
const maxAttribute = 16 << 10

func (name Attribute) check(value string) error {
	switch {
	case !slices.Contains(attributes[:], name):
		return fmt.Errorf("attribute %q is not known: %w", name, ErrInvalidArgument)
	case len(value) > maxAttribute:
		return fmt.Errorf("attribute %s of %d bytes, more than %d: %w", name, len(value), maxAttribute, ErrInvalidArgument)
	}
	if name == Tags {
		_, err := parseTags(value)
		return err
	}
	return nil
}

// Tags are the version's tags as they are now: those that it was written with, or that were given to it since. The map must not be changed.
func (v *Version) Tags() map[string]string {
	g, ok := v.newest(string(Tags))
	if !ok {
		return v.Attrs.Tags
	}
	tags, err := parseTags(g.value)
	if err != nil {
		return nil // no segment writes such, nor takes it in
	}
	return tags
}

// Attribute is the value of an attribute as it is now, empty when there is none.
func (v *Version) Attribute(name Attribute) []byte {
	g, ok := v.newest(string(name))
	if !ok && name == Tags {
		return []byte(tagsValue(v.Attrs.Tags))
	}
	return []byte(g.value)
}

// carry makes to a version of the same content and attributes, as they are now: of a copy, which is not locked by its source's locks.
func (v *Version) carry(to *Version) {
	to.Content, to.Attrs, to.Data = v.Content, v.Attrs, v.Data
	to.Attrs.Tags = v.Tags()
	to.registers = v.ownRegisters()
}

// ownRegisters are the attributes as a copy of the version has them from its own write on; its tags are its Attrs'.
func (v *Version) ownRegisters() (out []register) {
	for _, g := range v.current() {
		if g.name != string(Tags) {
			out = append(out, register{name: g.name, value: g.value})
		}
	}
	return out
}

// sameAttributes says whether two versions' attributes are the same, whoever gave them.
func (v *Version) sameAttributes(w *Version) bool {
	a, b := v.Attrs, w.Attrs
	a.Tags, b.Tags = nil, nil
	return maps.Equal(v.Tags(), w.Tags()) && slices.Equal(a.appendTo(nil), b.appendTo(nil)) &&
		slices.EqualFunc(v.ownRegisters(), w.ownRegisters(), func(g, h register) bool { return g.name == h.name && g.value == h.value })
}

func tagsValue(tags map[string]string) string { return string(putMap(nil, 1, tags)) }

func parseTags(value string) (tags map[string]string, err error) {
	err = eachField("tags", []byte(value), func(f field) error {
		if f.num != 1 {
			return badFormat("tags")
		}
		return takePair(&tags, f.b)
	})
	return tags, err
}

// SetTags replaces the tags of a version, whose id, time and ETag stay. Of changes made at two segments at once the later counts, everywhere. It
// is no write of the key: it ends no conflict and makes none. The condition is of that version. A delete marker has no tags: it is a [MarkerError].
func (b *Bucket) SetTags(ctx context.Context, key string, ref VersionRef, tags map[string]string, c Cond) (Version, error) {
	return b.SetAttribute(ctx, key, ref, Tags, []byte(tagsValue(tags)), c)
}

// SetAttribute gives an attribute of a version another value, of at most 16 KiB; an empty one is none. It is as [Bucket.SetTags] in all else.
//
// A version that was removed elsewhere, and is here by its locks alone, stays as it is: ErrLocked.
func (b *Bucket) SetAttribute(ctx context.Context, key string, ref VersionRef, name Attribute, value []byte, c Cond) (Version, error) {
	if err := name.check(string(value)); err != nil {
		return Version{}, err
	}
	ask := Request{key: key, ref: ref, cond: c, task: &attributeTask{string(name), string(value)}}
	return b.amend(ctx, ask, func(h head, found *Version, _ keyView) (effect, error) {
		if !slices.Contains(found.Holds, found.Dot) {
			return effect{}, fmt.Errorf("version %s was removed, and is kept as it is by its locks alone: %w", found.VersionID, ErrLocked)
		}
		e := effect{key: found.Key}
		for _, v := range h.alike(found) {
			e.set = append(e.set, setAttribute{v.VersionID, string(name), string(value)})
		}
		return e, nil
	})
}

// amend writes what changes a version and is no version of the key. It returns the version as it is then.
func (b *Bucket) amend(ctx context.Context, ask Request, decide func(head, *Version, keyView) (effect, error)) (Version, error) {
	ask.verb = ask.task.verb()
	key := ask.key
	out, err := b.write(ctx, &keyWrite{
		does: "change",
		ask:  ask,
		aim: func(ctx context.Context) (_ string, err error) {
			key, err = b.aimed(ctx, ask.key, &ask.ref)
			return key, err
		},
		plan: func(ctx context.Context, key string) (_ plan, out outcome, err error) {
			p, err := b.planned(ctx, key, func(h head, v keyView) (effect, error) {
				found, err := v.resolve(ctx, key, ask.ref)
				if err != nil {
					return effect{}, err
				}
				if found.Marker {
					return effect{}, &MarkerError{*found}
				}
				if err := ask.cond.checkVersion(found); err != nil {
					return effect{}, err
				}
				out = outcome{version: found.VersionID, null: found.Null}
				return decide(h, found, v)
			})
			return p, out, err
		},
	})
	if err != nil {
		return Version{}, b.markerInstead(ctx, ask.key, ask.ref, err)
	}
	v := b.asItIs(ctx, key, out)
	if key != ask.key {
		v = v.asLoser()
	}
	return v, nil
}
