package segment

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestSchedulesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "off": "", "1h:24": "1h:24", "30d:12, 1h:24 60m:3": "!", "1d:30,1h:24": "1h:24,1d:30", "90m:2": "90m:2", "7d:4": "1w:4", "60s:1": "1m:1",
		"1h": "!", "1h:0": "!", "1h:-1": "!", "1s:5": "!", "1y:5": "!", "800d:1": "!", "1h:99999": "!", "1h:1:1": "!", ":": "!",
		"1h:1,2h:1,3h:1,4h:1,5h:1,6h:1,7h:1,8h:1,9h:1": "!",
	} {
		s, err := ParseSchedule(text)
		if string(s) != want && want != "!" || (err != nil) != (want == "!") {
			t.Errorf("%q: %q, %v; want %q", text, s, err, want)
		}
		again, err := parseScheduleField(s.appendTo(nil))
		if again != s || err != nil {
			t.Errorf("%q comes back as %q, %v", s, again, err)
		}
	}
	s, _ := ParseSchedule("1h:24,1d:30")
	if text, err := json.Marshal(s); string(text) != `[{"every":"1h","keep":24},{"every":"1d","keep":30}]` || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func (s *site) schedule(bucket, rules string) {
	s.w.t.Helper()
	err := s.bucketNamed(bucket).Configure(s.w.ctx, func(set *Settings) (err error) {
		set.Snapshots, err = ParseSchedule(rules)
		return err
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
}

func (s *site) keepSchedule(bucket string) {
	s.w.t.Helper()
	if err := s.bucketNamed(bucket).keepSchedule(s.w.ctx); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestAScheduleTakesAndKeepsSnapshots(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	w.now = time.Date(2026, 11, 20, 22, 30, 0, 0, time.UTC)
	a.schedule("photos", "1h:3,1d:2")
	a.snap("photos", "mine")
	state := map[string]map[string]string{}
	for i := range 6 { // 22:30 to 03:30
		a.put("photos", "k", fmt.Sprint(i))
		for range 3 {
			a.keepSchedule("photos")
		}
		state[autoName(time.Hour, w.now.Truncate(time.Hour))] = a.holds("photos")
		if i%2 == 0 {
			a.restart()
		}
		w.tick(time.Hour)
	}
	want := []string{"mine", "auto-1d-20261120T000000Z", "auto-1d-20261121T000000Z", "auto-1h-20261121T010000Z", "auto-1h-20261121T020000Z", "auto-1h-20261121T030000Z"}
	taken, err := a.bucketNamed("photos").Snapshots(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range taken {
		due := time.Time{}
		if i.Name != "mine" {
			due = i.Created.Truncate(time.Hour)
		}
		if i.Name == "auto-1d-20261120T000000Z" {
			due = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) // the first is taken at once, 22 hours late
		}
		if !i.Due.Equal(due) {
			t.Errorf("%s, taken at %v, is due at %v, want %v", i.Name, i.Created, i.Due, due)
		}
	}
	names := func(s *site) []string {
		got := s.snapshotNames("photos")
		slices.Sort(got)
		return got
	}
	slices.Sort(want)
	if got := names(a); !slices.Equal(got, want) {
		t.Errorf("snapshots %q, want %q", got, want)
	}
	for _, n := range want {
		if s := state[n]; s != nil {
			a.wantHolds("photos@"+n, s)
		}
	}
	if set := a.branch("photos", "work").Settings(); set.Snapshots != "" { // which also makes the roots of all that are sealed
		t.Errorf("a branch begins with the schedule %q", set.Snapshots)
	}
	// Of a week that nobody ran, the last moment is made up for.
	w.tick(7 * 24 * time.Hour)
	a.restart()
	a.keepSchedule("photos")
	want = []string{"mine", "auto-1d-20261121T000000Z", "auto-1d-20261128T000000Z", "auto-1h-20261121T020000Z", "auto-1h-20261121T030000Z", "auto-1h-20261128T040000Z"}
	slices.Sort(want)
	if got := names(a); !slices.Equal(got, want) {
		t.Errorf("after a week: %q, want %q", got, want)
	}
	// What was deleted is not taken again.
	if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "auto-1h-20261128T040000Z"); err != nil {
		t.Fatal(err)
	}
	a.keepSchedule("photos")
	if slices.Contains(a.snapshotNames("photos"), "auto-1h-20261128T040000Z") {
		t.Error("it was taken again")
	}
	// The home alone takes them, and the schedule moves with it.
	w.settle()
	w.tick(time.Hour)
	b.keepSchedule("photos")
	if slices.Contains(b.snapshotNames("photos"), "auto-1h-20261128T050000Z") {
		t.Error("taken by who is not the home")
	}
	if err := a.bucketNamed("photos").MoveHome(w.ctx, b.ID()); err != nil {
		t.Fatal(err)
	}
	a.keepSchedule("photos")
	w.settle()
	b.keepSchedule("photos")
	w.tick(time.Hour)
	b.keepSchedule("photos")
	want = []string{"mine", "auto-1d-20261121T000000Z", "auto-1d-20261128T000000Z", "auto-1h-20261121T030000Z", "auto-1h-20261128T050000Z", "auto-1h-20261128T060000Z"}
	slices.Sort(want)
	if got := names(b); !slices.Equal(got, want) {
		t.Errorf("at the new home: %q, want %q", got, want)
	}
	b.schedule("photos", "off")
	before := names(b)
	w.tick(48 * time.Hour)
	b.keepSchedule("photos")
	if got := names(b); !slices.Equal(got, before) {
		t.Errorf("without a schedule: %q", got)
	}
}

func TestNamesOfSchedulesAreNobodysElse(t *testing.T) {
	w := oneBucket(t, "a")
	b := w.site("a").bucketNamed("photos")
	if _, err := b.CreateSnapshot(w.ctx, "auto-1h-20261121T010000Z"); !errors.Is(err, ErrInvalidName) {
		t.Error(err)
	}
	for _, name := range []string{"auto-1h", "auto-60m-20261121T010000Z", "auto-1h-20261121", "automatic", "auto--"} {
		if _, err := b.CreateSnapshot(w.ctx, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if every, slot, ok := parseAuto("auto-1w-20261116T000000Z"); !ok || every != 7*24*time.Hour || slot.Weekday() != time.Monday {
		t.Error(every, slot, ok)
	}
}

func TestASnapshotIsKeptForATime(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	at := b.bucketNamed("photos")
	i, err := at.CreateSnapshotFor(w.ctx, "week", 7*24*time.Hour)
	if err != nil || !i.Until.Equal(w.now.Add(7*24*time.Hour)) {
		t.Fatal(i, err)
	}
	if _, err := at.WaitSnapshot(w.ctx, i.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := at.CreateSnapshotFor(w.ctx, "never", -time.Hour); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
	w.tick(time.Second)
	a.snap("photos", "ever")
	w.settle()
	w.tick(7*24*time.Hour - time.Minute)
	a.restart()
	a.keepSchedule("photos")
	if got := a.snapshotNames("photos"); !slices.Equal(got, []string{"week", "ever"}) {
		t.Errorf("%q", got)
	}
	w.tick(2 * time.Minute)
	b.keepSchedule("photos")
	if got := b.snapshotNames("photos"); len(got) != 2 {
		t.Errorf("deleted by who is not the home: %q", got)
	}
	a.keepSchedule("photos")
	w.settle()
	for _, s := range w.sites {
		if got := s.snapshotNames("photos"); !slices.Equal(got, []string{"ever"}) {
			t.Errorf("%q", got)
		}
	}
	if n := len(a.Segment.names.ends(at.ID())); n != 0 {
		t.Errorf("%d ends are left", n)
	}
}
