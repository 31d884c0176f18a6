package handler

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/mcp"
)

// Problem is one row of the error table: what a caller is told. Nothing else
// about a fault reaches a caller. Codes of 10000 and above are Bindery's own;
// MCP 2026-07-28 leaves everything outside -32768..-32000 to applications.
type Problem struct {
	Name   string // stable identifier, for the documentation
	Status int    // HTTP
	Code   int    // JSON-RPC
	Text   string
	Retry  bool // the same call may succeed later: Retry-After is set
}

// The error table. Unknown, forbidden and revoked are one row on purpose.
var (
	notRoute       = Problem{"not_found", 404, 14040, "no such address", false}
	noToken        = Problem{"unauthorized", 401, 14010, "a bearer token is required", false}
	badToken       = Problem{"invalid_token", 401, 14011, "the token was not accepted", false}
	smallScope     = Problem{"insufficient_scope", 403, 14031, "the token lacks a required scope", false}
	noIssuer       = Problem{"issuer_unavailable", 503, 15031, "tokens cannot be checked at the moment", true}
	notPost        = Problem{"method_not_allowed", 405, 14050, "only POST is served here", false}
	tooLarge       = Problem{"request_too_large", 413, 14130, "the request body is larger than 4 MiB", false}
	brokenBody     = Problem{"request_broken", 400, 14000, "the request body could not be read", false}
	forbidden      = Problem{"forbidden", 403, 14030, "not allowed, or no such server", false}
	undecided      = Problem{"decision_unavailable", 503, 15032, "the call could not be decided, try again", true}
	unrecorded     = Problem{"audit_unavailable", 503, 15033, "the call could not be recorded, so it was not made", true}
	noCredential   = Problem{"credential_unavailable", 503, 15034, "the credential could not be obtained at the moment", true}
	badCredential  = Problem{"credential_failed", 502, 15020, "the credential could not be obtained", false}
	unreached      = Problem{"upstream_unreachable", 502, 15021, "the upstream could not be reached", true}
	slow           = Problem{"upstream_timeout", 504, 15040, "the upstream did not answer in time", true}
	redirected     = Problem{"upstream_redirect", 502, 15022, "the upstream answered with a redirect, which is never followed", false}
	encoded        = Problem{"upstream_encoding", 502, 15023, "the upstream answered in an encoding that was not asked for", false}
	answerLarge    = Problem{"upstream_too_large", 502, 15024, "the upstream's answer is larger than allowed", false}
	upstreamAuth   = Problem{"upstream_refused_credential", 502, 15025, "the upstream did not accept the credential", false}
	upstreamDenied = Problem{"upstream_forbidden", 403, 15030, "the upstream itself refused this call", false}
	upstreamFailed = Problem{"upstream_failed", 502, 15026, "the upstream failed", true}
	brokeOff       = Problem{"upstream_broke_off", 502, 15027, "the upstream ended its answer early", true}
	notMCP         = Problem{"upstream_malformed", 502, 15029, "the upstream's answer is not MCP", false}
	wouldLeak      = Problem{"answer_withheld", 502, 15028, "the upstream's answer was withheld: it carried a secret where masking would break it", false}
	internal       = Problem{"internal", 500, 15000, "internal error", false}
)

// Problems lists the table; the copy in docs/errors.md is tested against it.
func Problems() []Problem {
	return []Problem{notRoute, noToken, badToken, smallScope, noIssuer, notPost, tooLarge, brokenBody, forbidden, undecided,
		unrecorded, noCredential, badCredential, unreached, slow, redirected, encoded, answerLarge, upstreamAuth,
		upstreamDenied, upstreamFailed, brokeOff, notMCP, wouldLeak, internal}
}

// problemOf maps a fault of admit, Decide or Obtain to its row.
func problemOf(err error) Problem {
	var refusal *broker.Refusal
	switch {
	case errors.Is(err, identity.ErrMissingToken):
		return noToken
	case errors.Is(err, identity.ErrInsufficientScope):
		return smallScope
	case errors.Is(err, identity.ErrIssuerUnavailable):
		return noIssuer
	case errors.Is(err, identity.ErrInvalidToken):
		return badToken
	case errors.Is(err, broker.ErrUnrecorded):
		return unrecorded
	case errors.As(err, &refusal):
		if refusal.Reason == broker.CatalogueUnread || refusal.Reason == broker.DecisionOutdated {
			return undecided
		}
		return forbidden
	case errors.Is(err, broker.ErrSecretMissing), errors.Is(err, broker.ErrSecretMalformed),
		errors.Is(err, broker.ErrStoreDenied), errors.Is(err, broker.ErrKeyUnavailable):
		return badCredential // also when storing the outcome failed for a passing reason
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return noCredential
	}
	return internal
}

// statusOf is the status of a fault's row, for the record.
func statusOf(err error) int { return problemOf(err).Status }

// failure is how an upstream call went wrong: the row for the caller and the
// word for the record.
type failure struct {
	problem Problem
	reason  broker.Reason
}

// breakOf maps an error after the upstream began to answer.
func breakOf(ctx context.Context, err error) failure {
	f := failureOf(ctx, err)
	if f.reason == broker.UpstreamUnreached {
		return failure{brokeOff, broker.UpstreamBroke}
	}
	return f
}

// failureOf maps an error of the upstream's transport.
func failureOf(ctx context.Context, err error) failure {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return failure{slow, broker.UpstreamTimeout}
	case errors.Is(ctx.Err(), context.Canceled):
		return failure{brokeOff, broker.CallerGone}
	case errors.Is(err, egress.ErrTooLarge), errors.Is(err, mcp.ErrEventTooLarge):
		return failure{answerLarge, broker.UpstreamTooLarge}
	case errors.Is(err, egress.ErrAddress), errors.Is(err, egress.ErrScheme), errors.Is(err, egress.ErrURL):
		return failure{unreached, broker.UpstreamAddress}
	}
	return failure{unreached, broker.UpstreamUnreached}
}

// write answers with a row: as a JSON-RPC error, carrying the request's id
// when it is known.
func (p Problem) write(w http.ResponseWriter, id json.RawMessage) {
	if p.Retry {
		w.Header().Set("Retry-After", "1")
	}
	writeError(w, p.Status, mcp.ErrorBody(id, p.Code, p.Text))
}

func writeError(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", mcp.JSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
