package segment

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// lines is content that shrinks, other for each n.
func lines(n, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of file %d\n", i, n)
	}
	return b.Bytes()[:size]
}

// stored is, of the payload on the device, the plain bytes and those that are stored.
func (l *lone) stored() (plain, stored int64) {
	l.t.Helper()
	err := l.device.Entries(context.Background(), func(_ pack.Key, e pack.Entry) error {
		if e.Class == chunk.Data {
			plain, stored = plain+int64(e.Size), stored+int64(e.Length)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return plain, stored
}

func (l *lone) compress(b *Bucket, c chunk.Compression) {
	l.t.Helper()
	if err := b.Configure(context.Background(), func(s *Settings) error { s.Compression = c; return nil }); err != nil {
		l.t.Fatal(err)
	}
}

// TestABucketsContentIsStoredAsItsSettingSays writes small and large objects, with a start between writing and settling, and parts of an upload.
func TestABucketsContentIsStoredAsItsSettingSays(t *testing.T) {
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "plain", lines(1, 50_000))
	if plain, stored := l.stored(); plain != stored || plain == 0 {
		t.Errorf("%d bytes are stored as %d, of a bucket that is not compressed", plain, stored)
	}
	l.compress(b, chunk.Fast)
	before, _ := l.stored()
	l.put(b, "again", lines(1, 50_000))
	if after, stored := l.stored(); after != before || stored != before {
		t.Errorf("%d bytes stored as %d, which were %d: what is held stays", after, stored, before)
	}
	content := map[string][]byte{"large": lines(2, 200_000), "random": blob(2)}
	for n := range 50 {
		content[fmt.Sprint("small ", n)] = lines(10+n, 9000)
	}
	for key, c := range content {
		l.put(b, key, c)
	}
	l.restart() // small ones are in the log alone
	b, err := l.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	if b.Settings().Compression != chunk.Fast {
		t.Error("the setting is forgotten")
	}
	if err := l.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, c := range content {
		l.wantContent(b, key, c)
	}
	plain, stored := l.stored()
	shrinks := int64(len(content["large"]) + 50*9000)
	rest := plain - shrinks // stored as it is
	if plain != before+shrinks+int64(len(content["random"])) || stored-rest > shrinks/3 {
		t.Errorf("%d bytes are stored as %d; %d of them do not shrink", plain, stored, rest)
	}
	u, err := b.CreateUpload(t.Context(), "upload", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.PartWriter(t.Context(), "upload", u.ID, 1, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(lines(5, 100_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CommitPart(t.Context(), Attrs{}); err != nil {
		t.Fatal(err)
	}
	if plain2, stored2 := l.stored(); plain2-plain != 100_000 || stored2-stored > 30_000 {
		t.Errorf("%d bytes of a part are stored as %d", plain2-plain, stored2-stored)
	}
	l.compress(b, chunk.Off)
	plain, stored = l.stored()
	l.put(b, "off", lines(6, 50_000))
	if plain2, stored2 := l.stored(); plain2-plain != stored2-stored {
		t.Errorf("%d bytes are stored as %d after the setting was taken back", plain2-plain, stored2-stored)
	}
}

// TestWhatIsCompressedStaysSoWhenItMoves compacts the packs.
func TestWhatIsCompressedStaysSoWhenItMoves(t *testing.T) {
	l := newLone(t)
	b := l.bucket("photos")
	l.compress(b, chunk.Fast)
	for n := range 20 {
		l.put(b, fmt.Sprint(n), lines(n, 100_000))
	}
	for n := range 15 {
		l.delete(b, fmt.Sprint(n))
	}
	if r := l.collect(); r.Compacted.Files == 0 {
		t.Fatalf("nothing was compacted: %+v", r)
	}
	if plain, stored := l.stored(); plain != 500_000 || stored > plain/3 {
		t.Errorf("%d bytes are stored as %d", plain, stored)
	}
	for n := 15; n < 20; n++ {
		l.wantContent(b, fmt.Sprint(n), lines(n, 100_000))
	}
}

func TestACompressionThatIsNotKnownIsKept(t *testing.T) {
	later := append(Settings{}.appendTo(nil), putUint(nil, settingsFieldCompression, 2)...)
	s, err := parseSettings(later)
	if err != nil || s.Compression != chunk.Off || !bytes.Equal(s.appendTo(nil), later) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := (Settings{Compression: 2}).validate(); err == nil {
		t.Error("it can be set")
	}
}
