package main

import (
	"bufio"
	"errors"
	"fmt"
)

// document is the answer of a verb that works through many things: in JSON one object, whose first field is a list that is written as its
// elements come, however many; for people a line for each. It is whole whenever it is there at all: a command that breaks off ends it, with
// the failure in it.
type document struct {
	a     *app
	list  string
	w     *bufio.Writer
	begun bool
}

// field is what a document has apart from its list.
type field struct {
	name  string
	value any
}

func (a *app) document(list string) *document {
	return &document{a: a, list: list, w: bufio.NewWriter(a.out)}
}

// add writes an element; line is for people, who are told of nothing when it is empty.
func (d *document) add(v any, line string) error {
	if !d.a.json {
		if line == "" {
			return nil
		}
		_, err := fmt.Fprintln(d.a.text(), line)
		return err
	}
	text, err := marshal(v)
	if err != nil {
		return err
	}
	d.begin()
	_, err = fmt.Fprintf(d.w, "\n%s", text)
	return err
}

func (d *document) begin() {
	if d.begun {
		d.w.WriteByte(',')
		return
	}
	d.begun = true
	fmt.Fprintf(d.w, `{%q:[`, d.list)
}

// end completes the document. When err, the command's failure, left nothing to tell, it stays empty. It returns err, or why it could not be
// written.
func (d *document) end(err error, fields ...field) error {
	if !d.a.json || err != nil && !d.begun && !errors.As(err, new(*partialError)) {
		return err
	}
	if !d.begun {
		d.begin()
	}
	d.w.WriteByte(']')
	if err != nil {
		fields = append(fields, field{"error", explain(err)})
	}
	if len(d.a.states) > 0 {
		fields = append(fields, field{"asOf", d.a.states})
	}
	for _, f := range fields {
		text, err := marshal(f.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.w, ",\n%q:%s", f.name, text)
	}
	fmt.Fprintln(d.w, "}")
	return errors.Join(err, d.w.Flush())
}

// partialError is a command that did a part of what it should, and has told what it did not.
type partialError struct{ failure }

func (p *partialError) Error() string { return p.Message }

// maxTold bounds what is kept of what a command passed over or could not do; all of it is counted.
const maxTold = 10000

// undone is one thing that a command could not do.
type undone struct {
	Bucket string  `json:"bucket,omitempty"`
	Key    string  `json:"key,omitempty"`
	File   string  `json:"file,omitempty"`
	Error  failure `json:"error"`
}

// failures collects what a command that goes on could not do.
type failures struct {
	a    *app
	list []undone
	n    int
	kind failure // code and reason of all, as far as they have the same
}

func (a *app) failures() *failures { return &failures{a: a, list: []undone{}} }

// add tells of a thing that could not be done.
func (f *failures) add(u undone, err error) {
	u.Error = explain(err)
	if f.n++; f.n == 1 {
		f.kind = failure{Code: u.Error.Code, Reason: u.Error.Reason}
	}
	if f.kind.Reason != u.Error.Reason {
		f.kind.Reason = ""
	}
	if f.kind.Code != u.Error.Code {
		f.kind.Code = codeFailed
	}
	if len(f.list) < maxTold {
		f.list = append(f.list, u)
	}
	if !f.a.json {
		u.Error.write(f.a.errs)
	}
}

// err is the end of a command: nil when everything was done.
func (f *failures) err(format string, args ...any) error {
	if f.n == 0 {
		return nil
	}
	f.kind.Message = fmt.Sprintf(format, args...)
	return &partialError{f.kind}
}
