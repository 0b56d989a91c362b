package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/daemon"
)

func (a *app) serveCommand() *cobra.Command {
	flags := config.Default()
	var file string
	var restored bool
	c := &cobra.Command{
		Use:   "serve DIR",
		Short: "Run a segment",
		Long: `Run a segment, with its data in DIR, until a signal ends it. A directory that does not exist, or is empty, becomes a new segment with
random keys; nothing needs to be configured.

A configuration file (YAML) can say everything that flags say, and more; a flag counts before the file. The addresses are HOST:PORT,
:PORT for all addresses of the machine, or "off".

The first SIGINT or SIGTERM lets requests in flight end (exit status 0), a second one does not wait.`,
		Example: `  edgefs serve /srv/edgefs
  edgefs serve /srv/edgefs --name hawaii --s3 :9000 --link :9001 --advertise hawaii.example.com:9001
  edgefs serve /srv/edgefs --config /etc/edgefs.yaml
  edgefs serve /srv/edgefs --s3 :443 --s3-cert cert.pem --s3-key key.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := configured(cmd.Flags(), file, flags)
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), args[0], cfg, restored)
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration file")
	c.Flags().BoolVar(&restored, "restored", false, "DIR was brought back from a backup or a snapshot: begin a new life, lest two writes get one name")
	configFlags(c.Flags(), &flags)
	return c
}

// configFlags are the settings that have a flag.
func configFlags(f *pflag.FlagSet, c *config.Config) {
	f.StringVar(&c.Name, "name", c.Name, "what people call the segment (default: the directory's name; fixed once made)")
	f.StringVar(&c.S3.Listen, "s3", c.S3.Listen, "address of the S3 gateway")
	f.StringVar(&c.S3.CertFile, "s3-cert", c.S3.CertFile, "PEM file with the certificate for HTTPS; taken up again when it changes")
	f.StringVar(&c.S3.KeyFile, "s3-key", c.S3.KeyFile, "PEM file with the certificate's key")
	f.StringVar(&c.Admin.Listen, "admin", c.Admin.Listen, "address of the remote admin API, with TLS; the socket in DIR is always there")
	f.StringVar(&c.Link.Listen, "link", c.Link.Listen, "address at which other segments reach this one")
	f.StringSliceVar(&c.Link.Advertise, "advertise", c.Link.Advertise, "HOST:PORT that invitations name (default: the --link address)")
	f.StringVar(&c.Metrics.Listen, "metrics", c.Metrics.Listen, "address of /metrics, /healthz and /readyz")
	f.StringVar(&c.Storage.Device, "device", c.Storage.Device, "directory of the chunks (default: device in DIR)")
	f.Var(&c.Memory, "memory", "soft limit of memory ($GOMEMLIMIT counts before it)")
	f.StringVar(&c.Log.Level, "log-level", c.Log.Level, "debug, info, warn or error")
	f.StringVar(&c.Log.Format, "log-format", c.Log.Format, "text or json")
}

// configured is the file, with what the command line says over it.
func configured(set *pflag.FlagSet, file string, flags config.Config) (config.Config, error) {
	cfg := flags
	if file != "" {
		var err error
		if cfg, err = config.Load(file, config.Default()); err != nil {
			return cfg, failed(codeInvalid, "%v", err)
		}
		if err := overridden(set, &cfg); err != nil {
			return cfg, err
		}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, whereFrom(err, set, file)
	}
	return cfg, nil
}

// overridden sets the flags that were given once more, on top of the file.
func overridden(set *pflag.FlagSet, cfg *config.Config) (err error) {
	over := pflag.NewFlagSet("over", pflag.ContinueOnError)
	configFlags(over, cfg)
	set.Visit(func(f *pflag.Flag) {
		if o := over.Lookup(f.Name); o != nil && err == nil {
			err = setAgain(o, f)
		}
	})
	return err
}

// whereFrom says of each fault of a configuration which flag or file it comes from.
func whereFrom(err error, set *pflag.FlagSet, file string) error {
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	var lines []string
	inFile := false
	for _, err := range all {
		var fault *config.Fault
		flag := ""
		if errors.As(err, &fault) {
			flag = flagOf(fault.Field)
		}
		switch {
		case flag != "" && set.Changed(flag):
			lines = append(lines, fmt.Sprintf("--%s: %s", flag, fault.Why))
		case file != "":
			inFile = true
			lines = append(lines, fmt.Sprintf("configuration %s: %v", file, err))
		default:
			lines = append(lines, err.Error())
		}
	}
	if inFile {
		return failed(codeInvalid, "%s", strings.Join(lines, "\n"))
	}
	return usagef("%s", strings.Join(lines, "\n"))
}

// flagOf is the flag of a field of the configuration, if it has one.
func flagOf(field string) string {
	for _, f := range []struct{ field, flag string }{
		{"name", "name"}, {"s3.listen", "s3"}, {"s3.certFile, s3.keyFile", "s3-cert"}, {"admin.listen", "admin"}, {"link.listen", "link"},
		{"link.advertise", "advertise"}, {"metrics.listen", "metrics"}, {"storage.device", "device"}, {"memory", "memory"},
		{"log.level", "log-level"}, {"log.format", "log-format"},
	} {
		if f.field == field {
			return f.flag
		}
	}
	return ""
}

func setAgain(to, from *pflag.Flag) error {
	if many, ok := from.Value.(pflag.SliceValue); ok {
		return to.Value.(pflag.SliceValue).Replace(many.GetSlice())
	}
	return to.Value.Set(from.Value.String())
}

func (a *app) serve(ctx context.Context, dir string, cfg config.Config, restored bool) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(cfg.Memory))
	}
	log, err := logger(cfg.Log, a.errs)
	if err != nil {
		return err
	}
	return daemon.Run(ctx, daemon.Options{
		Dir: dir, Config: cfg, Logger: log, Restored: restored,
		Started: func(e admin.Endpoints) {
			if e.S3 != "" {
				a.said("S3 is served at %s (edgefs env %s prints the keys)", e.S3, quoted(dir))
			}
		},
	})
}

// logger writes the daemon's log.
func logger(c config.Log, w io.Writer) (*slog.Logger, error) {
	level, err := c.SlogLevel()
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
