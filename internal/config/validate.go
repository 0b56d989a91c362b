package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
)

// minMemory is what one segment needs for its buffers and indexes at the defaults.
const minMemory = 128 << 20

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Validate says everything that is wrong with c: it joins a [Fault] for each.
func (c Config) Validate() error {
	var all []error
	fault := func(field, format string, args ...any) {
		all = append(all, faultf(field, format, args...))
	}
	if c.Name != "" && !nameForm.MatchString(c.Name) {
		fault("name", "%q is not a name: want 1 to 40 lower-case letters, digits and dashes, a letter or digit first", c.Name)
	}
	for _, a := range []struct{ field, address string }{
		{"s3.listen", c.S3.Listen}, {"admin.listen", c.Admin.Listen}, {"link.listen", c.Link.Listen}, {"metrics.listen", c.Metrics.Listen},
	} {
		if err := checkAddress(a.address); err != nil && a.address != Off {
			fault(a.field, "%v", err)
		}
	}
	for _, address := range c.Link.Advertise {
		if err := checkAddress(address); err != nil {
			fault("link.advertise", "%v", err)
		}
	}
	if c.Link.CopyTimeout <= 0 {
		fault("link.copyTimeout", "%v: want a time, as 10s", c.Link.CopyTimeout)
	}
	if c.Storage.Collect < 0 {
		fault("storage.collect", "%v: want a time, as 6h, or 0s for never", c.Storage.Collect)
	}
	if c.Storage.CollectRate < 0 {
		fault("storage.collectRate", "%v: want a size, as 64MiB, or 0 for no bound", c.Storage.CollectRate)
	}
	if c.Storage.History < 0 {
		fault("storage.history", "%v: want a time, as 168h, or 0s for none", c.Storage.History)
	}
	if c.Storage.Scrub < 0 {
		fault("storage.scrub", "%v: want a time, as 336h, or 0s for never", c.Storage.Scrub)
	}
	if c.Storage.ScrubRate < 0 {
		fault("storage.scrubRate", "%v: want a size, as 32MiB, or 0 for no bound", c.Storage.ScrubRate)
	}
	if (c.S3.CertFile == "") != (c.S3.KeyFile == "") {
		fault("s3.certFile, s3.keyFile", "HTTPS needs both files")
	}
	if (c.Admin.CertFile == "") != (c.Admin.KeyFile == "") {
		fault("admin.certFile, admin.keyFile", "give both files, or neither for a certificate of the daemon's own")
	}
	if c.S3.MaxConnections < 1 {
		fault("s3.maxConnections", "%d: want a positive number", c.S3.MaxConnections)
	}
	if c.Memory < minMemory {
		fault("memory", "%v is too little: the least is %v", c.Memory, Size(minMemory))
	}
	if _, err := c.Log.SlogLevel(); err != nil {
		fault("log.level", "%v", err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		fault("log.format", "%q: want text or json", c.Log.Format)
	}
	return errors.Join(all...)
}

// SlogLevel is the level as log/slog counts it.
func (l Log) SlogLevel() (slog.Level, error) {
	switch l.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q: want debug, info, warn or error", l.Level)
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address: want HOST:PORT, :PORT or %s", address, Off)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%q: %q is not a port: want a number from 0 to 65535", address, port)
	}
	return nil
}
