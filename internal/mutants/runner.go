package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// testTime is what the tests of one mutant may take; a bug that makes them hang is found too.
const testTime = "120s"

// runner runs tests with and without bugs.
type runner struct {
	root  string
	temp  string
	sound map[string]error // by command: whether the tests pass without a bug
}

// try returns nil when the tests fail with the bug, and only then.
func (r *runner) try(ctx context.Context, m mutant) error {
	source := filepath.Join(r.root, m.file)
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	planted, err := m.plant(string(text))
	if err != nil {
		return err
	}
	if err := r.passes(ctx, m); err != nil {
		return err
	}
	overlay, err := r.overlay(source, planted)
	if err != nil {
		return err
	}
	if out, err := r.command(ctx, "build", "-overlay", overlay, "./"+filepath.Dir(m.file)); err != nil {
		return fmt.Errorf("it does not compile: %s", strings.Join(strings.Fields(string(out)), " "))
	}
	_, err = r.command(ctx, append([]string{"test", "-overlay", overlay}, m.arguments()...)...)
	if err == nil {
		return errors.New("the tests pass with it")
	}
	return nil
}

// passes says whether the tests pass as the tree is; else their failure means nothing.
func (r *runner) passes(ctx context.Context, m mutant) error {
	key := strings.Join(m.arguments(), " ")
	if err, known := r.sound[key]; known {
		return err
	}
	out, err := r.command(ctx, append([]string{"test"}, m.arguments()...)...)
	if err == nil && bytes.Contains(out, []byte("[no tests to run]")) {
		err = errors.New("there are no such tests")
	}
	if err != nil {
		err = fmt.Errorf("go test %s fails without it: %w", key, err)
	}
	r.sound[key] = err
	return err
}

func (m mutant) arguments() []string {
	args := []string{"-count=1", "-short", "-timeout", testTime}
	if m.tests != "" {
		args = append(args, "-run", m.tests)
	}
	return append(args, m.packages...)
}

// overlay writes what shows the compiler another text of a file.
func (r *runner) overlay(source, text string) (string, error) {
	source, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	other, list := filepath.Join(r.temp, "planted.go"), filepath.Join(r.temp, "overlay.json")
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {source: other}})
	if err != nil {
		return "", err
	}
	return list, os.WriteFile(list, b, 0o600)
}

func (r *runner) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.root
	return cmd.CombinedOutput()
}
