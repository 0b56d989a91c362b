package chunk

import (
	"errors"
	"testing"

	"github.com/zeebo/blake3"
)

func TestAChunkIsMadeByHashingOrByVerifyingOnly(t *testing.T) {
	d := NewDomain([32]byte{1})
	data := []byte("some bytes")
	c := d.Make(data)
	if got, err := d.Verify(c.ID(), data); err != nil || got.ID() != c.ID() || string(got.Data()) != string(data) {
		t.Errorf("%v, %v", got, err)
	}
	for i := range data {
		wrong := []byte(string(data))
		wrong[i] ^= 1
		if _, err := d.Verify(c.ID(), wrong); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := d.Verify(c.ID(), data[:5]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("shortened: %v", err)
	}
}

func TestANameIsTheKeyedHash(t *testing.T) {
	key := [32]byte{7}
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		t.Fatal(err)
	}
	_, _ = h.WriteString("x")
	if got := NewDomain(key).Name([]byte("x")); string(h.Sum(nil)) != string(got[:]) {
		t.Errorf("%v", got)
	}
}

func TestDomainsShareNoNames(t *testing.T) {
	a, b := NewDomain([32]byte{1}), NewDomain([32]byte{2})
	if a.Name([]byte("x")) == b.Name([]byte("x")) || a.Tag() == b.Tag() {
		t.Error("two keys, one name")
	}
	if _, err := b.Verify(a.Name([]byte("x")), []byte("x")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a name of another domain: %v", err)
	}
}

func TestIDsComeBackFromTheirText(t *testing.T) {
	id := NewDomain([32]byte{}).Name([]byte("x"))
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "00", id.String() + "0", "g" + id.String()[1:]} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}

func TestACloneHasBytesOfItsOwn(t *testing.T) {
	data := []byte("abc")
	c := NewDomain([32]byte{}).Make(data)
	d := c.Clone()
	data[0] = 'x'
	if string(d.Data()) != "abc" || d.ID() != c.ID() {
		t.Errorf("%q", d.Data())
	}
}
