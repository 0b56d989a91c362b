package main

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// tlsDial shakes hands with an endpoint, trusting roots only.
func tlsDial(endpoint string, roots *x509.CertPool) (*tls.Conn, error) {
	return tls.Dial("tcp", strings.TrimPrefix(endpoint, "https://"), &tls.Config{RootCAs: roots})
}
