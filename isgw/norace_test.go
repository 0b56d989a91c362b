//go:build !race

package isgw_test

const raceDetector = false
