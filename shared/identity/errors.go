package identity

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// How Verify and VerifyAdmin fail. The error's text is for logs and metrics; callers get a
// status and Challenge, never this text.
var (
	// ErrMissingToken: no bearer token was offered (401, challenge without error).
	ErrMissingToken = errors.New("no bearer token")
	// ErrInvalidToken: a token was offered and is refused (401).
	ErrInvalidToken = errors.New("token refused")
	// ErrInsufficientScope: the token is good and its scopes are too few (403).
	ErrInsufficientScope = errors.New("scope too small")
	// ErrIssuerUnavailable: the issuer's keys could not be had, so nothing can
	// be said about the token (503; the caller may come again).
	ErrIssuerUnavailable = errors.New("issuer keys unavailable")
)

// Reason says why a token was refused, for metrics and logs. A reason never
// holds anything of the token.
type Reason string

// The reasons.
const (
	TokenInQuery      Reason = "token_in_query"
	QueryMalformed    Reason = "query_malformed"
	HeaderRepeated    Reason = "authorization_repeated"
	TokenMalformed    Reason = "malformed"
	TokenTooLarge     Reason = "too_large"
	HeaderForbidden   Reason = "header_forbidden" // crit, jku, jwk, x5u, x5c, b64
	TypeRefused       Reason = "type_refused"
	AlgorithmRefused  Reason = "algorithm_refused"
	KeyUnknown        Reason = "key_unknown"
	KeyUnsuited       Reason = "key_unsuited" // the key is for another algorithm
	SignatureWrong    Reason = "signature_wrong"
	IssuerUnknown     Reason = "issuer_unknown" // or not of this environment
	AudienceWrong     Reason = "audience_wrong"
	TokenExpired      Reason = "expired"
	ExpiryMissing     Reason = "expiry_missing"
	NotYetValid       Reason = "not_yet_valid"
	IssuedInFuture    Reason = "issued_in_future"
	IssueTimeMissing  Reason = "issue_time_missing"
	TokenTooOld       Reason = "too_old"
	NotAnAccessToken  Reason = "not_an_access_token"
	SenderConstrained Reason = "sender_constrained" // bound to a key whose proof is not checked here
	RequirementUnmet  Reason = "requirement_unmet"
	ClaimMissing      Reason = "claim_missing"
	ClaimMalformed    Reason = "claim_malformed"
	AgentMissing      Reason = "agent_missing"
	PersonRequired    Reason = "person_required" // a client's own token, where somebody's connections are asked for
	NonceWrong        Reason = "nonce_wrong"     // the ID token is not the answer to this login
	AgentRefused      Reason = "agent_refused"   // it acts for somebody at the admin API and is not listed for that
	GroupsOverage     Reason = "groups_overage"  // the issuer left the groups out because there are too many
	ScopeMissing      Reason = "scope_missing"
	KeysUnavailable   Reason = "keys_unavailable"
)

// fault is the only error type that leaves Verify.
type fault struct {
	kind   error
	reason Reason
}

func (f *fault) Error() string { return f.kind.Error() + ": " + string(f.reason) }
func (f *fault) Unwrap() error { return f.kind }

func invalid(r Reason) error { return &fault{ErrInvalidToken, r} }

// ReasonOf gives the reason of an error of Verify, or "".
func ReasonOf(err error) Reason {
	var f *fault
	if errors.As(err, &f) {
		return f.reason
	}
	return ""
}

// translate drops the JWT library's text, which can quote the token.
func translate(err error) error {
	var f *fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return invalid(SignatureWrong)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return invalid(AlgorithmRefused)
	}
	return invalid(TokenMalformed)
}

// translateTimes names the first time claim that does not hold.
func translateTimes(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalid(ExpiryMissing)
	case errors.Is(err, jwt.ErrTokenExpired):
		return invalid(TokenExpired)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return invalid(NotYetValid)
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return invalid(IssuedInFuture)
	}
	return invalid(ClaimMalformed)
}
