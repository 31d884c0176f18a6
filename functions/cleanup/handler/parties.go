package handler

import (
	"context"
	"errors"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// Party revokes tokens at one provider (RFC 7009).
type Party interface {
	// Revokes reports whether the provider has an endpoint for it.
	Revokes() bool
	Revoke(ctx context.Context, token secret.Value, hint string) error
}

// Parties finds providers, and remembers each for a moment: many grants are of
// one provider, and neither its metadata nor Bindery's secret there is read for
// each of them. A failure is not remembered.
type Parties struct {
	Find func(ctx context.Context, row broker.Provider, stores []broker.Store) (Party, error)
	Now  func() time.Time

	mu    sync.Mutex
	known map[string]knownParty
}

type knownParty struct {
	Party
	until time.Time
}

// partyLife is how long a party is remembered.
const partyLife = time.Minute

func (p *Parties) of(ctx context.Context, row broker.Provider, stores []broker.Store) (Party, error) {
	name := broker.Digest(row.Environment, row.Name, row.Issuer, row.Endpoints.Revocation)
	p.mu.Lock()
	found, known := p.known[name]
	p.mu.Unlock()
	if known && p.Now().Before(found.until) {
		return found.Party, nil
	}
	party, err := p.Find(ctx, row, stores)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) > 1000 {
		p.known = map[string]knownParty{}
	}
	p.known[name] = knownParty{party, p.Now().Add(partyLife)}
	return party, nil
}

// FindParty finds providers by their rows alone: nobody else has a say in where
// the tokens go.
func FindParty(known *oauth.Known) func(context.Context, broker.Provider, []broker.Store) (Party, error) {
	return func(ctx context.Context, row broker.Provider, stores []broker.Store) (Party, error) {
		party, err := known.Find(ctx, row, broker.Server{}, stores, false)
		return oauthParty{party}, err
	}
}

// oauthParty is a provider behind the OAuth client.
type oauthParty struct{ oauth.Party }

// Revokes implements Party.
func (p oauthParty) Revokes() bool { return p.Provider.RevocationURL != "" }

// Revoke implements Party.
func (p oauthParty) Revoke(ctx context.Context, token secret.Value, hint string) error {
	return p.Party.Revoke(ctx, p.Provider, p.Client, token, hint)
}

// said is what an answer to a revocation means.
type said struct {
	done  bool
	never string // why trying again would not help
	wait  time.Duration
}

// meaning reads an error of a Party. A provider that calls a token invalid does
// not honour it.
func meaning(err error) said {
	var f *oauth.Fault
	switch {
	case err == nil:
		return said{done: true}
	case !errors.As(err, &f):
		return said{}
	case f.Code == "unsupported_token_type":
		return said{never: f.Code}
	case f.Code == "invalid_token", errors.Is(err, oauth.ErrInvalidGrant):
		return said{done: true}
	}
	return said{wait: f.RetryAfter}
}
