// Package faults runs the real binary on disks that err, hang, lie and fill up: a file system in user space (FUSE) that does so when it is told to, and small file
// systems on loop devices. Both need root; where they cannot be had, the tests are skipped, which a machine that has everything does not allow.
package faults
