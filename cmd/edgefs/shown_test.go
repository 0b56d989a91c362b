package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNamesAreSpelledForAShell(t *testing.T) {
	for name, want := range map[string]string{
		"plain key, ü and 日本": "plain key, ü and 日本",
		"esc\x1b[31m":         `$'esc\033[31m'`,
		"two\nlines\t":        `$'two\nlines\t'`,
		"it's \\ \a":          `$'it\'s \\ \007'`,
		"it's":                "it's",
		"not\xffutf8":         `$'not\xffutf8'`,
		"turned\u202egnp":     `$'turned\u202egnp'`,
		"c1\u009b31m":         `$'c1\u009b31m'`,
		"tag\U000e0041":       `$'tag\U000e0041'`,
		"replaced\uFFFD":      "replaced\uFFFD",
	} {
		got := word(name)
		if got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		if strings.HasPrefix(got, "$'") {
			back, err := exec.Command("bash", "-c", "LC_ALL=C.UTF-8; printf %s "+got).Output()
			if err == nil && string(back) != name {
				t.Errorf("bash reads %s as %q", got, back)
			}
		}
	}
	if got := printable("a\n\x1b]0;title\a\nb"); got != `a`+"\n"+`\033]0;title\007`+"\nb" {
		t.Errorf("%q", got)
	}
}

// terminal runs a command with a terminal for its output, and returns what is written to that.
func terminal(t *testing.T, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	all(t, err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), beEdgefs+"=1")
	cmd.Stdout, cmd.Stderr = tty, tty
	all(t, cmd.Start(), tty.Close())
	text, _ := io.ReadAll(master) // ends with an error when nobody has the terminal open any more
	_ = cmd.Wait()
	return string(text)
}

func TestATerminalGetsNoControlCharactersOfNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "traps")
	const key = "a\x1b]0;owned\a\nb"
	goodWith(t, "x", "put", "-", "traps/"+key)
	goodWith(t, "x", "put", "-", "traps/\x1b[1mdir/x")
	for _, args := range [][]string{
		{"ls", "traps"}, {"ls", "-r", "traps"}, {"ls", "--versions", "traps"}, {"stat", "traps/" + key}, {"stat", "traps/none" + key},
		{"get", "-r", "traps", t.TempDir()}, {"rm", "traps/" + key, "traps/" + key},
	} {
		out := terminal(t, args...)
		if out == "" || strings.ContainsAny(out, "\x1b\a") {
			t.Errorf("%q: %q", args, out)
		}
	}
	goodWith(t, "x", "put", "-", "traps/"+key)
	if out := good(t, "ls", "traps"); !strings.Contains(out, key) {
		t.Errorf("a program does not get the key as it is: %q", out)
	}
	if l := jsonOf[listing](t, "ls", "traps"); len(l.Objects) != 1 || l.Objects[0].Key != key {
		t.Errorf("%+v", l)
	}
}
