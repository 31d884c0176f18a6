package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// largestBody is how large the body of a request to an address, or to the
// addresses of an operation, may be: a row is never larger than the least of it.
func largestBody(path string) int64 {
	switch {
	case path == base+"/apply", path == base+"/import", path == base+"/explain":
		return 1 << 20
	case path == base+"/policy-sets", strings.HasPrefix(path, base+"/values/"):
		return 640 << 10
	}
	return 64 << 10
}

// apiConfig is huma's without pages, links and guesses: JSON only, unknown
// fields and query parameters refused.
func (h *Handler) apiConfig() huma.Config {
	c := huma.DefaultConfig("Bindery admin API", "1")
	c.Info.Description = "Servers, agents, tools, stores, values and bindings of one environment."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	c.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	c.RejectUnknownQueryParameters = true
	c.Transformers = append(c.Transformers, h.foreign)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}}
	c.Security = []map[string][]string{{"bearer": {}}}
	return c
}

// errNoCondition: a change must say what it replaces.
var errNoCondition = errors.New("condition required")

// Condition is what every change of a row carries.
type Condition struct {
	IfMatch     string `header:"If-Match" doc:"ETag of the version that is replaced" maxLength:"64"`
	IfNoneMatch string `header:"If-None-Match" doc:"* to make a new one" enum:"*"`
	Key         string `header:"Idempotency-Key" doc:"The same request with the same key is made once, and answered alike for 24 hours" maxLength:"256"`
	DryRun      bool   `query:"dry_run" doc:"Judge and record the request, change nothing"`
}

// version is the version that the caller wants to replace; 0: a new one.
func (c Condition) version() (int64, error) {
	switch {
	case c.IfMatch != "" && c.IfNoneMatch != "":
		return 0, fmt.Errorf("%w condition: If-Match and If-None-Match exclude each other", broker.ErrInvalid)
	case c.IfNoneMatch != "":
		return 0, nil
	case c.IfMatch == "":
		return 0, errNoCondition
	}
	number, ok := strings.CutPrefix(strings.Trim(c.IfMatch, `"`), "v")
	v, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || v < 1 {
		return 0, told{broker.ErrConflict, "no version has that tag: If-Match takes the ETag of a GET as it stands there, such as \"v3\""}
	}
	return v, nil
}

// stale is a conflict where the row is another than the caller saw. Whoever
// sends a request again under a key may meet its own work: the next version,
// which the tables recognise if it is the very same.
func stale(ctx context.Context, version, current int64, state broker.State) error {
	if state != broker.Deleted && (current == version || current == version+1 && mayBeDone(ctx)) {
		return nil
	}
	if state == broker.Deleted {
		return told{broker.ErrConflict, "the name belonged to a deleted row: take another"}
	}
	return broker.ErrConflict
}

func tag(version int64) string { return fmt.Sprintf(`"v%d"`, version) }

// Page is what every list takes.
type Page struct {
	After string `query:"after" doc:"The last name of the page before" maxLength:"512"`
	Limit int    `query:"limit" doc:"Most rows of a page" minimum:"1" maximum:"200" default:"50"`
}

// listing is one page.
type listing[T any] struct {
	Body struct {
		Items []T    `json:"items"`
		Next  string `json:"next,omitempty" doc:"after for the next page; absent at the end"`
	}
}

// listed makes a page of the rows that are shown to the caller. It reads on past
// those that are not, so that next never names one of them.
func listed[R, T any](p Page, l list[R], view func(R) (T, bool)) (*listing[T], error) {
	out := &listing[T]{}
	out.Body.Items = []T{}
	last := "" // that was shown
	for r, err := range l.after(p.After) {
		if err != nil {
			return nil, fault(err)
		}
		v, shown := view(r)
		switch {
		case !shown:
		case len(out.Body.Items) == p.Limit:
			out.Body.Next = last
			return out, nil
		default:
			out.Body.Items = append(out.Body.Items, v)
			last = l.name(r)
		}
	}
	return out, nil
}

// one is one row with its tag.
type one[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// made is an answer whose status says whether anything was made.
type made[T any] struct {
	Status int
	Body   T
}

// answerOf is the status of a request that makes something, or only looks.
func answerOf(dry bool, status int) int {
	if dry {
		return http.StatusOK
	}
	return status
}

// dryOrMade is an operation that answers with a status of its own where it was no
// dry run.
func (h *Handler) dryOrMade(o huma.Operation, status int, body reflect.Type) huma.Operation {
	o.DefaultStatus = status
	o.Responses = map[string]*huma.Response{"200": {Description: "A dry run: nothing was made",
		Content: map[string]*huma.MediaType{"application/json": {Schema: h.api.OpenAPI().Components.Schemas.Schema(body, true, body.Name())}}}}
	return o
}

func operation(id, method, path, summary string, errors ...int) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: base + path, Summary: summary, MaxBodyBytes: largestBody(base + path),
		Errors: append([]int{400, 401, 403, 422, 503}, errors...), Tags: []string{strings.Split(strings.TrimPrefix(path, "/"), "/")[0]}}
}

// ask permits and records a question about an object.
func (h *Handler) ask(ctx context.Context, id string, on admin.Object) error {
	if err := h.desk.Read(ctx, callerOf(ctx), admin.Operation{ID: id, Needs: []admin.Need{need(policy.Read, on)}}); err != nil {
		return fault(err)
	}
	return nil
}

// askList records that a list is asked for.
func (h *Handler) askList(ctx context.Context, id string, on admin.Object) error {
	if err := h.desk.List(ctx, callerOf(ctx), admin.Operation{ID: id, Needs: []admin.Need{need(policy.ListNames, on)}}); err != nil {
		return fault(err)
	}
	return nil
}

// shows reports whether a row of a list is shown to the caller.
func (h *Handler) shows(ctx context.Context, state broker.State, on admin.Object) bool {
	return state != broker.Deleted && h.desk.Sees(callerOf(ctx), need(policy.ListNames, on))
}
