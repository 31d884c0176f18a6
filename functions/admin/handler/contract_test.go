package handler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// contract holds every request that is meant to be good, and every answer,
// against the document that the handler itself serves.
type contract struct {
	*fixture
	document  *openapi3.T
	routes    routers.Router
	exercised map[string]bool // operations that were answered with a 2xx
	provoked  map[string]bool // kinds of error
}

// newContract reads the document and has it validated as OpenAPI 3.1.
func newContract(t *testing.T) *contract {
	t.Helper()
	openapi3filter.RegisterBodyDecoder("text/markdown", openapi3filter.PlainBodyDecoder) // the library knows CSV and not this
	c := &contract{fixture: newFixture(t), exercised: map[string]bool{}, provoked: map[string]bool{}}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "https://mcp.example.com"+base+"/openapi.json", nil))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("the document is answered with %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	c.read(t, w.Body.Bytes())
	if !strings.HasPrefix(c.document.OpenAPI, "3.1.") {
		t.Errorf("the document says OpenAPI %s", c.document.OpenAPI)
	}
	return c
}

func (c *contract) read(t *testing.T, text []byte) {
	t.Helper()
	var err error
	if c.document, err = openapi3.NewLoader().LoadFromData(text); err != nil {
		t.Fatal(err)
	}
	if err := c.document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.routes, err = legacy.NewRouter(c.document); err != nil {
		t.Fatal(err)
	}
}

// good makes a request that the document allows, and wants it answered with a
// 2xx that the document describes, and recorded.
func (c *contract) good(t *testing.T, who, method, path, body string, header ...string) answer {
	t.Helper()
	input := c.input(t, who, method, path, body, header)
	if input == nil {
		t.Fatalf("%s %s is not in the document", method, path)
	}
	if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
		t.Errorf("%s %s is not what the document allows: %v", method, path, err)
	}
	a := c.asked(t, input, who, method, path, body, header)
	if a.Code >= 300 {
		t.Errorf("%s %s was answered %d %s", method, path, a.Code, a.Body)
		return a
	}
	if len(c.records(a)) == 0 {
		t.Errorf("%s %s was answered and left no record under its receipt", method, path)
	}
	c.exercised[input.Route.Operation.OperationID] = true
	return a
}

// bad makes any request and wants the kind of error, exactly.
func (c *contract) bad(t *testing.T, kind Kind, who, method, path, body string, header ...string) answer {
	t.Helper()
	a := c.asked(t, c.input(t, who, method, path, body, header), who, method, path, body, header)
	c.is(t, a.ResponseRecorder, kind)
	return a
}

// is wants a problem of a kind, with that kind's own status and title.
func (c *contract) is(t *testing.T, w *httptest.ResponseRecorder, kind Kind) {
	t.Helper()
	var p Problem
	err := json.Unmarshal(w.Body.Bytes(), &p)
	if err != nil || p.Type != "urn:bindery:problem:"+kind.Name || p.Title != kind.Title || p.Status != kind.Status || w.Code != kind.Status ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("answered %d %s %s, want %s", w.Code, w.Header().Get("Content-Type"), w.Body, kind.Name)
		return
	}
	if (w.Header().Get("Retry-After") != "") != kind.Retry {
		t.Errorf("%s is answered with Retry-After %q", kind.Name, w.Header().Get("Retry-After"))
	}
	c.provoked[kind.Name] = true
}

// input is the request for the validator, or nothing where the document has no
// such operation.
func (c *contract) input(t *testing.T, who, method, path, body string, header []string) *openapi3filter.RequestValidationInput {
	t.Helper()
	r := httptest.NewRequest(method, "https://mcp.example.com"+base+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+who)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	route, parameters, err := c.routes.FindRoute(r)
	if err != nil {
		return nil
	}
	return &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: parameters, Options: &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeReadOnlyValidations: true}}
}

// asked asks the handler and holds its answer against the document.
func (c *contract) asked(t *testing.T, input *openapi3filter.RequestValidationInput, who, method, path, body string, header []string) answer {
	t.Helper()
	var given any
	if body != "" {
		given = body
	}
	a := c.call(t, who, method, path, given, header...)
	if input != nil {
		for _, difference := range c.differences(input, a.ResponseRecorder) {
			t.Errorf("%s %s answered %d, and the document says otherwise: %s", method, path, a.Code, difference)
		}
	}
	return a
}

// differences is where an answer is not what the document says of the
// operation: status, headers, media type and body.
func (c *contract) differences(input *openapi3filter.RequestValidationInput, w *httptest.ResponseRecorder) (found []string) {
	answered := (&openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: w.Code, Header: w.Header(), Options: input.Options}).
		SetBodyBytes(bytes.Clone(w.Body.Bytes()))
	if err := openapi3filter.ValidateResponse(input.Request.Context(), answered); err != nil {
		found = append(found, err.Error())
	}
	described := input.Route.Operation.Responses.Status(w.Code)
	if described == nil {
		return found
	}
	named := http.Header{"Content-Type": nil, "Cache-Control": nil, "X-Content-Type-Options": nil} // of every answer
	for name := range described.Value.Headers {
		named[http.CanonicalHeaderKey(name)] = nil
	}
	for name := range w.Header() {
		if _, known := named[name]; !known {
			found = append(found, "it does not name the header "+name)
		}
	}
	return found
}

// operations is what the document describes, by operation id.
func (c *contract) operations() map[string]*openapi3.Operation {
	found := map[string]*openapi3.Operation{}
	for _, item := range c.document.Paths.Map() {
		for _, o := range item.Operations() {
			found[o.OperationID] = o
		}
	}
	return found
}

// TestContract exercises every operation of the document and provokes every
// kind of error. `make contract` prints its last line.
func TestContract(t *testing.T) {
	c := newContract(t)
	c.exercise(t)
	c.provoke(t)
	for id := range c.operations() {
		if !c.exercised[id] {
			t.Errorf("%s is in the document and was not exercised", id)
		}
	}
	for _, k := range Kinds() {
		if !c.provoked[k.Name] {
			t.Errorf("%s is in the table of errors and was not provoked", k.Name)
		}
	}
	c.clean(t)
	if !t.Failed() {
		_, _ = fmt.Fprintf(os.Stdout, "contract: %d operations in the document, %d exercised, %d error kinds provoked\n",
			len(c.operations()), len(c.exercised), len(c.provoked))
	}
}

// TestContractNoticesAWrongDocument: a check that passes whatever the document
// says would be none.
func TestContractNoticesAWrongDocument(t *testing.T) {
	for name, change := range map[string][2]string{
		"a member has another type":  {`"version":{"format":"int64","type":"integer"}`, `"version":{"type":"string"}`},
		"a status is not described":  {`"404":`, `"410":`},
		"another kind of error":      {`"urn:bindery:problem:not_found"`, `"urn:bindery:problem:not_there"`},
		"a header is not described":  {`"Bindery-Receipt":`, `"Other-Receipt":`},
		"a header has another shape": {`"ETag":{"schema":{"type":"string"}}`, `"ETag":{"required":true,"schema":{"type":"integer"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContract(t)
			c.seed(t)
			text, err := c.Document()
			if err != nil || !bytes.Contains(text, []byte(change[0])) {
				t.Fatalf("the document does not hold %s: %v", change[0], err)
			}
			c.read(t, bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1])))
			noticed := false
			for _, path := range []string{"/servers/notes", "/servers/none"} {
				input := c.input(t, "root", http.MethodGet, path, "", nil)
				a := c.call(t, "root", http.MethodGet, path, nil)
				noticed = noticed || len(c.differences(input, a.ResponseRecorder)) > 0
			}
			if !noticed {
				t.Error("nothing was noticed")
			}
		})
	}
}
