package credential

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// IssuedParts are what Issued is made of. All are required.
type IssuedParts struct {
	Providers interface {
		Provider(ctx context.Context, environment, name string) (broker.Provider, error)
	}
	Markers broker.MarkerReader
	Tokens  TokenClient
	Check   func(secret.Value) error // whether a value can be masked; its errors must not hold it
	Now     func() time.Time
}

// Issued is broker.Source for tokens that a provider issues to Bindery itself
// (client_credentials), or for the calling person and agent in exchange for the
// caller's token (token_exchange). They are kept in memory while they live, under
// everything that decides them, and leave it only into the upstream call. It is
// safe for concurrent use.
type Issued struct {
	parts IssuedParts
	cache *tokenCache
}

// NewIssued makes an Issued with a cache of its own.
func NewIssued(p IssuedParts) *Issued { return &Issued{parts: p, cache: newTokenCache(p.Now)} }

// Obtain implements broker.Source. It reads the provider each time, so that a
// provider that was changed or closed issues nothing more from memory.
func (s *Issued) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	fields, err := broker.Fields(a.Server.Attach)
	if err != nil || len(fields) != 1 {
		return broker.Credential{}, fmt.Errorf("%w: a token fills one field", broker.ErrSecretMalformed)
	}
	provider, err := s.parts.Providers.Provider(ctx, a.Binding.Environment, a.Binding.Provider)
	if err == nil && provider.State != broker.Active || errors.Is(err, broker.ErrNotFound) {
		err = fmt.Errorf("%w: it is not registered and active here", broker.ErrProviderRefused)
	}
	if err != nil {
		return broker.Credential{}, fmt.Errorf("provider of the binding: %w", err)
	}
	request, err := s.request(&a, &provider)
	if err == nil {
		err = broker.ClientWithheld(ctx, s.parts.Markers, &provider, a.Stores) // a token from memory was issued for that secret, too
	}
	if err != nil {
		return broker.Credential{}, err
	}
	t, err := s.cache.get(ctx, tokenKey(&a, &provider), a.Recorded, request)
	if err != nil {
		return broker.Credential{}, fmt.Errorf("ask the provider of the binding: %w", err)
	}
	c := broker.Credential{
		Fields: map[string]secret.Value{fields[0]: t.set.Access},
		Access: []broker.Access{{Reference: "token:" + provider.Name, Version: t.at.UTC().Format(time.RFC3339Nano)}},
	}
	if err := maskable(c.Fields, s.parts.Check); err != nil {
		return broker.Credential{}, err
	}
	return c, nil
}

// request is the token call that a cache without the token makes.
func (s *Issued) request(a *broker.Ask, p *broker.Provider) (tokenRequest, error) {
	ask := TokenAsk{Provider: *p, Server: a.Server, Stores: a.Stores, Scopes: a.Binding.Scopes, Audience: a.Binding.Audience}
	switch {
	case a.Binding.Source == broker.ClientCredentials:
		return tokenRequest{scopes: a.Binding.Scopes, send: func(ctx context.Context) (TokenSet, error) {
			return s.parts.Tokens.ClientCredentials(ctx, ask)
		}}, nil
	case a.Binding.Source != broker.TokenExchange:
		return tokenRequest{}, &broker.Refusal{Reason: broker.ModeUnknown}
	case a.Principal.Kind != broker.User || a.Principal.AgentOnly:
		return tokenRequest{}, &broker.Refusal{Reason: broker.PersonRequired}
	case a.Token.IsZero() || !s.parts.Now().Before(a.Principal.Expires):
		return tokenRequest{}, fmt.Errorf("%w: there is no token of the caller to exchange", broker.ErrProviderRefused)
	case p.Issuer == "" || p.Issuer != a.Principal.Issuer:
		return tokenRequest{}, fmt.Errorf("%w: it is not the issuer of the caller's token, and gets to see no other's", broker.ErrProviderRefused)
	case !ofIssuer(p):
		return tokenRequest{}, fmt.Errorf("%w: its token endpoint is not where the issuer of the caller's token is", broker.ErrProviderRefused)
	}
	subject, agent := a.Token, a.Principal.Agent
	return tokenRequest{scopes: a.Binding.Scopes, end: a.Principal.Expires, send: func(ctx context.Context) (TokenSet, error) {
		return s.parts.Tokens.Exchange(ctx, ask, subject, agent)
	}}, nil
}

// ofIssuer reports whether a provider's token endpoint is its issuer's: the one
// its metadata name, or a configured one at the same origin. A row that only
// says whose it is gets no token of theirs.
func ofIssuer(p *broker.Provider) bool {
	if p.Endpoints == (broker.Endpoints{}) {
		return true
	}
	issuer, err := broker.OriginDigest(p.Issuer)
	token, failed := broker.OriginDigest(p.Endpoints.Token)
	return err == nil && failed == nil && issuer == token
}

// tokenKey names a token by everything that decides it. Of the caller's token
// only a digest is part of it.
func tokenKey(a *broker.Ask, p *broker.Provider) string {
	b, subject := &a.Binding, ""
	if b.Source == broker.TokenExchange {
		subject = broker.Digest("subject", a.Token.Reveal())
	}
	parts := []string{
		"issued", string(b.Source), b.Environment, b.Server, b.Origin, a.Server.URL, b.Name, strconv.FormatInt(b.Version, 10),
		p.Name, strconv.FormatInt(p.Version, 10), b.Audience, subject, a.Principal.ID, a.Principal.Agent,
	}
	if b.Source == broker.ClientCredentials { // the same for all who call
		parts = parts[:len(parts)-2]
	}
	return broker.Digest(append(parts, b.Scopes...)...)
}
