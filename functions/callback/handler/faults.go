package handler

import (
	"context"
	"errors"
	"net/http"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/identity"
	"bindery/shared/oauth"
	"bindery/shared/telemetry"
)

// Faults of this package.
var (
	errNoPage     = errors.New("no such page")
	errForgery    = errors.New("the form did not come from this page")
	errForm       = errors.New("the form cannot be read")
	errNoLogin    = errors.New("nobody can log in at this issuer")
	errIssuer     = errors.New("the issuer does not answer at the moment")
	errLogin      = errors.New("the login did not succeed")
	errOther      = errors.New("the answer belongs to another request")
	errValue      = errors.New("a value cannot be used")
	errScopes     = errors.New("the provider granted less than was asked for")
	errSomebody   = errors.New("the provider's token is for somebody else")
	errUnmaskable = errors.New("the provider's token cannot be masked")
	errCookie     = errors.New("a cookie came with the request")
	errStopped    = errors.New("who asks is revoked")
)

// Fault is one row of the table of errors: for a page its title and text, for
// the API of connections a problem type.
type Fault struct {
	Name   string
	Status int
	Title  string
	Text   string // what the person can do
}

type row struct {
	cause error
	fault Fault
}

const again = "Go back to where you came from and try again there: you will get a new link."

// table is in order: the first cause that an error is counts. The copy in
// docs/connect.md is tested against it.
func table() []row {
	return []row{
		{errNoPage, Fault{"no_page", 404, "There is no such page", "The address may be incomplete."}},
		{errStopped, Fault{"forbidden", 403, "You may not do this here", "Tell your administrators."}},
		{admin.ErrForbidden, Fault{"not_yours", 403, "This link was made for somebody else", "Nothing was stored. A link works only for the person whose call led to it. If somebody sent it to you, tell your administrators."}},
		{errForgery, Fault{"forged", 403, "This request did not come from our page", "Nothing was stored. " + again}},
		{errForm, Fault{"malformed", 400, "The form could not be read", "Nothing was stored. " + again}},
		{errValue, Fault{"value", 422, "A value cannot be used", "Nothing was stored. Each value needs at least 16 characters that are not all alike, and no line breaks. Open the link again to enter it."}},
		{connect.ErrGone, Fault{"gone", 404, "This link is not good any more", "A link can be used once, in one browser, for ten minutes. " + again}},
		{connect.ErrStale, Fault{"stale", 409, "What this link was made for has changed", "Nothing was stored. " + again}},
		{errNoLogin, Fault{"no_login", 501, "Nobody can log in here yet", "Your administrators have not set up the login for this page."}},
		{errIssuer, unavailable()},
		{errLogin, Fault{"login", 403, "The login did not succeed", "Nothing was stored. Open the link again to log in once more."}},
		{oauth.ErrDenied, Fault{"denied", 403, "The provider was told no", "Nothing was stored. " + again}},
		{oauth.ErrMixUp, Fault{"mixed_up", 403, "The answer came from another provider", "Nothing was stored. If this happens again, tell your administrators."}},
		{errOther, Fault{"mixed_up", 403, "The answer came from another provider", "Nothing was stored. If this happens again, tell your administrators."}},
		{oauth.ErrWiderScope, Fault{"too_wide", 502, "The provider granted more than you agreed to", "Nothing was stored, and the provider was asked to take it back."}},
		{errScopes, Fault{"too_narrow", 502, "The provider granted less than is needed", "Nothing was stored, and the provider was asked to take it back."}},
		{errSomebody, Fault{"somebody_else", 403, "At the provider you are somebody else", "Nothing was stored. Log out there, and then try again."}},
		{errUnmaskable, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. Tell your administrators."}},
		{oauth.ErrTransient, Fault{"provider_unavailable", 503, "The provider cannot be reached at the moment", "Nothing was stored. " + again}},
		{oauth.ErrOutcomeUnknown, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. " + again}},
		{oauth.ErrInvalidGrant, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. " + again}},
		{oauth.ErrInvalidClient, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. Tell your administrators."}},
		{oauth.ErrInvalidScope, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. Tell your administrators."}},
		{oauth.ErrMetadata, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. Tell your administrators."}},
		{oauth.ErrRefused, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. " + again}},
		{oauth.ErrInvalid, Fault{"provider_failed", 502, "The provider's answer cannot be used", "Nothing was stored. Tell your administrators."}},
		{errCookie, Fault{"cookie", 400, "This address takes no cookies", "A request names its caller by a bearer token alone."}},
		{identity.ErrMissingToken, Fault{"unauthorized", 401, "A bearer token is required", ""}},
		{identity.ErrInvalidToken, Fault{"invalid_token", 401, "The token was not accepted", ""}},
		{identity.ErrInsufficientScope, Fault{"insufficient_scope", 403, "The token lacks a required scope", ""}},
		{admin.ErrUnrecorded, Fault{"audit_unavailable", 503, "This could not be recorded, so it was not done", again}},
		{broker.ErrUndecodable, Fault{"stored_row_unreadable", 500, "What is stored cannot be read", "Tell your administrators."}},
		{broker.ErrConflict, Fault{"conflict", 409, "It was changed meanwhile", again}},
		{broker.ErrNotFound, Fault{"not_found", 404, "There is no such connection", ""}},
		{broker.ErrInvalid, Fault{"invalid", 422, "The request says something that cannot be", ""}},
		{identity.ErrIssuerUnavailable, unavailable()},
		{broker.ErrUnavailable, unavailable()},
		{broker.ErrKeyUnavailable, unavailable()},
		{context.DeadlineExceeded, unavailable()},
		{context.Canceled, unavailable()},
	}
}

func unavailable() Fault {
	return Fault{"unavailable", 503, "A part of Bindery does not answer at the moment", "Try again in a moment."}
}

func internal() Fault {
	return Fault{"internal", 500, "Something went wrong", "Tell your administrators the reference below."}
}

// Faults lists the table, each row once.
func Faults() []Fault {
	var list []Fault
	seen := map[string]bool{}
	for _, r := range append(table(), row{nil, internal()}) {
		if !seen[r.fault.Name] {
			list, seen[r.fault.Name] = append(list, r.fault), true
		}
	}
	return list
}

func faultOf(err error) Fault {
	for _, r := range table() {
		if errors.Is(err, r.cause) {
			return r.fault
		}
	}
	return internal()
}

// statusOf is the status for the record.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	return faultOf(err).Status
}

// causeOf tells an error for the log, in words that hold no value.
func causeOf(err error) string {
	return admin.Cause(err, func(err error) bool { return faultOf(err) != internal() })
}

// failureLine is what the log says of a failure that is not the visitor's.
func failureLine(receipt string, f Fault, err error) []any {
	line := []any{"receipt", receipt, "status", f.Status, "cause", causeOf(err)}
	if errors.Is(err, admin.ErrUnrecorded) {
		line = append(line, string(telemetry.AuditFailures), 1)
	}
	return line
}
