package handler

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/mcp"
	"bindery/shared/session"
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

	after time.Duration // for Retry-After; 0 means a second
}

// The error table. Unknown, forbidden and revoked are one row on purpose.
var (
	notRoute        = Problem{Name: "not_found", Status: 404, Code: 14040, Text: "no such address"}
	foreignHost     = Problem{Name: "foreign_host", Status: 403, Code: 14034, Text: "this host name is not served here"}
	foreignOrigin   = Problem{Name: "foreign_origin", Status: 403, Code: 14035, Text: "pages of this origin may not call"}
	noToken         = Problem{Name: "unauthorized", Status: 401, Code: 14010, Text: "a bearer token is required"}
	badToken        = Problem{Name: "invalid_token", Status: 401, Code: 14011, Text: "the token was not accepted"}
	smallScope      = Problem{Name: "insufficient_scope", Status: 403, Code: 14031, Text: "the token lacks a required scope"}
	noIssuer        = Problem{Name: "issuer_unavailable", Status: 503, Code: 15031, Text: "tokens cannot be checked at the moment", Retry: true}
	notServed       = Problem{Name: "method_not_allowed", Status: 405, Code: 14050, Text: "this method is not served here"}
	tooLarge        = Problem{Name: "request_too_large", Status: 413, Code: 14130, Text: "the request body is larger than 4 MiB"}
	overSize        = Problem{Name: "request_over_limit", Status: 413, Code: 14131, Text: "the request body is larger than this caller, agent or server may use"}
	brokenBody      = Problem{Name: "request_broken", Status: 400, Code: 14000, Text: "the request body could not be read"}
	unwantedBody    = Problem{Name: "body_not_allowed", Status: 400, Code: 14001, Text: "GET and DELETE have no body"}
	resumeAlone     = Problem{Name: "resume_without_session", Status: 400, Code: 14002, Text: "Last-Event-ID needs the session it belongs to"}
	noSession       = Problem{Name: "session_unknown", Status: 404, Code: 14041, Text: "no such session: begin a new one"}
	otherSession    = Problem{Name: "session_of_another_binding", Status: 403, Code: 14033, Text: "this session was begun under another binding: begin one of its own for this call"}
	limited         = Problem{Name: "limit_reached", Status: 429, Code: 14290, Text: "a limit on calls or streams is reached, try again", Retry: true}
	forbidden       = Problem{Name: "forbidden", Status: 403, Code: 14030, Text: "not allowed, or no such server"}
	needsApproval   = Problem{Name: "approval_required", Status: 403, Code: 14036, Text: "this call needs an approval, which cannot be given yet"}
	accessEnded     = Problem{Name: "access_ended", Status: 403, Code: 14032, Text: "access ended while the call was under way"}
	undecided       = Problem{Name: "decision_unavailable", Status: 503, Code: 15032, Text: "the call could not be decided, try again", Retry: true}
	unrecorded      = Problem{Name: "audit_unavailable", Status: 503, Code: 15033, Text: "the call could not be recorded, so it was not made", Retry: true}
	noCredential    = Problem{Name: "credential_unavailable", Status: 503, Code: 15034, Text: "the credential could not be obtained at the moment", Retry: true}
	badCredential   = Problem{Name: "credential_failed", Status: 502, Code: 15020, Text: "the credential could not be obtained"}
	consentRequired = Problem{Name: "consent_required", Status: 200, Code: 12000, Text: "your consent is needed first: open this link, and then repeat the call"}
	consentDeclined = Problem{Name: "consent_declined", Status: 200, Code: 12001, Text: "consent was declined"}
	notAsked        = Problem{Name: "consent_not_asked", Status: 200, Code: 12002, Text: "your consent is needed first, and could not be asked for", Retry: true}
	consentMissing  = Problem{Name: "consent_missing", Status: 403, Code: 14037, Text: "a consent is needed first: a request can ask for it"}
	unreached       = Problem{Name: "upstream_unreachable", Status: 502, Code: 15021, Text: "the upstream could not be reached", Retry: true}
	slow            = Problem{Name: "upstream_timeout", Status: 504, Code: 15040, Text: "the upstream did not answer in time", Retry: true}
	streamOver      = Problem{Name: "stream_time_over", Status: 504, Code: 15041, Text: "the time of this stream is over: open it again", Retry: true}
	redirected      = Problem{Name: "upstream_redirect", Status: 502, Code: 15022, Text: "the upstream answered with a redirect, which is never followed"}
	encoded         = Problem{Name: "upstream_encoding", Status: 502, Code: 15023, Text: "the upstream answered in an encoding that was not asked for"}
	answerLarge     = Problem{Name: "upstream_too_large", Status: 502, Code: 15024, Text: "the upstream's answer is larger than allowed"}
	upstreamAuth    = Problem{Name: "upstream_refused_credential", Status: 502, Code: 15025, Text: "the upstream did not accept the credential"}
	upstreamDenied  = Problem{Name: "upstream_forbidden", Status: 403, Code: 15030, Text: "the upstream itself refused this call"}
	upstreamFailed  = Problem{Name: "upstream_failed", Status: 502, Code: 15026, Text: "the upstream failed", Retry: true}
	brokeOff        = Problem{Name: "upstream_broke_off", Status: 502, Code: 15027, Text: "the upstream ended its answer early", Retry: true}
	notMCP          = Problem{Name: "upstream_malformed", Status: 502, Code: 15029, Text: "the upstream's answer is not MCP"}
	wouldLeak       = Problem{Name: "answer_withheld", Status: 502, Code: 15028, Text: "the upstream's answer was withheld: it carried a secret where masking would break it"}
	internal        = Problem{Name: "internal", Status: 500, Code: 15000, Text: "internal error"}
)

// Problems lists the table; the copy in docs/errors.md is tested against it.
func Problems() []Problem {
	return []Problem{notRoute, foreignHost, foreignOrigin, noToken, badToken, smallScope, noIssuer, notServed, tooLarge, overSize,
		brokenBody, unwantedBody, resumeAlone, noSession, otherSession, limited, forbidden, needsApproval, accessEnded, undecided,
		unrecorded, noCredential, badCredential,
		consentRequired, consentDeclined, notAsked, consentMissing, unreached, slow, streamOver, redirected, encoded, answerLarge, upstreamAuth,
		upstreamDenied, upstreamFailed, brokeOff, notMCP, wouldLeak, internal}
}

// rows maps the faults of a request that name their row by themselves.
var rows = []struct {
	fault error
	row   Problem
}{
	{identity.ErrMissingToken, noToken},
	{identity.ErrInsufficientScope, smallScope},
	{identity.ErrIssuerUnavailable, noIssuer},
	{identity.ErrInvalidToken, badToken},
	{egress.ErrTooLarge, tooLarge},
	{errBody, brokenBody},
	{errUnwanted, unwantedBody},
	{errNotServed, notServed},
	{errResume, resumeAlone},
	{errOverSize, overSize},
	{session.ErrUnknown, noSession},
	{errSessionElsewhere, otherSession},
	{errSessionUnread, undecided},
	{broker.ErrUnrecorded, unrecorded},
}

// problemOf maps a fault of admit, Decide or Obtain to its row.
func problemOf(err error) Problem {
	for _, r := range rows {
		if errors.Is(err, r.fault) {
			return r.row
		}
	}
	var refusal *broker.Refusal
	var needed *broker.ConsentNeeded
	switch {
	case errors.As(err, &needed) && needed.Silent:
		return consentMissing
	case errors.As(err, &needed):
		return consentRequired
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.Is(err, broker.ErrSecretMissing), errors.Is(err, broker.ErrSecretMalformed),
		errors.Is(err, broker.ErrStoreDenied), errors.Is(err, broker.ErrKeyUnavailable), errors.Is(err, broker.ErrProviderRefused), errors.Is(err, broker.ErrUndecodable):
		return badCredential // also when storing the outcome failed for a passing reason
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return noCredential
	}
	return internal
}

// refused maps a refusal. All but these few look the same to a caller.
func refused(r *broker.Refusal) Problem {
	switch r.Reason {
	case broker.CatalogueUnread, broker.PoliciesUnread, broker.DecisionOutdated:
		return undecided
	case broker.ApprovalRequired:
		return needsApproval
	case broker.SessionRevoked:
		return noSession
	case broker.LimitReached:
		problem := limited
		problem.after = r.RetryAfter
		return problem
	default:
		return forbidden
	}
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
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errAccessEnded):
		return failure{accessEnded, broker.AccessEnded}
	case errors.Is(cause, errTokenExpired):
		return failure{accessEnded, broker.TokenExpired}
	case errors.Is(cause, errStreamOver):
		return failure{streamOver, broker.StreamOver}
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
	text := p.Text
	if p.Retry {
		seconds := strconv.Itoa(max(1, int((p.after+time.Second-1)/time.Second)))
		w.Header().Set("Retry-After", seconds)
		if p.after > 0 {
			text += " in " + seconds + " s" // where a header is not shown to whoever could wait
		}
	}
	writeError(w, p.Name, p.Status, mcp.ErrorBody(id, p.Code, text))
}

// errorHeader names the row of an error of Bindery's own. An upstream can write
// any code into its answer, and none of its headers of this name passes.
const errorHeader = "Bindery-Error"

func writeError(w http.ResponseWriter, name string, status int, body []byte) {
	w.Header().Set(errorHeader, name)
	w.Header().Set("Content-Type", mcp.JSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
