package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/spf13/pflag"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

// s3Client is a client of the segment in dir, with its keys.
func s3Client(t *testing.T, dir string, transport http.RoundTripper) *minio.Client {
	t.Helper()
	c := jsonOf[admin.Credentials](t, "env", dir)
	scheme, host, _ := strings.Cut(c.Endpoint, "://")
	client, err := minio.New(host, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: scheme == "https", Region: c.Region, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestWhatWasPutIsThereAfterARestartAndAfterAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir)
	client := s3Client(t, dir, nil)
	if err := client.MakeBucket(t.Context(), "photos", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	put := func(key, content string) {
		t.Helper()
		c := s3Client(t, dir, nil)
		if _, err := c.PutObject(t.Context(), "photos", key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("one", "1")
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Fatalf("SIGTERM: exit %d", code)
	}
	p = serve(t, dir)
	put("two", strings.Repeat("2", 1<<20))
	p.end(t, syscall.SIGKILL)
	p = serve(t, dir)
	for key, size := range map[string]int{"one": 1, "two": 1 << 20} {
		if got := good(t, "-e", dir, "cat", "photos/"+key); len(got) != size {
			t.Errorf("%s: %d bytes", key, len(got))
		}
	}
	if code := p.end(t, os.Interrupt); code != 0 {
		t.Errorf("SIGINT: exit %d", code)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	p := start(t, "serve", dir, "--s3", "127.0.0.1:0", "--link", "off", "--metrics", "off")
	if code := p.wait(t); code != 1 || !strings.Contains(p.log.String(), "in use by process") {
		t.Errorf("exit %d: %s", code, p.log)
	}
	good(t, "-e", dir, "status") // the first is not disturbed
}

func TestAForeignDirectoryIsLeftAlone(t *testing.T) {
	file := fileWith(t, "thesis.tex", "words")
	p := start(t, "serve", filepath.Dir(file))
	if code := p.wait(t); code != 1 || !strings.Contains(p.log.String(), "not a data directory of EdgeFS") {
		t.Errorf("exit %d: %s", code, p.log)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("now holds %v, %v", entries, err)
	}
}

func TestACorruptConfigurationChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := start(t, "serve", dir, "--config", fileWith(t, "edgefs.yaml", "s3:\n  port: 80\n"))
	if code := p.wait(t); code != 2 || !strings.Contains(p.log.String(), "edgefs.yaml: s3.port: unknown field") {
		t.Errorf("exit %d: %s", code, p.log)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data directory was made: %v", err)
	}
}

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for flag, address := range map[string]string{
		"--s3": tcp.Addr().String(), "--admin": tcp.Addr().String(), "--metrics": tcp.Addr().String(), "--link": udp.LocalAddr().String(),
	} {
		t.Run(flag, func(t *testing.T) {
			p := start(t, "serve", filepath.Join(t.TempDir(), "x"), "--s3", "off", "--link", "off", "--metrics", "off", flag, address)
			if code := p.wait(t); code != 1 || !strings.Contains(p.log.String(), address+" for ") || !strings.Contains(p.log.String(), flag+" HOST:PORT") {
				t.Errorf("exit %d: %s", code, p.log)
			}
		})
	}
}

func TestTheNameIsFixedOnceMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	p := serve(t, dir, "--name", "hawaii")
	if s := jsonOf[admin.Status](t, "-e", dir, "status"); s.Name != "hawaii" {
		t.Errorf("%+v", s)
	}
	p.end(t, syscall.SIGTERM)
	p = start(t, "serve", dir, "--name", "tokyo")
	if code := p.wait(t); code != 1 || !strings.Contains(p.log.String(), "is called hawaii") {
		t.Errorf("exit %d: %s", code, p.log)
	}
}

func TestLostKeysAreNotReplacedByNewOnes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir).end(t, syscall.SIGTERM)
	if err := os.Remove(filepath.Join(dir, "keys", "identity.pem")); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", dir, "--s3", "off", "--link", "off", "--metrics", "off")
	if code := p.wait(t); code != 1 || !strings.Contains(p.log.String(), "but not the keys to it") {
		t.Errorf("exit %d: %s", code, p.log)
	}
}

func TestEnvIsReadByAShell(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	out, err := exec.Command("sh", "-c", good(t, "env", dir)+`
		echo "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_ENDPOINT_URL $AWS_DEFAULT_REGION"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonOf[admin.Credentials](t, "env", dir)
	if got, want := strings.TrimSpace(string(out)), strings.Join([]string{c.AccessKey, c.SecretKey, c.Endpoint, c.Region}, " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRemoteAdministrationNeedsTheCredential(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir, "--admin", "127.0.0.1:0")
	endpoint := jsonOf[admin.Status](t, "-e", dir, "status").Endpoints.Admin
	credential := filepath.Join(dir, "keys", "admin.json")
	if s := jsonOf[admin.Status](t, "-e", endpoint, "--credential", credential, "status"); s.Name != "hawaii" {
		t.Errorf("%+v", s)
	}
	var key map[string]string
	text, err := os.ReadFile(credential)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	key["token"] = strings.Repeat("x", len(key["token"]))
	forged, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	bad(t, 1, "not the credential", "-e", endpoint, "--credential", fileWith(t, "forged.json", string(forged)), "status")
}

// Nothing that a log or an error says, at any level, gives a key away.
func TestSecretsAreNeverLogged(t *testing.T) {
	hawaii, tokyo := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "tokyo")
	p := serve(t, hawaii, "--log-level", "debug", "--admin", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	q := serve(t, tokyo, "--log-level", "debug", "--log-format", "json")
	invitation := strings.TrimSpace(good(t, "-e", hawaii, "link", "invite"))
	good(t, "-e", tokyo, "link", "join", invitation)
	bad(t, 1, "", "-e", tokyo, "link", "join", invitation)

	client := s3Client(t, hawaii, nil)
	if err := client.MakeBucket(t.Context(), "photos", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), "photos", "k", strings.NewReader("v"), 1, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if u, err := client.PresignedGetObject(t.Context(), "photos", "k", time.Minute, nil); err != nil {
		t.Fatal(err)
	} else if res, err := http.Get(u.String()); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	endpoint := jsonOf[admin.Status](t, "-e", hawaii, "status").Endpoints.Admin
	good(t, "-e", endpoint, "--credential", filepath.Join(hawaii, "keys", "admin.json"), "status")
	_, _ = http.Get(endpoint) // a client that does not trust the certificate
	p.end(t, syscall.SIGTERM)
	q.end(t, syscall.SIGTERM)

	logs := p.log.String() + q.log.String()
	if !strings.Contains(logs, "s3 request") {
		t.Fatal("debugging was not on")
	}
	for name, secret := range secretsIn(t, hawaii, tokyo) {
		if strings.Contains(logs, secret) {
			t.Errorf("%s is in the logs", name)
		}
	}
	if strings.Contains(logs, invitation[len(invitation)-40:]) {
		t.Error("the invitation is in the logs")
	}
}

// secretsIn are the secrets in the key files of data directories, in the forms that a log might show.
func secretsIn(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	secrets := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var values map[string]string
			if json.Unmarshal(text, &values) == nil {
				delete(values, "accessKey")
				delete(values, "certificate")
				for k, v := range values {
					secrets[file+" "+k] = v
				}
			}
			for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
				if block.Type == "CERTIFICATE" {
					continue
				}
				tail := block.Bytes[max(0, len(block.Bytes)-24):]
				secrets[file+" "+block.Type] = hex.EncodeToString(tail)
				secrets[file+" "+block.Type+" in base64"] = base64.StdEncoding.EncodeToString(tail)
			}
		}
	}
	return secrets
}

func TestRequestsInFlightEndBeforeTheDaemonDoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir)
	good(t, "-e", dir, "bucket", "create", "photos")
	client, err := admin.Dial(dir, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s3 := s3Client(t, dir, nil)
	r, w := io.Pipe()
	done := make(chan error, 1)
	// Half of it is more than the sockets hold: once it is written, the daemon reads the request.
	const size = 48 << 20
	go func() {
		_, err := s3.PutObject(background(), "photos", "slow", r, size, minio.PutObjectOptions{DisableMultipart: true})
		r.CloseWithError(io.ErrClosedPipe) // a request that fails ends the writer too
		done <- err
	}()
	if _, err := w.Write(make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.until(t, "takes no new requests", func() bool {
		_, err := client.Status(t.Context())
		return err != nil
	})
	if _, err := w.Write(make([]byte, size/2)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Errorf("the put that was in flight: %v", err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	serve(t, dir)
	if o := jsonOf[admin.Object](t, "-e", dir, "stat", "photos/slow"); o.Size != size {
		t.Errorf("%+v", o)
	}
}

func TestARequestThatNeverEndsDoesNotHoldTheDaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir, "--config", fileWith(t, "edgefs.yaml", "shutdownGrace: 100ms\n"))
	good(t, "-e", dir, "bucket", "create", "photos")
	s3 := s3Client(t, dir, nil)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s3.PutObject(background(), "photos", "stuck", r, 2<<20, minio.PutObjectOptions{DisableMultipart: true})
		done <- err
	}()
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	w.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; err == nil {
		t.Error("the put succeeded")
	}
}

func TestHTTPSWithACertificateThatChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	files := t.TempDir()
	cert, key := filepath.Join(files, "cert.pem"), filepath.Join(files, "key.pem")
	writeCertificate(t, cert, key, 1)
	serve(t, dir, "--s3-cert", cert, "--s3-key", key)
	endpoint := jsonOf[admin.Credentials](t, "env", dir).Endpoint
	if !strings.HasPrefix(endpoint, "https://") {
		t.Fatal(endpoint)
	}
	serial := func() int64 {
		pool := x509.NewCertPool()
		text, err := os.ReadFile(cert)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			t.Fatal(err)
		}
		conn, err := tlsDial(endpoint, pool)
		if err != nil {
			return 0 // the certificate of before
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("serial number %d", n)
	}
	writeCertificate(t, cert, key, 2)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); serial() != 2; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the new certificate is not taken up")
		}
	}
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetricsHealthAndReadiness(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir, "--metrics", "127.0.0.1:0")
	good(t, "-e", dir, "bucket", "create", "photos")
	base := strings.TrimSuffix(jsonOf[admin.Status](t, "-e", dir, "status").Endpoints.Metrics, "/metrics")
	for path, want := range map[string]string{"/metrics": "\nedgefs_buckets 1\n", "/healthz": "ok", "/readyz": "ok"} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body := readAll(t, res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !bytes.Contains([]byte(body), []byte(want)) {
			t.Errorf("%s: %d %.200s", path, res.StatusCode, body)
		}
	}
}

func TestWhatTheFileSaysCountsWhereNoFlagDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "s3: {listen: \"127.0.0.1:1\", certFile: /c.pem, keyFile: /k.pem}\nlink: {advertise: [\"example.com:7777\"]}\nstorage: {device: /d}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := config.Default()
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	configFlags(set, &flags)
	if err := set.Parse([]string{"--name", "flagged"}); err != nil {
		t.Fatal(err)
	}
	got, err := configured(set, file, flags)
	if err != nil {
		t.Fatal(err)
	}
	if got.S3.CertFile != "/c.pem" || got.S3.KeyFile != "/k.pem" || got.S3.Listen != "127.0.0.1:1" || got.Name != "flagged" || got.Storage.Device != "/d" || !slices.Equal(got.Link.Advertise, []string{"example.com:7777"}) {
		t.Errorf("%+v", got)
	}
}
