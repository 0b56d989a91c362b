package main

import (
	"github.com/spf13/cobra"
)

const about = `EdgeFS is Git for data across clouds: one namespace over many sites. A file written at one site is listed at all others within
a moment, and read there at once: its content comes on demand, verified, and stays.

A site is a segment: one process ("edgefs serve") with a data directory. Segments are joined by links. Applications speak S3; this command
administers, and puts and gets files without any S3 client.

The exit status is 0 when all went well, 1 when it did not, 2 when the command line or the configuration is wrong and nothing was
tried, 3 when what was named is not there, 4 when a segment does not answer or cannot serve now, 130 when the command was interrupted.`

const aboutExamples = `  edgefs run                                   two linked segments on this machine, to try it out
  edgefs serve /srv/edgefs                     a segment, with nothing to configure
  edgefs --endpoint /srv/edgefs status         how it is
  edgefs -e /srv/edgefs bucket create photos
  edgefs -e /srv/edgefs put cat.jpg photos/2026/cat.jpg`

// newRoot is the command line: verbs in groups, none of which holds state of its own outside of a.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "edgefs",
		Short:         "Git for data, across clouds",
		Long:          about,
		Example:       aboutExamples,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.began = true
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.endpoint, "endpoint", "e", "", "segment to talk to: its data directory, its name below ./"+clusterDir+", or https://HOST:PORT (default $EDGEFS_ENDPOINT)")
	flags.StringVar(&a.remote.Credential, "credential", "", "file with the administrator's credential, for https (default $EDGEFS_CREDENTIAL)")
	flags.StringVar(&a.remote.CA, "ca", "", "file with the issuers of the server's certificate, for https (default $EDGEFS_CA)")
	flags.BoolVar(&a.json, "json", false, "answer in JSON, failures too (on standard error)")
	flags.Var(&a.silence, "timeout", "how long a segment may be silent when an answer is due; 0: for ever")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a segment:"},
		&cobra.Group{ID: "files", Title: "Files:"},
		&cobra.Group{ID: "admin", Title: "Administer:"},
	)
	add(root, "run", a.serveCommand(), a.runCommand(), a.envCommand())
	add(root, "files", a.putCommand(), a.getCommand(), a.catCommand(), a.listCommand(), a.statCommand(), a.renameCommand(), a.removeCommand(), a.tagCommand(), a.lockCommand())
	add(root, "admin", a.bucketCommand(), a.linkCommand(), a.deviceCommand(), a.statusCommand(), a.conflictsCommand(), a.verifyCommand(), a.fsckCommand(), a.snapshotCommand(), a.branchCommand(), a.mergeCommand(), a.logCommand(), a.diffCommand(), a.restoreCommand(), a.exportCommand(), a.importCommand(), a.gcCommand(), a.dfCommand(), a.scrubCommand())
	root.AddCommand(a.versionCommand())
	return root
}

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}
