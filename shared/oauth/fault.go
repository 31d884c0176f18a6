package oauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The kinds of Fault, for errors.Is.
var (
	// ErrInvalidGrant: the code, refresh token or assertion is dead.
	ErrInvalidGrant = errors.New("the provider says the grant is dead")
	// ErrInvalidClient: the provider does not accept the client. It is
	// configuration, and says nothing about a grant.
	ErrInvalidClient = errors.New("the provider does not accept the client")
	// ErrInvalidScope: the scopes asked for are unknown or not allowed.
	ErrInvalidScope = errors.New("the provider does not accept the scopes")
	// ErrDenied: the person, or the provider for them, said no.
	ErrDenied = errors.New("consent was denied")
	// ErrTransient: nothing was changed, and another try may succeed.
	ErrTransient = errors.New("the provider could not be asked")
	// ErrOutcomeUnknown: the provider may have acted, and its answer is lost or
	// cannot be read. A code or refresh token that was sent may be used up.
	ErrOutcomeUnknown = errors.New("the provider's outcome is unknown")
	// ErrRefused: any other refusal.
	ErrRefused = errors.New("the provider refused")
	// ErrWiderScope: the provider granted more than was asked for. The tokens
	// exist there, so the caller gets them beside the error: to revoke them.
	ErrWiderScope = errors.New("the provider granted a wider scope than was asked for")
	// ErrMetadata: a document of the upstream or the provider cannot be used.
	ErrMetadata = errors.New("the provider's metadata cannot be used")
	// ErrMixUp: an answer to the authorization request that is not from the
	// issuer that was asked.
	ErrMixUp = errors.New("the answer is from another issuer")
	// ErrInvalid: what the caller gave cannot be sent.
	ErrInvalid = errors.New("the request cannot be made")
)

// Fault is every error of this package.
type Fault struct {
	Kind       error         // one of the kinds above
	Doing      string        // what was being done
	Why        string        // in words of this package; may be empty
	Status     int           // of the HTTP answer; 0 if there was none
	Code       string        // the OAuth error code, if it is a registered one or one of the provider's quirks
	RetryAfter time.Duration // of a Transient fault; 0 if the provider did not say
	cause      error         // context.Canceled or context.DeadlineExceeded, if that was it
}

// Error holds nothing a provider chose.
func (f *Fault) Error() string {
	text := f.Doing + ": " + f.Kind.Error()
	for _, more := range []string{f.Why, f.Code} {
		if more != "" {
			text += ": " + more
		}
	}
	if f.Status != 0 {
		text += " (HTTP " + strconv.Itoa(f.Status) + ")"
	}
	return text
}

// Unwrap gives the kind, and the context's error if the caller's time was up.
func (f *Fault) Unwrap() []error {
	if f.cause == nil {
		return []error{f.Kind}
	}
	return []error{f.Kind, f.cause}
}

func fault(doing string, kind error, why string) *Fault {
	return &Fault{Kind: kind, Doing: doing, Why: why}
}

// unanswered is the fault for a request that got no whole answer.
func unanswered(ctx context.Context, doing string, sent bool) *Fault {
	f := fault(doing, ErrTransient, "no answer")
	if sent {
		f.Kind = ErrOutcomeUnknown
	}
	if f.cause = ctx.Err(); f.cause != nil {
		f.Why = "no answer in time"
	}
	return f
}

// refusal is the fault for an answer that is an error: by its status first, then
// by its code. What the provider's quirks call a dead grant is one.
func refusal(doing string, got answer, code string, quirks Quirks) *Fault {
	f := &Fault{Doing: doing, Status: got.status, Code: publicCode(code, quirks), Kind: ErrRefused}
	switch {
	case got.status >= 500, got.status == http.StatusTooManyRequests, got.status == http.StatusRequestTimeout,
		got.status == http.StatusTooEarly, f.Code == "temporarily_unavailable", f.Code == "server_error", f.Code == "slow_down":
		f.Kind, f.RetryAfter = ErrTransient, got.retryAfter
	case f.Code == "invalid_grant", quirks.dead(f.Code):
		f.Kind = ErrInvalidGrant
	case f.Code == "invalid_client", f.Code == "unauthorized_client",
		f.Code == "" && got.status == http.StatusUnauthorized:
		f.Kind = ErrInvalidClient
	case f.Code == "invalid_scope":
		f.Kind = ErrInvalidScope
	case f.Code == "access_denied":
		f.Kind = ErrDenied
	}
	return f
}

// publicCode passes a code on if it is a registered one (RFC 6749, 6750, 7009,
// 7591, 8693, 9449, OpenID Connect Core) or a quirk: a provider could put anything there,
// even a token it was sent.
func publicCode(code string, quirks Quirks) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
		"invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
		"invalid_token", "insufficient_scope", "unsupported_token_type", "invalid_target", "slow_down",
		"invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement",
		"interaction_required", "login_required", "account_selection_required", "consent_required",
		"use_dpop_nonce", "invalid_dpop_proof":
		return code
	}
	if quirks.dead(code) {
		return code
	}
	return ""
}

// retryAfter reads the header in both its forms (RFC 9110, 10.2.3), at most a day.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), 24*time.Hour)
}
