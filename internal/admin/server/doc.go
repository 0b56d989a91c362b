// Package server answers the admin API of one segment.
package server
