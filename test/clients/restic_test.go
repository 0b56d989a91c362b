package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRestic(t *testing.T) {
	hawaii, tokyo := sites(t)
	b := bucketName(t)
	repository := func(s *site) *tool {
		return findTool(t, "restic", append(s.env(), "RESTIC_REPOSITORY=s3:"+s.Endpoint+"/"+b+"/backup", "RESTIC_PASSWORD=secret")...)
	}
	c := repository(hawaii)
	tree := filepath.Join(t.TempDir(), "tree")
	plant(t, tree)
	file(t, tree, "large", largeSize)
	c.run(t, "init")
	c.refused(t, "already", "init")
	c.run(t, "backup", tree)
	if err := os.Remove(filepath.Join(tree, "plain.txt")); err != nil {
		t.Fatal(err)
	}
	file(t, tree, "new", 70_000)
	c.run(t, "backup", tree)
	c.run(t, "check", "--read-data")
	has(t, c.run(t, "snapshots"), "2 snapshots")
	resticRestore(t, c, tree)
	has(t, c.run(t, "forget", "--keep-last", "1", "--prune"), "remove 1 snapshots")
	has(t, c.run(t, "check", "--read-data"), "no errors were found")

	peer := repository(tokyo)
	soon(t, "tokyo has the one snapshot", func() bool {
		out, _, err := peer.try(t, nil, "snapshots")
		return err == nil && strings.Contains(out, "1 snapshots")
	})
	has(t, peer.run(t, "check", "--read-data"), "no errors were found")
	resticRestore(t, peer, tree)
}

func resticRestore(t *testing.T, c *tool, tree string) {
	t.Helper()
	back := t.TempDir()
	c.run(t, "restore", "latest", "--target", back)
	sameTree(t, filepath.Join(back, tree), tree)
}
