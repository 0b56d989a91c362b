// Package arch holds the rules of the house as code, and its test holds the code to them: who may import whom, no state outside of
// values, no file that is more than one notion.
package arch
