package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/mask"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// Grant adds the sources that ask providers: for people, out of what they
// consented to, and in Bindery's own name.
func (p Parts) Grant(c config.Config, log *slog.Logger) *credential.Grants {
	tokens := asker{known: p.Known(c), markers: p.DB, now: time.Now}
	grants := credential.NewGrants(credential.GrantParts{
		Grants: p.DB, Providers: p.DB, Catalogue: p.DB, Markers: p.DB, Sealer: p.Sealer, Tokens: tokens, Events: grantFacts{broker.NewJournal(p.DB, rand.Text), time.Now, log},
		Check: mask.Check, Now: time.Now, Holder: rand.Text, Pause: pause,
	})
	p.Sources[broker.AuthorizationCode], p.Sources[broker.PersonalKey] = grants, grants
	issued := credential.NewIssued(credential.IssuedParts{Providers: p.DB, Markers: p.DB, Tokens: tokens, Check: mask.Check, Now: time.Now})
	p.Sources[broker.ClientCredentials], p.Sources[broker.TokenExchange] = issued, issued
	return grants
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// asker asks providers in the words of the credential package.
type asker struct {
	known   *oauth.Known
	markers broker.MarkerReader
	now     func() time.Time
}

// find gives the provider as the party to ask for a token, unless the secret
// with which Bindery is its client is revoked. To revoke tokens there, it may
// still be used.
func (t asker) find(ctx context.Context, a credential.TokenAsk) (oauth.Party, error) {
	switch err := broker.ClientWithheld(ctx, t.markers, &a.Provider, a.Stores); broker.ReasonOf(err) {
	case "":
	case broker.ReferenceRevoked, broker.StoreUnregistered:
		return oauth.Party{}, &credential.TokenFault{Kind: credential.Refused, Err: err}
	default:
		return oauth.Party{}, &credential.TokenFault{Kind: credential.Transient, Err: err}
	}
	party, err := t.known.Find(ctx, a.Provider, a.Server, a.Stores, false)
	return party, faultOf(err, true)
}

// Refresh implements credential.Refresher.
func (t asker) Refresh(ctx context.Context, a credential.TokenAsk, refresh secret.Value) (credential.TokenSet, error) {
	party, err := t.find(ctx, a)
	if err != nil {
		return credential.TokenSet{}, err
	}
	got, err := party.Refresh(ctx, party.Provider, party.Client, refresh, party.Resource, a.Scopes)
	return t.set(party, got), faultOf(err, false)
}

// Revoke implements credential.Refresher.
func (t asker) Revoke(ctx context.Context, a credential.TokenAsk, s credential.TokenSet) error {
	party, err := t.known.Find(ctx, a.Provider, a.Server, a.Stores, false)
	if err == nil {
		err = party.RevokeAll(ctx, s.Access, s.Refresh)
	}
	return faultOf(err, false)
}

// ClientCredentials implements credential.TokenClient.
func (t asker) ClientCredentials(ctx context.Context, a credential.TokenAsk) (credential.TokenSet, error) {
	party, err := t.find(ctx, a)
	if err != nil {
		return credential.TokenSet{}, err
	}
	got, err := party.ClientCredentials(ctx, party.Provider, party.Client, party.Resource, a.Audience, a.Scopes)
	return t.set(party, got), faultOf(err, false)
}

// Exchange implements credential.TokenClient. No token of the agent is at hand, so
// Bindery vouches for it with its key at the provider; without one, an exchange
// that must name an agent is refused rather than made without it.
func (t asker) Exchange(ctx context.Context, a credential.TokenAsk, subject secret.Value, agent string) (credential.TokenSet, error) {
	party, err := t.find(ctx, a)
	if err != nil {
		return credential.TokenSet{}, err
	}
	in := oauth.Exchange{Subject: subject, SubjectType: oauth.TypeAccessToken, Resource: party.Resource, Audience: a.Audience, Scopes: a.Scopes}
	if agent != "" {
		// An agent's id is the issuer's name and the issuer's own word for the agent.
		_, word, _ := strings.Cut(agent, ":")
		if in.Actor, err = party.Actor(ctx, party.Provider, party.Client, word); err != nil {
			return credential.TokenSet{}, faultOf(err, true)
		}
		in.ActorType = oauth.TypeJWT
	}
	got, err := party.ExchangeToken(ctx, party.Provider, party.Client, in)
	return t.set(party, got), faultOf(err, false)
}

func (t asker) set(p oauth.Party, got oauth.Token) credential.TokenSet {
	if got.Access.IsZero() {
		return credential.TokenSet{}
	}
	return credential.TokenSet{Access: got.Access, Refresh: got.Refresh, Expires: p.Lives(got, t.now()), Scopes: got.Scopes}
}

// faultOf translates a fault. Before a token request was made nothing of it can
// be of unknown outcome.
func faultOf(err error, before bool) error {
	if err == nil {
		return nil
	}
	out := &credential.TokenFault{Kind: credential.Refused, Err: err}
	var fault *oauth.Fault
	switch {
	case errors.Is(err, oauth.ErrInvalidGrant):
		out.Kind = credential.InvalidGrant
	case errors.Is(err, oauth.ErrWiderScope):
		out.Kind = credential.WiderScope
	case errors.Is(err, oauth.ErrOutcomeUnknown) && !before:
		out.Kind = credential.OutcomeUnknown
	case errors.Is(err, oauth.ErrTransient), errors.Is(err, oauth.ErrOutcomeUnknown), errors.Is(err, broker.ErrUnavailable), !errors.As(err, &fault):
		out.Kind = credential.Transient
	}
	if errors.As(err, &fault) {
		out.RetryAfter = fault.RetryAfter
	}
	return out
}
