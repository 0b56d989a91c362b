package segment

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestALongStartSaysHowFarItCame(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	soon := tally{said: time.Now().Add(time.Hour)}
	if soon.add(log, 10, 1<<20); out.Len() > 0 {
		t.Errorf("a start that takes no time says %s", &out)
	}
	long := tally{records: 5}
	long.add(log, 10, 3<<20)
	if s := out.String(); !strings.Contains(s, "records=15 MiB=3") {
		t.Errorf("it says %q", s)
	}
}
