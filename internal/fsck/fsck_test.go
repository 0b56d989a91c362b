package fsck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/daemon"
	"github.com/edgefs/edgefs/internal/datadir"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/segment"
)

var (
	rounds = flag.Int("fsck.rounds", 0, "damages that are tried; 0: some, and fewer with -short")
	seed   = flag.Uint64("fsck.seed", 1, "of the first")
)

// serving is a segment in this process.
type serving struct {
	t *testing.T
	d *daemon.Daemon
	c *admin.Client
}

func start(t *testing.T, dir string) (*serving, error) {
	c := config.Default()
	c.S3.Listen, c.Link.Listen, c.Metrics.Listen, c.Name = config.Off, config.Off, config.Off, "site"
	d, err := daemon.Start(context.WithoutCancel(t.Context()), daemon.Options{Dir: dir, Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	client, err := admin.Dial(dir, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &serving{t, d, client}, nil
}

func (s *serving) stop() {
	s.t.Helper()
	s.c.Close()
	if err := s.d.Stop(context.WithoutCancel(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
}

func (s *serving) put(key string, content []byte) {
	s.t.Helper()
	if _, err := s.c.Put(s.t.Context(), "bucket", admin.PutRequest{Key: key, Size: int64(len(content))}, bytes.NewReader(content)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *serving) get(key string) ([]byte, error) {
	_, r, err := s.c.Get(s.t.Context(), "bucket", admin.GetRequest{Key: key})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// made is a segment that was stopped, and what it holds.
func made(t *testing.T) (dir string, want map[string][]byte) {
	t.Helper()
	dir, want = filepath.Join(t.TempDir(), "site"), map[string][]byte{}
	s, err := start(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.c.CreateBucket(t.Context(), admin.NewBucket{Name: "bucket"}); err != nil {
		t.Fatal(err)
	}
	content := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
		return b
	}
	for i := range 40 {
		key := fmt.Sprintf("dir%d/%d", i%3, i)
		want[key] = content(1 + i*i*300)
		s.put(key, []byte("before"))
		s.put(key, want[key])
	}
	if _, err := s.c.CreateSnapshot(t.Context(), "bucket", admin.NewSnapshot{Name: "snap"}); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		key := fmt.Sprintf("late/%d", i)
		want[key] = content(100 + i)
		s.put(key, want[key])
	}
	s.stop()
	if err := os.Remove(filepath.Join(dir, "admin.sock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return dir, want
}

func look(t *testing.T, o Options) (*Report, error) {
	t.Helper()
	o.Tell, o.Progress = func(finding.Finding) {}, func(string, int64, int64) {}
	if o.Repair != nil {
		o.Repaired = func(Repair, bool, error) {}
	}
	return Check(t.Context(), o)
}

// serves says what of want a segment does not serve.
func serves(t *testing.T, dir string, want map[string][]byte) error {
	s, err := start(t, dir)
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	defer s.stop()
	var wrong error
	for key, content := range want {
		if got, err := s.get(key); err != nil || !bytes.Equal(got, content) {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %d bytes of %d: %w", key, len(got), len(content), err))
		}
	}
	return wrong
}

// TestNoDamageMeansThatAllIsServed damages a file of a segment, at random. Where fsck finds nothing, or has repaired all that it found, everything is served. What it
// salvages is as it was.
func TestNoDamageMeansThatAllIsServed(t *testing.T) {
	dir, want := made(t)
	n := *rounds
	if n == 0 {
		n = 25
		if testing.Short() {
			n = 2
		}
	}
	sound, repaired := 0, 0
	for round := range n {
		rng := rand.New(rand.NewPCG(*seed, uint64(round)))
		site := filepath.Join(t.TempDir(), "site")
		if err := os.CopyFS(site, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		what := damage(t, rng, site)
		again := fmt.Sprintf("%s\nagain: go test ./internal/fsck -run NoDamage -fsck.seed %d -fsck.rounds %d", what, *seed, round+1)
		r, err := look(t, Options{Dir: site, Data: true, Salvage: filepath.Join(t.TempDir(), "out")})
		if err != nil {
			if strings.Contains(what, "keys") || strings.Contains(what, "EDGEFS") {
				continue
			}
			t.Fatalf("%s: %v", again, err)
		}
		if r.Salvaged != nil {
			salvaged(t, r.Salvaged.Dir, want, r.Damage == 0, again)
		}
		if r.Damage > 0 {
			if r, err = look(t, Options{Dir: site, Data: true, Repair: func([]Repair) error { return nil }}); err != nil {
				t.Fatalf("%s: repair: %v", again, err)
			}
			repaired += len(r.Repairs)
		}
		if r.Damage > 0 {
			continue
		}
		sound++
		if err := serves(t, site, want); err != nil {
			t.Fatalf("%s\nfsck finds no damage, and %v\n%+v", again, err, r.Findings)
		}
		if r, err := look(t, Options{Dir: site, Data: true}); err != nil || r.Damage > 0 {
			t.Fatalf("%s\nafter it served: %+v, %v", again, r.Findings, err)
		}
		if err := os.RemoveAll(site); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d damages, %d harmless or repaired, by %d repairs", n, sound, repaired)
}

// salvaged compares what was salvaged with what there was.
func salvaged(t *testing.T, out string, want map[string][]byte, all bool, again string) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(out, listName))
	if err != nil {
		t.Fatal(err)
	}
	current := 0
	for d := json.NewDecoder(bytes.NewReader(list)); d.More(); {
		var v SalvagedVersion
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if !v.Current || len(v.Holes) > 0 || v.Bucket != "bucket" {
			continue
		}
		current++
		got, err := os.ReadFile(filepath.Join(out, v.File))
		if err != nil || !bytes.Equal(got, want[v.Key]) {
			t.Fatalf("%s\nsalvaged %s: %d bytes of %d, %v", again, v.Key, len(got), len(want[v.Key]), err)
		}
	}
	if all && current != len(want) {
		t.Fatalf("%s\nonly %d of %d are salvaged", again, current, len(want))
	}
}

// damage does something to a file.
func damage(t *testing.T, rng *rand.Rand, site string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(site, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	name := files[rng.IntN(len(files))]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	what := ""
	full := len(bytes.TrimRight(b, "\x00")) // what is behind is mostly room
	at := 0
	if full > 0 {
		at = rng.IntN(full)
	}
	switch kind := rng.IntN(6); {
	case kind == 0 || full == 0:
		what, b = "removed", nil
	case kind == 1:
		what, b = fmt.Sprintf("cut to %d of %d bytes", at, len(b)), b[:at]
	case kind == 2 && full > 8192:
		from, to := at&^4095, rng.IntN(full)&^4095
		what = fmt.Sprintf("blocks at %d and %d swapped", from, to)
		for i := range min(4096, len(b)-max(from, to)) {
			b[from+i], b[to+i] = b[to+i], b[from+i]
		}
	case kind == 3:
		what = fmt.Sprintf("zeros at %d", at)
		clear(b[at:min(len(b), at+1+rng.IntN(4096))])
	default:
		what = fmt.Sprintf("a bit at %d", at)
		b[at] ^= 1 << rng.IntN(8)
	}
	if what == "removed" {
		err = os.Remove(name)
	} else {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name[len(site)+1:] + ": " + what
}

func TestASoundSegmentIsSalvagedWhole(t *testing.T) {
	dir, want := made(t)
	out := filepath.Join(t.TempDir(), "out")
	r, err := look(t, Options{Dir: dir, Salvage: out})
	if err != nil || r.Damage > 0 {
		t.Fatal(r.Findings, err)
	}
	salvaged(t, out, want, true, "")
	if r.Salvaged.Damaged > 0 || r.Salvaged.Versions < int64(len(want)) {
		t.Errorf("%+v", r.Salvaged)
	}
	if _, err := look(t, Options{Dir: dir, Salvage: out}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("into a folder that is not empty: %v", err)
	}
}

// TestKeysBecomeFiles salvages keys that no file can be called, and some that are folders of others.
func TestKeysBecomeFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	s, err := start(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.c.CreateBucket(t.Context(), admin.NewBucket{Name: "bucket"}); err != nil {
		t.Fatal(err)
	}
	keys := []string{"a", "a/b", "a/b/c", "../x", "/abs", "a//b", ".", strings.Repeat("long", 100), "dir/", "caf\u00e9", "..", "x/../../y"}
	slices.Sort(keys)
	want := map[string][]byte{}
	for _, key := range keys {
		want[key] = []byte("content of " + key)
		s.put(key, want[key])
	}
	s.stop()
	out := filepath.Join(t.TempDir(), "out")
	r, err := look(t, Options{Dir: dir, Salvage: out})
	if err != nil || r.Salvaged.Versions != int64(len(keys)) {
		t.Fatalf("%+v, %v", r.Salvaged, err)
	}
	beside := func(key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, key+"/") })
	}
	for key, content := range want {
		got, err := os.ReadFile(filepath.Join(out, currentDir, "bucket", segment.PathOfKey(key, beside(key))))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

// several is a segment with two devices.
func several(t *testing.T) (dir, second string, want map[string][]byte) {
	dir, want = made(t)
	second = filepath.Join(t.TempDir(), "second")
	s, err := start(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if _, err := s.c.AddDevice(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	for i := range 60 { // where each goes follows from its name
		key, content := fmt.Sprintf("more/%d", i), make([]byte, 100_000)
		_, _ = rand.NewChaCha8([32]byte{9, byte(i)}).Read(content)
		want[key] = content
		s.put(key, content)
	}
	return dir, second, want
}

func TestSeveralDevicesAreCheckedTogether(t *testing.T) {
	dir, second, want := several(t)
	out := filepath.Join(t.TempDir(), "out")
	r, err := look(t, Options{Dir: dir, Data: true, Salvage: out})
	if err != nil || r.Damage > 0 || r.Devices != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	salvaged(t, out, want, true, "")
	elsewhere := second + ".away"
	if err := os.Rename(second, elsewhere); err != nil {
		t.Fatal(err)
	}
	r, err = look(t, Options{Dir: dir})
	if err != nil || r.Kinds["device.missing"] != 1 || r.Kinds["content.missing"] == 0 {
		t.Errorf("without the second: %+v, %v", r.Kinds, err)
	}
	if err := os.Rename(elsewhere, second); err != nil {
		t.Fatal(err)
	}
	list, err := filepath.Glob(filepath.Join(dir, "data", "*", "devices"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	whole, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 9 {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if err := os.WriteFile(list[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		found := 0
		visit := visit{o: Options{Progress: func(string, int64, int64) {}}, report: newReport(Options{}), tell: func(f finding.Finding) {
			if f.Kind == "devices" {
				found++
			}
		}}
		visit.dir, err = datadir.Look(dir)
		if err == nil {
			err = visit.identify()
		}
		if err == nil {
			err = visit.openDevices(t.Context())
		}
		if err := errors.Join(err, visit.close(), visit.dir.Close()); err != nil || found != 1 {
			t.Fatalf("byte %d of the list: %d found, %v", at, found, err)
		}
	}
}

func TestACheckThatIsStopped(t *testing.T) {
	dir, _ := made(t)
	ctx, stop := context.WithCancel(t.Context())
	o := Options{Dir: dir, Data: true, Tell: func(finding.Finding) {}, Progress: func(phase string, _, _ int64) {
		if phase == "packs" {
			stop()
		}
	}}
	if _, err := Check(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if r, err := look(t, Options{Dir: dir}); err != nil || r.Damage > 0 {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}

// TestStatesArePutAsideWhileOneIsWhole damages the newest state, and then both: of those none is touched.
func TestStatesArePutAsideWhileOneIsWhole(t *testing.T) {
	dir, want := made(t)
	s, err := start(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	want["again"] = []byte("again")
	s.put("again", want["again"])
	s.stop()
	states, err := filepath.Glob(filepath.Join(dir, "data", "*", "segment", "state-*"))
	if err != nil || len(states) != 2 {
		t.Fatal(states, err)
	}
	spoil := func(name string) {
		b, err := os.ReadFile(name)
		if err == nil {
			b[len(b)/2] ^= 1
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := func([]Repair) error { return nil }
	spoil(states[0])
	spoil(states[1])
	r, err := look(t, Options{Dir: dir, Repair: all})
	if err != nil || len(r.Repairs) > 0 || r.Kinds["state.none"] != 1 {
		t.Errorf("both are damaged: %v, %+v, %v", r.Kinds, r.Repairs, err)
	}
	spoil(states[0])
	r, err = look(t, Options{Dir: dir, Repair: all})
	if err != nil || len(r.Repairs) != 1 || r.Damage > 0 {
		t.Errorf("one is: %v, %+v, %v", r.Findings, r.Repairs, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(states[1]), "aside", filepath.Base(states[1]))); err != nil {
		t.Error(err)
	}
	if err := serves(t, dir, want); err != nil {
		t.Error(err)
	}
}
