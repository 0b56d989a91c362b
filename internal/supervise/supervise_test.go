package supervise

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func shell(out *buffer, script string) Child {
	return Child{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, Out: Lines(out)}
}

func TestAChildThatEndsByItselfIsAnError(t *testing.T) {
	for script, want := range map[string]string{"echo why >&2; exit 3": "exit status 3", "exit 0": ErrEnded.Error()} {
		out := new(buffer)
		err := shell(out, script).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
		if strings.Contains(script, "why") && out.String() != "child: why\n" {
			t.Errorf("said %q", out)
		}
	}
}

func TestAKilledChildIsStartedAgain(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	out := new(buffer)
	err := shell(out, `if [ -e `+mark+` ]; then exit 7; fi; touch `+mark+`; kill -9 $$`).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(out.String(), "child: signal: killed; starting again") {
		t.Errorf("%v; said %q", err, out)
	}
}

func TestTheContextsEndEndsTheChildInOrder(t *testing.T) {
	dir := t.TempDir()
	ready, ended := filepath.Join(dir, "ready"), filepath.Join(dir, "ended")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- shell(new(buffer), `trap 'touch `+ended+`; exit 0' TERM; touch `+ready+`; while :; do sleep 0.01; done`).Run(ctx)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		<-tick.C
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("the child did not end in order: %v", err)
	}
}

func TestLinesGoOutWhole(t *testing.T) {
	out := new(buffer)
	p := &prefixed{prefix: "a: ", w: out}
	for _, part := range []string{"on", "e\ntw", "o\n", "rest"} {
		if _, err := p.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	p.flush()
	if got := out.String(); got != "a: one\na: two\na: rest\n" {
		t.Errorf("%q", got)
	}
	p.Write(bytes.Repeat([]byte("x"), 2*maxLine))
	if len(p.part) >= maxLine {
		t.Errorf("%d bytes are kept of a line that does not end", len(p.part))
	}
}
