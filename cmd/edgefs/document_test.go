package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestADocumentIsWholeOrNotThere(t *testing.T) {
	broken := &admin.Unreachable{Message: "the answer broke off"}
	for name, c := range map[string]struct {
		elements int
		err      error
		there    bool
	}{
		"all went well":                {2, nil, true},
		"nothing to tell":              {0, nil, true},
		"failed at once":               {0, broken, false},
		"broke off":                    {2, broken, true},
		"each of many failed, counted": {0, &partialError{failure{Code: codeFailed, Message: "2 of 2"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{out: &out, errs: io.Discard, json: true}
			d := a.document("things")
			for i := range c.elements {
				all(t, d.add(i, ""))
			}
			if err := d.end(c.err, field{"others", []string{}}); !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
			if !c.there {
				if out.Len() > 0 {
					t.Errorf("got %s", out.String())
				}
				return
			}
			var doc struct {
				Things []int
				Others []string
				Error  *failure
			}
			all(t, json.Unmarshal(out.Bytes(), &doc))
			if len(doc.Things) != c.elements || doc.Others == nil || (doc.Error != nil) != (c.err != nil) {
				t.Errorf("got %s", out.String())
			}
		})
	}
}
