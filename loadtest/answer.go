package loadtest

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
)

// answerError reads what a refusal says.
func answerError(resp *http.Response) error {
	e := &ResponseError{Status: resp.StatusCode}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return e
	}
	var body struct {
		Code    string
		Message string
	}
	if xml.Unmarshal(text, &body) == nil {
		e.Code, e.Message = body.Code, body.Message
	}
	return e
}
