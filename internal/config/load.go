package config

import (
	"errors"
	"fmt"
	"io"
	"os"

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
	c := base
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// YAML is c as a file that [Load] reads.
func (c Config) YAML() ([]byte, error) { return yaml.Marshal(c) }
