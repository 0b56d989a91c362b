package story_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/test/demo/story"
)

// tell tells a story of one step.
func tell(do func(*story.Step) error) (told string, good bool) {
	var out strings.Builder
	s := story.To(&out)
	step := s.Step(context.Background(), "water is wet", func(_ context.Context, st *story.Step) error { return do(st) })
	end := s.End()
	if step != end {
		return fmt.Sprintf("the step says %t, the end %t", step, end), false
	}
	return out.String(), end
}

func TestOnlyStepsWhoseClaimsHoldAreTrue(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*story.Step) error
		good bool
		has  string
	}{
		{"claims that hold", func(st *story.Step) error {
			st.Measured("%d drops", 3)
			st.Check(true, "it is wet")
			return nil
		}, true, "1 of 1 steps are true"},
		{"a false claim among others", func(st *story.Step) error {
			st.Check(true, "it is wet")
			st.Check(false, "it is dry")
			st.Check(true, "it is blue")
			return nil
		}, false, "false: it is dry"},
		{"an error after claims that hold", func(st *story.Step) error {
			st.Check(true, "it is wet")
			return errors.New("the well is empty")
		}, false, "the well is empty"},
		{"nothing claimed", func(*story.Step) error { return nil }, false, "0 of 1 steps are true"},
		{"skipped", func(*story.Step) error { return story.ErrSkipped }, false, "not tried"},
	} {
		told, good := tell(c.do)
		if good != c.good || !strings.Contains(told, c.has) {
			t.Errorf("%s: true is %t, told:\n%s", c.name, good, told)
		}
	}
}

func TestMeasuresAreInTheStoryAndInTheTable(t *testing.T) {
	told, _ := tell(func(st *story.Step) error {
		st.Measured("3 drops")
		st.Check(true, "it is wet")
		return nil
	})
	if n := strings.Count(told, "3 drops"); n != 2 {
		t.Errorf("the measure is told %d times:\n%s", n, told)
	}
}

func TestAStoryWithoutStepsShowsNothing(t *testing.T) {
	if story.To(&strings.Builder{}).End() {
		t.Error("it is called true")
	}
}

func TestDurationHasAboutThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		123456 * time.Millisecond: "2m3s", 45678 * time.Millisecond: "45.7s", 1234 * time.Millisecond: "1.23s",
		45678 * time.Microsecond: "46ms", 4567 * time.Microsecond: "4.57ms", 456 * time.Microsecond: "456µs",
	} {
		if got := story.Duration(d); got != want {
			t.Errorf("%d ns is %s, want %s", d, got, want)
		}
	}
}
