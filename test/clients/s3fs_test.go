package clients_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// mountS3fs mounts a bucket and returns where, until the test's end.
func mountS3fs(t *testing.T, s *site, bucket string) string {
	t.Helper()
	c := findTool(t, "s3fs")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("s3fs needs FUSE: %v", err)
	}
	keys, at := filepath.Join(c.dir, "passwd"), filepath.Join(c.dir, "mount")
	write(t, keys, []byte(s.AccessKey+":"+s.SecretKey))
	if err := os.Chmod(keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.path, bucket, at, "-f", "-o", "url="+s.Endpoint, "-o", "passwd_file="+keys, "-o", "use_path_request_style")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // it then unmounts, though this test had been killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		unmount(t, at)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
			t.Errorf("s3fs did not end")
		}
		if t.Failed() {
			t.Logf("s3fs said:\n%s", tail(string(read(t, log.Name()))))
		}
	})
	soon(t, "s3fs has mounted", func() bool { return mounted(t, at) || ended(done) })
	if ended(done) {
		t.Fatal("s3fs ended")
	}
	return at
}

func ended(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func mounted(t *testing.T, at string) bool {
	for _, line := range lines(string(read(t, "/proc/self/mounts"))) {
		var device, place string
		if _, err := fmt.Sscan(line, &device, &place); err == nil && place == at {
			return true
		}
	}
	return false
}

// unmount ends the mount, in any state: a mount that stays would hang whoever looks at it.
func unmount(t *testing.T, at string) {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if out, err := exec.CommandContext(ctx, "fusermount", "-u", "-z", at).CombinedOutput(); err != nil {
		t.Errorf("unmount: %v: %s", err, out)
	}
}

func TestS3fs(t *testing.T) {
	hawaii, tokyo := sites(t)
	findTool(t, "s3fs")
	b := bucketName(t)
	makeBucket(t, hawaii, b)
	at := mountS3fs(t, hawaii, b)
	tree := filepath.Join(t.TempDir(), "tree")
	plant(t, tree)
	file(t, tree, "large", largeSize)
	sh := newTool(t, "/bin/sh")
	sh.run(t, "-c", fmt.Sprintf("cp -r %q %q", tree, at+"/"))
	sameTree(t, filepath.Join(at, "tree"), tree)

	t.Run("files are changed", func(t *testing.T) { s3fsChange(t, sh, at, tree) })
	t.Run("another mount sees the same", func(t *testing.T) {
		again := mountS3fs(t, hawaii, b)
		sameTree(t, filepath.Join(again, "moved"), tree)
		if info, err := os.Stat(filepath.Join(again, "moved", "plain.txt")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v %v", info, err)
		}
	})
	t.Run("the other site has it", func(t *testing.T) {
		soon(t, "tokyo lists the tree", func() bool { return slices.Contains(keysOf(t, tokyo, b), "moved/large") })
		sameTree(t, filepath.Join(mountS3fs(t, tokyo, b), "moved"), tree)
	})
	t.Run("folders have pages", func(t *testing.T) {
		entries, err := os.ReadDir(mountS3fs(t, hawaii, many(t, hawaii)))
		if err != nil || len(entries) != manyFolders+manyAtTop {
			t.Errorf("%d entries of %d: %v", len(entries), manyFolders+manyAtTop, err)
		}
	})
	t.Run("all is deleted", func(t *testing.T) {
		sh.run(t, "-c", fmt.Sprintf("rm -r %q", at+"/moved"))
		if keys := keysOf(t, hawaii, b); len(keys) != 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

// s3fsChange changes what is mounted, and the local tree alike.
func s3fsChange(t *testing.T, sh *tool, at, tree string) {
	both := func(script string) {
		t.Helper()
		for _, dir := range []string{tree, filepath.Join(at, "tree")} {
			sh.run(t, "-c", fmt.Sprintf("cd %q && %s", dir, script))
		}
	}
	both("echo appended >> sizes/4096")
	both("printf middle | dd of=sizes/1048583 bs=1 seek=500000 conv=notrunc status=none")
	both("truncate -s 1000 sizes/32768")
	both("printf tail >> large") // a part of the object is copied in the server
	both("mv 'with space.txt' 'renamed to+this.txt'")
	both("mv dir 'other dir'")
	both("mkdir new && mv large new/ && mv new/large .") // UploadPartCopy
	both("rmdir new")
	both("rm hash*")
	both("chmod 640 plain.txt && touch -d 2020-02-03 plain.txt")
	sh.run(t, "-c", fmt.Sprintf("mv %q %q", at+"/tree", at+"/moved"))
	sameTree(t, filepath.Join(at, "moved"), tree)
	info, err := os.Stat(filepath.Join(at, "moved", "plain.txt"))
	if err != nil || info.Mode().Perm() != 0o640 || info.ModTime().UTC().Year() != 2020 {
		t.Errorf("%+v %v", info, err)
	}
}
