package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env [NAME|DIR]",
		Short: "Print what S3 clients need, as exports for the shell",
		Long: `Print what S3 clients need, as exports for the shell. The output holds the secret key of the running segment.

A NAME is looked for below ./` + clusterDir + `, where "edgefs run" keeps its segments.`,
		Example: `  eval $(edgefs env hawaii)
  aws s3 ls`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.endpoint = args[0]
			}
			return a.env(cmd.Context())
		},
	}
}

func (a *app) env(ctx context.Context) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	c, err := client.Credentials(ctx)
	if err != nil {
		return err
	}
	if c.Endpoint == "" {
		e := failed(codeUnavailable, "the segment serves no S3")
		e.hint = "start it with --s3 HOST:PORT"
		return e
	}
	return a.show(c, func(w io.Writer) {
		for _, v := range [][2]string{
			{"AWS_ACCESS_KEY_ID", c.AccessKey},
			{"AWS_SECRET_ACCESS_KEY", c.SecretKey},
			{"AWS_ENDPOINT_URL", c.Endpoint},
			{"AWS_DEFAULT_REGION", c.Region},
		} {
			fmt.Fprintf(w, "export %s=%s\n", v[0], quoted(v[1]))
		}
	})
}

// quoted is s as one word of a POSIX shell.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=:._-[]") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
