package s3

import (
	"hash/crc32"
	"math/bits"
)

// polynomial is a reflected CRC polynomial of a width in bits, for computing with checksums rather than with bytes.
type polynomial struct {
	poly  uint64
	width int
}

// nvme64 is the polynomial of CRC-64/NVME, reflected. https://reveng.sourceforge.io/crc-catalogue/all.htm
const nvme64 = 0x9A6C9329AC4BC9B5

func (a algorithm) crc() polynomial {
	switch a {
	case crc32IEEE:
		return polynomial{crc32.IEEE, 32}
	case crc32C:
		return polynomial{crc32.Castagnoli, 32}
	}
	return polynomial{nvme64, 64}
}

// combine is the CRC of two texts one after the other, of the first's CRC, the second's CRC and the second's length in bytes: the first is
// shifted by as many zero bytes, which is a multiplication by x^(8n), in as many squarings as n has bits.
// All of these CRCs start from ones and are inverted at the end, which cancels.
func (p polynomial) combine(first, second uint64, n int64) uint64 {
	return p.multiply(p.power(8*uint64(n)), first) ^ second
}

// power is x^n, reflected: the highest bit of the width is x^0.
func (p polynomial) power(n uint64) uint64 {
	result := uint64(1) << (p.width - 1)
	square := result >> 1 // x
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = p.multiply(result, square)
		}
		square = p.multiply(square, square)
	}
	return result
}

// multiply is a times b modulo the polynomial.
func (p polynomial) multiply(a, b uint64) uint64 {
	var product uint64
	for a <<= 64 - p.width; a != 0; a <<= 1 {
		if bits.LeadingZeros64(a) == 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= p.poly
		}
	}
	return product
}
