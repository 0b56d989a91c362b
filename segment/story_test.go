package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/edgefs/edgefs/internal/vfs"
)

// TestStories plays testdata/stories: what several sites do while links are cut and heal, and what their users then see. A story is a list of
// runs; each begins where the one before ended. Its lines are
//
//	sites a b c                        the sites, all linked; the first line of a story
//	site a create BUCKET [VERSIONING]  or locks: versioned, and versions can be locked; also: drop BUCKET, versioning VERSIONING
//	site a rename-bucket BUCKET NAME
//	site a policy POLICY               of bucket box, at its home
//	site a home b, site a take-home    a hands box over to b; a makes itself its home
//	site a put KEY VALUE               in bucket box; KEY may be BUCKET/KEY; KEY~SITE is the name of KEY's open loser that SITE wrote
//	site a cas KEY OLD VALUE           a PUT on condition that the content is OLD, or that there is none: -
//	lose-answer                        the next answer of a home to another segment is lost on its way
//	site a delete KEY                  a plain DELETE
//	site a resolve KEY VERSION         the conflict of KEY ends in favour of VERSION
//	site a put-resolving KEY VALUE     a PUT that ends it; also: delete-resolving KEY
//	site a remove KEY VERSION          one version, by its name in "show versions", or null; by-b is the newest of KEY that b wrote
//	site a rename DIR/ DIR/ [replace]  all keys below the first, which is BUCKET/DIR/, move; of both without a slash behind: that one key
//	site a get KEY [VERSION]
//	site a put-new KEY VALUE           a PUT on condition that there is no such key; also: put-if KEY OLD VALUE, on condition that its content is OLD
//	site a tag KEY VERSION VALUE       its tags; VERSION may be "current"
//	site a hold KEY VERSION            a legal hold; also: release KEY VERSION
//	site a retain KEY VERSION 1h MODE  governance or compliance
//	cut a b, heal                      links
//	sync                               all that are linked exchange everything
//	feed b a, adopt b a                b takes what a has: by the feed where that serves, or by trees
//	old b BUCKET, upgrade b            b cannot read what is written to the bucket, which others see as written by a later build; or it can again
//	repay b a                          b syncs what its feed from a passes over
//	clock a 10m                        the clock of a is that far ahead, or behind
//	tick 1s                            time passes everywhere
//	checkpoint a, restart a            all records of a are folded, its state is written; it is started again
//	backup a, restore a                a comes back as it was at the backup, and is told
//	rollback a                         the same, and nobody tells it
//	show heads|versions|conflicts|listing|buckets|debts
//
// A VALUE stands for content. After each run, every site must hold what the oracle says, having seen what it has seen. The expected output
// is written anew by -rewrite.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		var s *story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if s == nil {
				s = newStory(t, strings.Fields(strings.SplitN(d.Input, "\n", 2)[0])[1:])
			}
			s.t, s.out = t, new(strings.Builder)
			for line := range strings.Lines(d.Input) {
				s.play(strings.Fields(line))
			}
			s.compare()
			return s.out.String()
		})
	})
}

type story struct {
	*sim
	out *strings.Builder
}

func newStory(t *testing.T, names []string) *story {
	m := &sim{world: newWorld(t, names...), rng: rand.New(rand.NewPCG(1, 1)), oracle: newOracle(), learnt: map[string]uint64{}, backup: map[string]*vfs.Crash{}}
	for _, s := range m.sites {
		m.learnt[s.Name()] = 1
	}
	return &story{sim: m}
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// refused says what a user or a link is told.
func (s *story) refused(what string, err error) {
	if err == nil {
		return
	}
	for _, known := range []error{ErrNoSuchBucket, ErrBucketExists, ErrBucketNotEmpty, ErrNoSuchVersion, ErrNoSuchKey, ErrNotHome, ErrPrecondition, ErrLocked, ErrNoLocks, ErrClockAhead, ErrQuarantine, ErrUnavailable, ErrTargetExists, ErrInvalidArgument} {
		if errors.Is(err, known) {
			err = known
		}
	}
	s.say("%s: %v", what, err)
}

func (s *story) play(line []string) {
	if len(line) == 0 || line[0] == "sites" {
		return
	}
	what := strings.Join(line, " ")
	arg := func(i int) string {
		if i >= len(line) {
			s.t.Fatalf("%q: a word is missing", what)
		}
		return line[i]
	}
	s.tick(time.Second)
	switch line[0] {
	case "site":
		s.refused(what, s.act(s.site(arg(1)), arg(2), line[3:]))
	case "lose-answer":
		s.lossy = true
	case "cut":
		s.link(arg(1), arg(2), false)
	case "heal":
		for _, a := range s.sites {
			for _, b := range s.sites {
				s.link(a.Name(), b.Name(), a != b)
			}
		}
	case "sync":
		s.syncAllSites()
	case "feed":
		r, from := s.site(arg(1)), s.site(arg(2))
		r.syncs = 0
		s.refused(what, s.pull(r, from))
		if r.syncs > 0 {
			s.say("%s: by trees", what)
		}
	case "adopt":
		s.refused(what, s.syncAll(s.site(arg(1)), s.site(arg(2))))
	case "old":
		b, err := s.site(arg(1)).Bucket(arg(2))
		s.must(err)
		s.site(arg(1)).old[b.id] = true
	case "upgrade":
		clear(s.site(arg(1)).old)
		s.site(arg(1)).restart()
	case "repay":
		s.must(s.repay(s.site(arg(1)), s.site(arg(2))))
	case "clock":
		d, err := time.ParseDuration(arg(2))
		s.must(err)
		s.site(arg(1)).skew = d
	case "tick":
		d, err := time.ParseDuration(arg(1))
		s.must(err)
		s.tick(d)
	case "checkpoint":
		a := s.site(arg(1))
		s.must(a.foldAll(s.ctx))
		s.must(a.checkpoint(s.ctx))
	case "restart":
		s.site(arg(1)).restart()
	case "backup":
		a := s.site(arg(1))
		s.must(a.checkpoint(s.ctx))
		s.backup[a.Name()] = a.fs.Crash(s.rng)
	case "restore":
		s.learn()
		s.restore(s.site(arg(1)))
	case "rollback":
		s.learn()
		a := s.site(arg(1))
		s.reopen(a, s.backup[a.Name()])
		s.learnt[a.Name()] = a.log.First()
	case "show":
		s.show(arg(1))
	default:
		s.t.Fatalf("%q is not understood", what)
	}
}

func (s *story) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatal(err)
	}
}

func (s *story) link(a, b string, up bool) {
	s.site(a).peers[b], s.site(b).peers[a] = up, up
}

func (s *story) act(a *site, verb string, args []string) error {
	if verb == "create" {
		set := DefaultSettings()
		if len(args) > 1 {
			if args[1] == "locks" {
				args[1], set.Locks.Enabled = "enabled", true
			}
			s.must(set.Versioning.UnmarshalText([]byte(args[1])))
		}
		_, err := a.CreateBucket(s.ctx, args[0], BucketOptions{Settings: &set})
		return err
	}
	if verb == "rename-bucket" {
		_, err := a.RenameBucket(s.ctx, args[0], args[1])
		return err
	}
	if verb == "drop" {
		return a.DeleteBucket(s.ctx, args[0])
	}
	if len(args) == 0 {
		args = []string{""}
	}
	bucket, key, ok := strings.Cut(args[0], "/")
	if !ok {
		bucket, key = "box", args[0]
	}
	b, err := a.Bucket(bucket)
	if err != nil {
		return err
	}
	key = s.loserName(a, b, key)
	switch verb {
	case "versioning":
		return b.Configure(s.ctx, func(set *Settings) error { return set.Versioning.UnmarshalText([]byte(args[0])) })
	case "policy":
		return b.Configure(s.ctx, func(set *Settings) error { return set.Policy.UnmarshalText([]byte(args[0])) })
	case "home":
		return b.MoveHome(s.ctx, s.site(args[0]).ID())
	case "take-home":
		return b.TakeHome(s.ctx)
	case "put-new":
		_, err = b.Put(s.ctx, key, Attrs{ETag: args[1]}, Cond{Absent: true}, strings.NewReader(args[1]))
	case "put-if":
		_, err = b.Put(s.ctx, key, Attrs{ETag: args[2]}, Cond{Match: args[1:2]}, strings.NewReader(args[2]))
	case "put":
		_, err = b.Put(s.ctx, key, Attrs{ETag: args[1]}, Cond{}, strings.NewReader(args[1]))
	case "cas":
		c := Cond{Match: []string{args[1]}}
		if args[1] == "-" {
			c = Cond{Absent: true}
		}
		_, err = b.Put(s.ctx, key, Attrs{ETag: args[2]}, c, strings.NewReader(args[2]))
	case "put-resolving":
		_, err = b.Put(s.ctx, key, Attrs{ETag: args[1]}, Cond{Resolve: true}, strings.NewReader(args[1]))
	case "delete":
		_, err = b.Delete(s.ctx, key, Cond{})
	case "delete-resolving":
		_, err = b.Delete(s.ctx, key, Cond{Resolve: true})
	case "resolve":
		_, err = b.Resolve(s.ctx, key, s.version(a, b, key, args[1]), Cond{})
	case "rename":
		o := RenameOptions{Replace: len(args) > 2}
		if strings.HasSuffix(key, "/") {
			_, err = b.RenamePrefix(s.ctx, key, args[1], o)
		} else {
			_, err = b.Rename(s.ctx, key, args[1], o)
		}
	case "remove":
		_, err = b.Remove(s.ctx, key, s.version(a, b, key, args[1]), Cond{})
	case "tag":
		_, err = b.SetTags(s.ctx, key, s.version(a, b, key, args[1]), map[string]string{"is": args[2]}, Cond{})
	case "hold", "release":
		on := verb == "hold"
		_, err = b.Lock(s.ctx, key, s.version(a, b, key, args[1]), LockChange{LegalHold: &on}, Cond{})
	case "retain":
		d, wrong := time.ParseDuration(args[2])
		s.must(wrong)
		r := &Retention{Until: s.now.Add(d)}
		s.must(r.Mode.UnmarshalText([]byte(args[3])))
		_, err = b.Lock(s.ctx, key, s.version(a, b, key, args[1]), LockChange{Retention: r}, Cond{})
	case "get":
		ref := VersionRef{}
		if len(args) > 1 {
			ref = s.version(a, b, key, args[1])
		}
		var v Version
		if v, err = b.Stat(s.ctx, key, ref); err == nil {
			s.say("%s get %s: %s", a.Name(), strings.Join(args, " "), v.Attrs.ETag)
		}
	default:
		s.t.Fatalf("%q is not understood", verb)
	}
	return err
}

// loserName is the name of a key's open loser, where the key is written so.
func (s *story) loserName(a *site, b *Bucket, key string) string {
	key, by, ok := strings.Cut(key, "~")
	if !ok || len(by) > 1 {
		return key + strings.TrimSuffix("~"+by, "~")
	}
	h, err := b.view(key).head(s.ctx, key)
	s.must(err)
	for _, l := range h.losers() {
		if s.sites[l.Dot.Segment-1].Name() == by {
			return LoserName(key, l.Dot)
		}
	}
	s.t.Fatalf("%s has no open loser of %s by %s", a.Name(), key, by)
	return ""
}

// version finds a version by the name that "show versions" gives it.
func (s *story) version(a *site, b *Bucket, key, name string) VersionRef {
	switch name {
	case "null":
		return VersionRef{Null: true}
	case "current":
		return VersionRef{}
	}
	for v, err := range b.eachVersion(s.ctx, key, nil) {
		s.must(err)
		if v.Key == key && (s.dot(v.Dot) == name || name == "by-"+s.sites[v.Dot.Segment-1].Name()) {
			return VersionRef{ID: v.VersionID}
		}
	}
	s.t.Fatalf("%s holds no version %s of %s", a.Name(), name, key)
	return VersionRef{}
}

// dot is site/number; a later life of a site is a', the next a".
func (s *story) dot(d Dot) string {
	var lives []uint32
	for _, records := range s.oracle.written {
		for e := range records {
			if e.Segment == d.Segment && e.Inc < d.Inc && !slices.Contains(lives, e.Inc) {
				lives = append(lives, e.Inc)
			}
		}
	}
	return s.sites[d.Segment-1].Name() + strings.Repeat("'", len(lives)) + "/" + strconv.FormatUint(d.N, 10)
}

// syncAllSites exchanges everything, and tells what a link refused.
func (s *story) syncAllSites() {
	told := map[string]bool{}
	for range 3 * len(s.sites) {
		for _, r := range s.sites {
			for _, from := range s.sites {
				if r == from || !r.peers[from.Name()] {
					continue
				}
				what := fmt.Sprintf("%s takes from %s", r.Name(), from.Name())
				if err := s.pull(r, from); err != nil && !told[what] {
					told[what] = true
					s.refused(what, err)
				}
			}
		}
	}
}

// show draws a view of each site; sites that see the same are drawn once.
func (s *story) show(what string) {
	s.learn()
	var order []string
	names := map[string][]string{}
	for _, a := range s.sites {
		var b strings.Builder
		if what == "debts" {
			s.drawDebts(&b, a)
			s.say("debts of %s:", a.Name())
			s.out.WriteString(b.String())
			continue
		}
		for _, info := range a.Buckets() {
			s.draw(&b, what, a.bucket(info.ID), info)
		}
		if names[b.String()] == nil {
			order = append(order, b.String())
		}
		names[b.String()] = append(names[b.String()], a.Name())
	}
	for _, view := range order {
		s.say("%s at %s:", what, strings.Join(names[view], ", "))
		s.out.WriteString(view)
	}
}

// drawDebts tells which buckets a site passes over, of whom.
func (s *story) drawDebts(out *strings.Builder, a *site) {
	for _, from := range s.sites {
		for _, d := range a.Debts(from.ID()) {
			name := d.Bucket.String()
			if b := a.bucket(d.Bucket); b != nil {
				name = b.Info().Name
			}
			fmt.Fprintf(out, "  %s from %s since %s\n", name, from.Name(), d.Since.Format(time.TimeOnly))
		}
	}
}

func (s *story) draw(out *strings.Builder, what string, b *Bucket, info BucketInfo) {
	if what == "buckets" {
		fmt.Fprintf(out, "  %s of %s, versioning %v, %d keys", info.Name, info.HomeName, info.Settings.Versioning, b.Stats().Objects)
		if info.Epoch.N > 0 || info.Settings.homed() {
			fmt.Fprintf(out, ", conflicts %v, epoch %d", info.Settings.Policy, info.Epoch.N)
		}
		out.WriteString("\n")
		return
	}
	fmt.Fprintf(out, "  %s\n", info.Name)
	if what == "listing" {
		page, err := b.List(s.ctx, ListOptions{Limit: 1000})
		s.must(err)
		for _, e := range page.Entries {
			fmt.Fprintf(out, "    %s: %s\n", e.Version.Key, e.Version.Attrs.ETag)
		}
		return
	}
	keys := map[string][]*Version{}
	var order []string
	for v, err := range b.eachVersion(s.ctx, "", nil) {
		s.must(err)
		if keys[v.Key] == nil {
			order = append(order, v.Key)
		}
		keys[v.Key] = append(keys[v.Key], v)
	}
	for _, key := range order {
		h, err := b.view(key).head(s.ctx, key)
		s.must(err)
		switch what {
		case "heads":
			s.drawHead(out, key, h)
		case "conflicts":
			if h.conflicted() {
				s.drawHead(out, key, h)
			}
		case "versions":
			for i, v := range keys[key] {
				s.drawVersion(out, i == 0, v)
			}
		default:
			s.t.Fatalf("show %s is not understood", what)
		}
	}
}

func (s *story) drawHead(out *strings.Builder, key string, h head) {
	shown := "deleted"
	if v := h.content(); v != nil {
		shown = v.Attrs.ETag
	}
	fmt.Fprintf(out, "    %s: %s by %s", key, shown, s.dot(h.current().Dot))
	for _, v := range h.losers() {
		fmt.Fprintf(out, ", open %s by %s", v.Attrs.ETag, s.dot(v.Dot))
	}
	out.WriteString("\n")
}

func (s *story) drawVersion(out *strings.Builder, latest bool, v *Version) {
	fmt.Fprintf(out, "    %s %s", v.Key, s.dot(v.Dot))
	if v.Marker {
		out.WriteString(" marker")
	} else {
		fmt.Fprintf(out, " %s", v.Attrs.ETag)
	}
	for _, flag := range []struct {
		on   bool
		text string
	}{{v.Null, "null"}, {latest, "current"}, {v.Superseded, "superseded"}} {
		if flag.on {
			fmt.Fprintf(out, ", %s", flag.text)
		}
	}
	if tag := v.Tags()["is"]; tag != "" {
		fmt.Fprintf(out, ", tagged %s", tag)
	}
	if l := v.Lock(); l.Mode != NoRetention {
		fmt.Fprintf(out, ", %v until %s", l.Mode, l.Until.Format(time.TimeOnly))
	}
	if v.Lock().LegalHold {
		out.WriteString(", legal hold")
	}
	out.WriteString("\n")
}

func (s *story) learn() {
	for _, r := range s.sites {
		var err error
		s.learnt[r.Name()], err = s.oracle.learn(s.world, r, s.learnt[r.Name()])
		s.must(err)
	}
}

// compare holds every site against the oracle.
func (s *story) compare() {
	s.learn()
	for _, a := range s.sites {
		s.must(s.check(a))
	}
}
