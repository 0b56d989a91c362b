package s3

import (
	"encoding/base64"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// https://reveng.sourceforge.io/crc-catalogue/all.htm and FIPS 180-4 give the sums of "123456789".
func TestChecksumsArePublishedOnes(t *testing.T) {
	want := map[algorithm]string{
		crc32IEEE: "y/Q5Jg==", crc32C: "4waSgw==", crc64NVMe: "rosUhgp5mIg=",
		sha1Sum: "98O8HYCOBHMq32eZZczDTKeuNEE=", sha256Sum: "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	}
	for _, a := range algorithms() {
		if want[a] == "" {
			continue
		}
		h := a.new()
		_, _ = h.Write([]byte("123456789"))
		got := base64.StdEncoding.EncodeToString(h.Sum(nil))
		if got != want[a] {
			t.Errorf("%s: %s, want %s", a, got, want[a])
		}
	}
}

func TestChecksumsOfPartsMakeThatOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var parts [][]byte
		var whole []byte
		for range 1 + r.IntN(5) {
			p := make([]byte, r.IntN(5000))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			parts = append(parts, p)
			whole = append(whole, p...)
		}
		for _, a := range []algorithm{crc32IEEE, crc32C, crc64NVMe} {
			sums := make([]partSum, len(parts))
			for i, p := range parts {
				h := a.new()
				_, _ = h.Write(p)
				sums[i] = partSum{h.Sum(nil), int64(len(p))}
			}
			h := a.new()
			_, _ = h.Write(whole)
			if got, want := a.concat(sums).Value, base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
				t.Fatalf("%s of %d parts: %s, want %s", a, len(parts), got, want)
			}
		}
	}
}

func TestTheNVMePolynomialIsTheStandardLibrarysForm(t *testing.T) {
	table := crc64.MakeTable(nvme64)
	if got := crc64.Checksum([]byte("123456789"), table); got != 0xae8b14860a799888 {
		t.Errorf("%x", got)
	}
}
