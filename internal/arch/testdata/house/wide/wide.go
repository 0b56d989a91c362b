// Package wide may import everything below high, high included.
package wide

import _ "example.com/house/high"
