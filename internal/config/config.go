package config

import "time"

// Config is everything that a daemon can be told. Its zero value is not usable: begin with [Default].
type Config struct {
	// Name is how people call the segment: lower-case letters, digits and dashes. Empty: the name of the data directory. It is fixed when
	// the data directory is made.
	Name string `json:"name,omitempty"`

	S3      S3      `json:"s3"`
	Admin   Admin   `json:"admin"`
	Link    Link    `json:"link"`
	Metrics Metrics `json:"metrics"`
	Storage Storage `json:"storage"`
	Log     Log     `json:"log"`

	// Memory is the soft limit of the Go runtime: near it the garbage collector works harder (as GOMEMLIMIT, which overrides it).
	Memory Size `json:"memory"`
	// ShutdownGrace is how long requests in flight may go on after a signal to end.
	ShutdownGrace Duration `json:"shutdownGrace"`
}

// S3 is the S3 gateway.
type S3 struct {
	// Listen is HOST:PORT; ":9000" is all addresses, port 0 any free port, "off" none.
	Listen string `json:"listen"`
	// CertFile and KeyFile are PEM files; given both, the gateway speaks HTTPS. Changed files are taken up without a restart.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// Region is what clients must sign for. Empty, any region will do, and they are told us-east-1.
	Region string `json:"region,omitempty"`
	// Domains are the names under which buckets answer as hosts: with "s3.example.com", bucket.s3.example.com is the bucket.
	Domains []string `json:"domains,omitempty"`
	// MaxConnections bounds the connections that are open at one time; further clients wait.
	MaxConnections int `json:"maxConnections"`
}

// Admin is the remote side of the admin API. The unix socket in the data directory is always there.
type Admin struct {
	// Listen is HOST:PORT for TLS; "off" is the socket only.
	Listen string `json:"listen"`
	// CertFile and KeyFile are PEM files. Without them the daemon makes a certificate of its own, and the administrator's credential names it.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
}

// Link is where other segments reach this one.
type Link struct {
	// Listen is HOST:PORT (UDP and TCP); "off" is a segment that only dials out.
	Listen string `json:"listen"`
	// Advertise are the HOST:PORT that invitations name. Empty: the address listened on.
	Advertise []string `json:"advertise,omitempty"`
	// CopyTimeout is how long a write of a bucket that asks for copies waits without any word from another segment.
	CopyTimeout Duration `json:"copyTimeout"`
}

// Metrics is the plain HTTP server of /metrics, /healthz and /readyz.
type Metrics struct {
	// Listen is HOST:PORT; "off" is none.
	Listen string `json:"listen"`
}

// Storage is where the bytes go.
type Storage struct {
	// Device is the directory of the segment's first device, packs and their index. Empty: "device" in the data directory.
	Device string `json:"device,omitempty"`
	// Reserve is the free space of the file system that writing leaves untouched.
	Reserve Size `json:"reserve"`
	// Collect is how often chunks that nothing reaches any more are removed; 0: only when asked to.
	Collect Duration `json:"collect"`
	// CollectRate is how many bytes a second that copies at the most, to give the room of others back; 0: nothing bounds it.
	CollectRate Size `json:"collectRate"`
	// History is for how long buckets can be read as they were; what was deleted takes space until then. 0: nothing is remembered.
	History Duration `json:"history"`
	// Scrub is how often all chunks of a device are read and checked; 0: only when asked to.
	Scrub Duration `json:"scrub"`
	// ScrubRate is how many bytes a second that reads of a device at the most; 0: nothing bounds it.
	ScrubRate Size `json:"scrubRate"`
}

// Log is what the daemon says on standard error.
type Log struct {
	Level  string `json:"level"`  // debug, info, warn or error
	Format string `json:"format"` // text or json
}

// Off is the address of a server that is not wanted.
const Off = "off"

// Default is a segment that only this machine can reach.
func Default() Config {
	return Config{
		S3:            S3{Listen: "127.0.0.1:9000", MaxConnections: 1024},
		Admin:         Admin{Listen: Off},
		Link:          Link{Listen: "127.0.0.1:9001", CopyTimeout: Duration(10 * time.Second)},
		Metrics:       Metrics{Listen: "127.0.0.1:9002"},
		Storage:       Storage{Reserve: 64 << 20, Collect: Duration(6 * time.Hour), CollectRate: 64 << 20, History: Duration(7 * 24 * time.Hour), Scrub: Duration(14 * 24 * time.Hour), ScrubRate: 32 << 20},
		Log:           Log{Level: "info", Format: "text"},
		Memory:        400 << 20,
		ShutdownGrace: Duration(10 * time.Second),
	}
}
