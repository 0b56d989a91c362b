// Package config is the one struct that configures a daemon: its defaults, the file it is read from, and what makes it valid.
//
// Nothing else reads the environment or a file for settings. The struct is read in cmd and handed down as values.
package config
