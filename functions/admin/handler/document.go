package handler

import (
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// describe tells the document what huma cannot know: how errors look here, which
// kinds there are, and the headers that are set outside of the operations.
func (h *Handler) describe() {
	document := h.api.OpenAPI()
	schemas := document.Components.Schemas
	problem := schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	kinds := schemas.SchemaFromRef(problem.Ref).Properties["type"]
	for _, k := range Kinds() {
		kinds.Enum = append(kinds.Enum, "urn:bindery:problem:"+k.Name)
	}
	delete(schemas.Map(), "ErrorModel") // huma's own
	delete(schemas.Map(), "ErrorDetail")
	for o := range operations(document) {
		describeAnswers(o, problem)
		if o.RequestBody != nil {
			o.RequestBody.Description = fmt.Sprintf("At most %d KiB, %d values, %d in a list; a name at most %d bytes", o.MaxBodyBytes>>10, maxValues, maxList, maxKey)
		}
	}
}

// operations gives all operations of a document, by the methods of this API.
func operations(document *huma.OpenAPI) iter.Seq[*huma.Operation] {
	return func(yield func(*huma.Operation) bool) {
		for _, item := range document.Paths {
			for _, o := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
				if o != nil && !yield(o) {
					return
				}
			}
		}
	}
}

// describeAnswers names the body of errors, and the headers.
func describeAnswers(o *huma.Operation, problem *huma.Schema) {
	for status, r := range o.Responses {
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		name := func(header, doc string) {
			r.Headers[header] = &huma.Param{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
		}
		name("Bindery-Receipt", "Names the audit records of the request, as soon as the caller is known")
		if o.Method != http.MethodGet {
			name("Idempotent-Replay", "true: the answer to an earlier request with the same Idempotency-Key")
		}
		code, err := strconv.Atoi(status)
		if err != nil || code < 400 {
			continue
		}
		r.Content = map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}
		switch code {
		case http.StatusUnauthorized, http.StatusForbidden:
			name("WWW-Authenticate", "How to get a token (RFC 9728), where the token was at fault")
		case http.StatusConflict, http.StatusServiceUnavailable:
			name("Retry-After", "Seconds to wait before the same request")
		}
	}
}
