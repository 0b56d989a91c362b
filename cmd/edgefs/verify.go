package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [BUCKET]",
		Short: "Read everything that is here, and check it against its name",
		Long: `Read every version whose content is here, and check each chunk against its name. What is damaged and held by another segment is
repaired on the way. What is only at other segments is counted, not fetched.

The exit status is 1 when something could not be read.`,
		Example: `  edgefs verify
  edgefs verify photos --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			return a.verify(cmd, client, strings.Join(args, ""))
		}),
	}
}

// verified is the outcome, for JSON.
type verified struct {
	admin.VerifyEvent
	Faults []admin.VerifyFault `json:"faults"`
}

// maxFaults bounds the faults that JSON lists; the count is of all.
const maxFaults = 10000

func (a *app) verify(cmd *cobra.Command, client *admin.Client, bucket string) error {
	bar := a.progress("verify", -1)
	defer bar.done()
	result := verified{Faults: []admin.VerifyFault{}}
	err := client.Verify(cmd.Context(), admin.VerifyRequest{Bucket: bucket}, func(e admin.VerifyEvent) error {
		result.VerifyEvent = e
		bar.describe("verify " + e.Bucket)
		bar.at(e.Bytes)
		if f := e.Fault; f != nil {
			if !a.json {
				fmt.Fprintf(a.errs, "%s version %s: %s\n", place{f.Bucket, f.Key}, f.Version, printable(f.Why))
			}
			if len(result.Faults) < maxFaults {
				result.Faults = append(result.Faults, *f)
			}
		}
		return nil
	})
	bar.done()
	if err != nil {
		return err
	}
	result.Fault = nil
	err = a.show(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s read, %s verified\n", counted(result.Versions, "version"), bytesText(result.Bytes))
		if result.NotHere > 0 {
			fmt.Fprintf(w, "%s at other segments only, in whole or in part\n", counted(result.NotHere, "version"))
		}
		if result.Repaired > 0 {
			fmt.Fprintf(w, "%s repaired from other segments\n", counted(result.Repaired, "damaged place"))
		}
	})
	switch {
	case err != nil:
		return err
	case result.Damaged > 0 && result.BrokenOff != "":
		return failed(codeCorrupt, "%s could not be read, and the check was broken off: %s", counted(result.Damaged, "version"), result.BrokenOff)
	case result.Damaged > 0:
		return failed(codeCorrupt, "%s could not be read", counted(result.Damaged, "version"))
	case result.BrokenOff != "":
		return failed(codeUnavailable, "the check was broken off: %s", result.BrokenOff)
	}
	return nil
}
