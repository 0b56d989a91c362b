package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// maxFile bounds a configuration file; what is longer is something else.
const maxFile = 1 << 20

// Load reads a YAML file over base: what the file does not say stays as it is in base. Unknown and repeated fields are errors. The result
// is not validated yet, since flags may still override it.
func Load(path string, base Config) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("larger than 1 MiB: this is not a configuration file")
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	if hasSecondDocument(text) {
		return Config{}, fmt.Errorf("configuration %s: it has a second document, behind a line ---: only one is read", path)
	}
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	c := base
	if err := inFile(path, errors.Join(decode("", document, reflect.ValueOf(&c).Elem())...)); err != nil {
		return Config{}, err
	}
	return c, nil
}

// hasSecondDocument says whether a marker of a document follows something of another. No content of YAML 1.2 has one at the start of a line.
func hasSecondDocument(text []byte) bool {
	begun := false
	for line := range bytes.Lines(text) {
		rest, marker := bytes.CutPrefix(line, []byte("---"))
		marker = marker && (len(rest) == 0 || unicode.IsSpace(rune(rest[0])))
		if marker && begun {
			return true
		}
		line = bytes.TrimSpace(line)
		begun = begun || len(line) > 0 && line[0] != '#' && line[0] != '%'
	}
	return false
}

// inFile says of each fault of err which file it is in; it keeps nil.
func inFile(path string, err error) error {
	if err == nil {
		return nil
	}
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	for i, err := range all {
		all[i] = fmt.Errorf("configuration %s: %w", path, err)
	}
	return errors.Join(all...)
}

// YAML is c as a file that [Load] reads.
func (c Config) YAML() ([]byte, error) { return yaml.Marshal(c) }
