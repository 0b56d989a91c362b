package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decode reads a JSON value over what to points at, and says everything that is wrong, each fault with the field's name as it is written in
// the file. What is null, or not there, stays as it is.
func decode(field string, text json.RawMessage, to reflect.Value) []error {
	text = bytes.TrimSpace(text)
	if string(text) == "null" {
		return nil
	}
	if _, own := to.Addr().Interface().(json.Unmarshaler); !own && to.Kind() == reflect.Struct {
		return decodeFields(field, text, to)
	}
	if to.Kind() == reflect.String && len(text) > 0 && text[0] != '"' {
		return []error{notText(field, text)}
	}
	err := json.Unmarshal(text, to.Addr().Interface())
	switch err.(type) {
	case nil:
		return nil
	case *json.UnmarshalTypeError:
		return []error{faultf(field, "%s: want %s", text, wanted(to.Type()))}
	}
	return []error{faultf(field, "%v", err)}
}

func decodeFields(field string, text json.RawMessage, to reflect.Value) (faults []error) {
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &values); err != nil {
		return []error{faultf(field, "%s: want fields, one to a line: %s", text, strings.Join(fieldNames(to.Type()), ", "))}
	}
	for i, name := range fieldNames(to.Type()) {
		if value, ok := values[name]; ok {
			faults = append(faults, decode(below(field, name), value, to.Field(i))...)
			delete(values, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		faults = append(faults, faultf(below(field, name), "unknown field; known are %s", strings.Join(fieldNames(to.Type()), ", ")))
	}
	return faults
}

// notText explains what YAML made of words that were meant as text.
func notText(field string, text json.RawMessage) error {
	switch string(text) {
	case "true", "false":
		return faultf(field, "YAML takes on, off, yes and no for %s: write the word in quotes, as \"off\"", text)
	}
	return faultf(field, "%s: want text (a number in quotes is one)", text)
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list, as [a, b]"
	case reflect.Bool:
		return "true or false"
	}
	return "a whole number"
}

// fieldNames are a struct's fields as they are written in the file, in order.
func fieldNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func below(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// Fault is something wrong with one field.
type Fault struct {
	Field string // as it is written in the file: s3.listen
	Why   string // what is there, and what is allowed
}

func (f *Fault) Error() string {
	if f.Field == "" {
		return f.Why
	}
	return f.Field + ": " + f.Why
}

func faultf(field, format string, args ...any) *Fault {
	return &Fault{field, fmt.Sprintf(format, args...)}
}
