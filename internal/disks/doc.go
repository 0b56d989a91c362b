// Package disks looks for places on this machine where a device could be. It only reads.
package disks
