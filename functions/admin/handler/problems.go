package handler

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/identity"
)

// Kind is one row of the table of errors: RFC 9457 problem types. Type is
// "urn:bindery:problem:" and the name.
type Kind struct {
	Name   string
	Status int
	Title  string
	Retry  bool // the same request may succeed later
}

// The table. The copy in docs/admin.md is tested against it.
var (
	notFound      = Kind{"not_found", 404, "there is no such thing", false}
	wrongMethod   = Kind{"method_not_allowed", 405, "this address does not take this method", false}
	foreignHost   = Kind{"foreign_host", 403, "this host name is not served here", false}
	noToken       = Kind{"unauthorized", 401, "a bearer token is required", false}
	badToken      = Kind{"invalid_token", 401, "the token was not accepted", false}
	smallScope    = Kind{"insufficient_scope", 403, "the token lacks a required scope", false}
	noIssuer      = Kind{"issuer_unavailable", 503, "tokens cannot be checked at the moment", true}
	forbidden     = Kind{"forbidden", 403, "your roles and teams do not permit this", false}
	malformed     = Kind{"malformed", 400, "the request cannot be read", false}
	invalid       = Kind{"invalid", 422, "the request says something that cannot be", false}
	conflict      = Kind{"version_conflict", 412, "it was changed meanwhile, or exists already: read it again", false}
	noCondition   = Kind{"condition_required", 428, "say which version you saw: If-Match with the ETag of its GET, or If-None-Match: * for a new one", false}
	literalSecret = Kind{"literal_secret", 422, "what looks like a secret stands where none belongs", false}
	keyReused     = Kind{"idempotency_key_reused", 422, "this idempotency key was used for another request", false}
	underWay      = Kind{"attempt_under_way", 409, "a request with this idempotency key is under way", true}
	tooLarge      = Kind{"too_large", 413, "the request body is larger than this operation takes", false}
	unrecorded    = Kind{"audit_unavailable", 503, "the change could not be recorded, so it was not made", true}
	unresolved    = Kind{"reference_unresolved", 422, "a reference does not lead to a usable secret", false}
	testsFailed   = Kind{"policy_tests_failed", 422, "tests of the policy set do not pass", false}
	unavailable   = Kind{"unavailable", 503, "a part of Bindery does not answer at the moment", true}
	undecodable   = Kind{"stored_row_unreadable", 500, "a stored row cannot be read by this release", false}
	notMediaType  = Kind{"unsupported_media_type", 415, "the body must be application/json", false}
	internal      = Kind{"internal", 500, "internal error", false}
)

// Kinds lists the table.
func Kinds() []Kind {
	return []Kind{notFound, wrongMethod, foreignHost, noToken, badToken, smallScope, noIssuer, forbidden, malformed, invalid, conflict, noCondition,
		literalSecret, keyReused, underWay, tooLarge, unrecorded, unresolved, testsFailed, unavailable, undecodable, notMediaType, internal}
}

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type   string  `json:"type" doc:"urn:bindery:problem:<name>" example:"urn:bindery:problem:version_conflict"`
	Title  string  `json:"title" doc:"What happened, the same text for each type"`
	Status int     `json:"status" doc:"HTTP status"`
	Detail string  `json:"detail,omitempty" doc:"Which rule was broken; nothing of the request is repeated"`
	Errors []Wrong `json:"errors,omitempty" doc:"Each place of the request that was wrong"`

	retry bool          // of its Kind
	wait  time.Duration // of retry, where it is not a second
	cause error         // for the log alone
}

// Wrong is one place of a request that was wrong.
type Wrong struct {
	Location string `json:"location,omitempty" doc:"as in body.attach[0].template"`
	Message  string `json:"message"`
}

// Error gives the title.
func (p *Problem) Error() string { return p.Title }

// GetStatus is huma's.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is huma's.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(k Kind, detail string) *Problem {
	return &Problem{Type: "urn:bindery:problem:" + k.Name, Title: k.Title, Status: k.Status, Detail: detail, retry: k.Retry}
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.retry {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.wait.Seconds())))))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// kindOf maps a fault to its row.
func kindOf(err error) Kind {
	for _, row := range []struct {
		fault error
		kind  Kind
	}{
		{identity.ErrMissingToken, noToken}, {identity.ErrInsufficientScope, smallScope}, {identity.ErrIssuerUnavailable, noIssuer},
		{identity.ErrInvalidToken, badToken}, {admin.ErrForbidden, forbidden}, {admin.ErrUnrecorded, unrecorded}, {broker.ErrUndecodable, undecodable},
		{broker.ErrConflict, conflict}, {broker.ErrNotFound, notFound}, {errNoCondition, noCondition}, {errTests, testsFailed}, {broker.ErrInvalid, invalid},
		{broker.ErrSecretMissing, unresolved}, {broker.ErrSecretMalformed, unresolved}, {broker.ErrStoreDenied, unresolved},
		{broker.ErrKeyUnavailable, unresolved}, {broker.ErrUnavailable, unavailable},
		{context.DeadlineExceeded, unavailable}, {context.Canceled, unavailable},
	} {
		if errors.Is(err, row.fault) {
			return row.kind
		}
	}
	var refusal *broker.Refusal
	if errors.As(err, &refusal) {
		return invalid
	}
	return internal
}

// statusOf is the status for the record.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	return kindOf(err).Status
}

// fault is what an operation answers. The text of ErrInvalid names the field and
// the rule and repeats no value, so it may be shown; no other text is.
func fault(err error) error {
	k := kindOf(err)
	detail := ""
	var refusal *broker.Refusal
	var say told
	switch {
	case errors.As(err, &say):
		detail = say.detail
	case errors.As(err, &refusal):
		detail = string(refusal.Reason) + ": " + whyOf(err)
	case k.Name == invalid.Name, k.Name == testsFailed.Name:
		detail = err.Error()
	case k.Name == unresolved.Name:
		detail = whyOf(err)
	}
	p := problem(k, detail)
	p.cause = err
	return p
}

// told is a fault of which more may be said than its kind.
type told struct {
	error
	detail string
}

// Unwrap gives the fault.
func (t told) Unwrap() error { return t.error }

// whyOf says in a sentence why a binding cannot be used, and of which field.
func whyOf(err error) string {
	sentence := causes[broker.ReasonOf(err)].detail
	if sentence == "" {
		sentence = sentences()[broker.ReasonOf(err)]
	}
	var of *broker.FieldFault
	if errors.As(err, &of) {
		sentence += " It is field " + of.Field + ", of store " + of.Store + "."
	}
	return sentence
}

// foreign turns huma's own errors into this API's: without the values that were
// sent. What may succeed later says when.
func (h *Handler) foreign(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*Problem); ok {
		h.logFailure(ctx.Context(), p)
		if p.retry {
			ctx.SetHeader("Retry-After", "1")
		}
	}
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	k := internal
	for _, candidate := range []Kind{malformed, invalid, tooLarge, notMediaType, notFound} {
		if candidate.Status == m.Status {
			k = candidate
			break
		}
	}
	p := problem(k, "")
	p.Status, p.cause = m.Status, m
	h.logFailure(ctx.Context(), p)
	for _, e := range m.Errors[:min(len(m.Errors), maxFindings)] { // a body may be wrong at every byte
		p.Errors = append(p.Errors, Wrong{Location: h.location(e.Location), Message: said(e.Message)})
	}
	return p, nil
}

// location names where a request was wrong by names of this API only, as far as
// they go: what follows is the caller's own.
func (h *Handler) location(location string) string {
	parts := strings.Split(location, ".")
	for i, part := range parts[1:] {
		named := byName(parts[i]) && broker.CheckName("name", part) == nil // as in an address
		if name, _, _ := strings.Cut(part, "["); !h.names[name] && !named {
			return strings.Join(parts[:i+1], ".")
		}
	}
	return location
}

// said is the message of a rule; that of a URI repeats what was sent.
func said(message string) string {
	if strings.Contains(message, "RFC 3986") {
		return "expected string to be RFC 3986 uri"
	}
	return message
}

// learnNames collects the names of all fields and parameters of the document.
func (h *Handler) learnNames() {
	h.names = map[string]bool{}
	for _, schema := range h.api.OpenAPI().Components.Schemas.Map() {
		for name := range schema.Properties {
			h.names[name] = true
		}
	}
	for o := range operations(h.api.OpenAPI()) {
		for _, p := range o.Parameters {
			h.names[p.Name] = true
		}
	}
}
