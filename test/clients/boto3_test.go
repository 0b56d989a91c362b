package clients_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBoto3(t *testing.T) {
	hawaii, tokyo := sites(t)
	python := findTool(t, "python3", append(hawaii.env(), tokyo.peerEnv()...)...)
	// Another than Debian's, to see whether a newer boto3 does as well.
	if path := os.Getenv("CLIENTS_PYTHON"); path != "" {
		python.path = path
	}
	if _, _, err := python.try(t, nil, "-c", "import boto3"); err != nil {
		t.Skip("boto3 is not installed (make deps)")
	}
	script, err := filepath.Abs(filepath.Join("python", "boto3_test.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, errs, err := python.try(t, nil, "-B", script)
	if err != nil {
		t.Errorf("boto3: %v\n%s", err, errs)
	}
}
