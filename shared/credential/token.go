package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// TokenAsk is for which upstream a provider is asked, and as what.
type TokenAsk struct {
	Provider broker.Provider
	Server   broker.Server  // its URL is the resource (RFC 8707); its metadata may name the issuer
	Stores   []broker.Store // where Bindery's own client secret may live
	Scopes   []string
	Audience string
}

// TokenSet is what a token endpoint answered.
type TokenSet struct {
	Access  secret.Value
	Refresh secret.Value // zero: there is none, or the one that was sent remains the one
	Expires time.Time    // of Access; zero: nobody said
	Scopes  []string     // granted; nil: those asked for
}

// Refresher asks a provider in a person's name. Its errors are *TokenFault;
// whatever else it fails with counts as an unknown outcome. It sends nothing
// after the deadline of ctx.
type Refresher interface {
	Refresh(ctx context.Context, a TokenAsk, refresh secret.Value) (TokenSet, error)
	// Revoke ends a token set at the provider (RFC 7009). A set that is unknown
	// there is a success.
	Revoke(ctx context.Context, a TokenAsk, s TokenSet) error
}

// TokenClient asks a provider in Bindery's own name, or for a person and an
// agent. It fails like a Refresher. The subject token may go to the issuer that
// issued it, which the caller has seen to.
type TokenClient interface {
	ClientCredentials(ctx context.Context, a TokenAsk) (TokenSet, error)
	Exchange(ctx context.Context, a TokenAsk, subject secret.Value, agent string) (TokenSet, error)
}

// FaultKind is what a failed token request says of the grant.
type FaultKind string

// The kinds of fault.
const (
	InvalidGrant   FaultKind = "invalid_grant"   // the refresh token or subject is no longer good
	Transient      FaultKind = "transient"       // 429, 5xx, not sent: says nothing of the grant
	OutcomeUnknown FaultKind = "outcome_unknown" // it was sent and the answer was lost or unreadable
	Refused        FaultKind = "refused"         // configuration: client, scope, request
	AnotherParty   FaultKind = "another_party"   // the provider is another authorization server than issued the tokens: nothing was sent
	WiderScope     FaultKind = "wider_scope"     // more was granted than asked for; the set comes beside the error
)

// TokenFault is a failed token request. It holds nothing a provider chose.
type TokenFault struct {
	Kind       FaultKind
	RetryAfter time.Duration // of Transient; 0: the provider did not say
	Err        error         // may be nil
}

// Error says the kind.
func (f *TokenFault) Error() string {
	if f.Err == nil {
		return "token request: " + string(f.Kind)
	}
	return fmt.Sprintf("token request: %s: %v", f.Kind, f.Err)
}

// Unwrap gives the fault behind it.
func (f *TokenFault) Unwrap() error { return f.Err }

// faultOf reads an error of a Refresher or TokenClient.
func faultOf(err error) *TokenFault {
	var fault *TokenFault
	if errors.As(err, &fault) {
		return fault
	}
	return &TokenFault{Kind: OutcomeUnknown, Err: err}
}

// Events tell others what befell a grant. They must not block for long.
type Events interface {
	// Death gives the record of a death, which is stored with it. The grant's fault
	// is outcome_unknown if an attempt of which nothing was heard again has used up
	// the refresh token.
	Death(g broker.Grant, at time.Time) (broker.Record, error)
	// GrantDied is said to one process for each death; its record is stored.
	GrantDied(g broker.Grant)
	// OutcomeUnknown tells of the token set that a provider may have issued to the
	// grant's latest attempt and that nobody has. It is told once of each attempt,
	// however often it is asked for, and fails if it may not be told.
	OutcomeUnknown(ctx context.Context, g broker.Grant) error
	// RevocationFailed tells of a token set that nobody uses and that the provider
	// may still honour.
	RevocationFailed(ctx context.Context, g broker.Grant) error
}
