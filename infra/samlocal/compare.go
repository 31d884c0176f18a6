package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// form is how a function's golden answers are written down.
type form interface {
	// same holds an answer to the golden one, after plain has replaced what
	// differs from run to run.
	same(golden, said []byte, plain func(text, receipt string) string) error
	// sameKind holds it to the kind of the golden one, a refusal of one name or an
	// answer with the same members, or to the kind that is wanted instead.
	sameKind(golden, said []byte, want string) error
}

// page is an answer to API Gateway.
type page struct{}

func (page) same(golden, said []byte, plain func(text, receipt string) string) error {
	var answer events.APIGatewayProxyResponse
	if err := json.Unmarshal(said, &answer); err != nil || answer.StatusCode == 0 {
		return fmt.Errorf("no answer to API Gateway: %.300s", said)
	}
	if len(answer.Headers) == 0 {
		answer.Headers = nil // SAM's way of leaving it out
	}
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	return differs(string(bytes.TrimSpace(golden)), plain(string(text), http.Header(answer.MultiValueHeaders).Get("Bindery-Receipt")))
}

func (page) kind(text []byte) (string, error) {
	var answer events.APIGatewayProxyResponse
	if err := json.Unmarshal(text, &answer); err != nil || answer.StatusCode == 0 {
		return "", fmt.Errorf("no answer to API Gateway: %.300s", text)
	}
	var body struct{ Type string }
	_ = json.Unmarshal([]byte(answer.Body), &body) // a page is no JSON, and has no problem's name
	h := http.Header(answer.MultiValueHeaders)
	return strings.Join(strings.Fields(fmt.Sprint(answer.StatusCode, " ", h.Get("Content-Type"), " ", h.Get("Bindery-Error"), " ", body.Type)), " "), nil
}

func (p page) sameKind(golden, said []byte, want string) error {
	return alike(golden, said, want, p.kind)
}

// result is an answer to Lambda, written beside what it led to.
type result struct{}

type outcome struct {
	Answer json.RawMessage `json:"answer"`
	Error  string          `json:"error"`
}

// of is what Lambda is told, whether it is an answer or an error.
func (result) of(said []byte) (outcome, error) {
	said = bytes.TrimSpace(said)
	if !json.Valid(said) {
		return outcome{}, fmt.Errorf("no JSON: %.300s", said)
	}
	var failed struct{ ErrorMessage, ErrorType string }
	if json.Unmarshal(said, &failed) == nil && failed.ErrorType != "" {
		return outcome{Error: failed.ErrorMessage}, nil
	}
	if bytes.Equal(said, []byte("null")) || len(said) == 0 {
		said = nil
	}
	return outcome{Answer: said}, nil
}

func (r result) same(golden, said []byte, plain func(text, receipt string) string) error {
	var want outcome
	if err := json.Unmarshal(golden, &want); err != nil {
		return err
	}
	got, err := r.of(said)
	if err != nil {
		return err
	}
	if err := differs(want.Error, plain(got.Error, "")); err != nil {
		return err
	}
	return differs(plain(indented(want.Answer), ""), plain(indented(got.Answer), ""))
}

// kind is that of a golden outcome, or of what Lambda is told.
func (o outcome) kind() string {
	if o.Error != "" {
		return "error"
	}
	var object map[string]any
	_ = json.Unmarshal(o.Answer, &object) // what is no object has no members
	return fmt.Sprint("answer ", slices.Sorted(maps.Keys(object)))
}

func (r result) sameKind(golden, said []byte, want string) error {
	var told outcome
	if err := json.Unmarshal(golden, &told); err != nil {
		return err
	}
	got, err := r.of(said)
	if err != nil {
		return err
	}
	if want == "" {
		want = told.kind()
	}
	return differs(want, got.kind())
}

// verdict is an answer to API Gateway's question about a token.
type verdict struct{}

func (verdict) same(golden, said []byte, plain func(text, receipt string) string) error {
	var answer map[string]any
	if err := json.Unmarshal(said, &answer); err != nil {
		return fmt.Errorf("no JSON: %.300s", said)
	}
	delete(answer, "errorType") // Lambda's, which the handler does not see
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return differs(indented(golden), plain(indented(text), ""))
}

func (verdict) sameKind(_, _ []byte, _ string) error {
	return errors.New("an authorizer's answers are compared whole")
}

// alike compares kinds.
func alike(golden, said []byte, want string, kind func([]byte) (string, error)) error {
	got, err := kind(said)
	if err != nil {
		return err
	}
	if want == "" {
		if want, err = kind(golden); err != nil {
			return err
		}
	}
	return differs(want, got)
}

// indented is JSON in one form, members in their order, or nothing.
func indented(text []byte) string {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return ""
	}
	out, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return ""
	}
	return string(out)
}

func differs(want, got string) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("not as in its golden file (-want +got):\n%s", diff)
	}
	return nil
}
