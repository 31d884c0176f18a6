// Package oauth is the OAuth client that faces the providers of upstreams: it
// finds an upstream's authorization server, registers there, sends a person to
// consent, and gets, renews and revokes tokens.
//
// Everything a provider sends is hostile. Addresses pass the HTTP client that is
// handed in; answers are bounded, must be JSON with distinct member names, and
// are read here before golang.org/x/oauth2 sees them: that library makes the
// requests, and is answered from what was checked. What went wrong is one of the
// kinds that refreshing a grant must tell apart (Fault); above all, whether the
// provider may have acted on a request whose answer is lost.
//
// The package never follows a redirect, never tries a request twice, never
// guesses how a client authenticates, keeps no token and no cache, and puts
// nothing a provider chose into an error: no body, description, address or
// header. It decides no policy: which scopes, which issuer and whose grant are
// the caller's.
package oauth

import (
	"context"
	"net/http"
	"time"
)

// Limits on what a provider may send.
const (
	maxAnswer  = 64 << 10 // bytes of any answer
	maxToken   = 16 << 10 // bytes of a token, code or assertion
	maxClient  = 2 << 10  // bytes of a client identifier or secret
	maxAddress = 2 << 10  // bytes of an address
	maxLife    = 366 * 24 * time.Hour
	patience   = 20 * time.Second // one request, answer included; the caller's context may be shorter
)

// Requester asks providers. It is safe for concurrent use.
type Requester struct {
	http     *http.Client
	now      func() time.Time
	loopback bool
}

// New returns a Requester that sends through client, which guards the addresses.
// With loopback, addresses in documents may be plain http to this machine, as
// the client's policy must allow too; it is for development only.
func New(client *http.Client, now func() time.Time, loopback bool) *Requester {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil
	return &Requester{http: &own, now: now, loopback: loopback}
}

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
