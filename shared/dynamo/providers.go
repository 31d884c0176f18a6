package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

type providerRow struct {
	item
	Environment    string            `dynamodbav:"environment"`
	Name           string            `dynamodbav:"name"`
	Version        int64             `dynamodbav:"version"`
	State          string            `dynamodbav:"state"`
	Issuer         string            `dynamodbav:"issuer,omitempty"`
	Authorization  string            `dynamodbav:"authorization_endpoint,omitempty"`
	Token          string            `dynamodbav:"token_endpoint,omitempty"`
	Revocation     string            `dynamodbav:"revocation_endpoint,omitempty"`
	Registration   string            `dynamodbav:"registration"`
	ClientID       string            `dynamodbav:"client_id,omitempty"`
	ClientSecret   string            `dynamodbav:"client_secret,omitempty"` // its reference
	ClientAuth     string            `dynamodbav:"client_auth"`
	SigningKey     string            `dynamodbav:"signing_key,omitempty"`
	Parameters     map[string]string `dynamodbav:"authorization_parameters,omitempty"`
	ScopeSeparator string            `dynamodbav:"scope_separator,omitempty"`
	GrantedSep     string            `dynamodbav:"granted_separator,omitempty"`
	ImpliedScopes  []string          `dynamodbav:"implied_scopes,omitempty"`
	NoResource     bool              `dynamodbav:"no_resource,omitempty"`
	NoRefreshScope bool              `dynamodbav:"no_scope_on_refresh,omitempty"`
	NoTokenType    bool              `dynamodbav:"no_token_type,omitempty"`
	DeadCodes      []string          `dynamodbav:"dead_codes,omitempty"`
	Audience       string            `dynamodbav:"assertion_audience,omitempty"`
	TokenLife      time.Duration     `dynamodbav:"access_token_life_ns,omitempty"`
	Networks       []string          `dynamodbav:"networks,omitempty"`
}

func newProviderRow(p broker.Provider) providerRow {
	return providerRow{providerKey(p.Environment, p.Name).item(), p.Environment, p.Name, p.Version, string(p.State), p.Issuer,
		p.Endpoints.Authorization, p.Endpoints.Token, p.Endpoints.Revocation,
		string(p.Registration), p.ClientID, p.ClientSecret.String(), string(p.ClientAuth), p.SigningKey,
		p.Quirks.AuthorizationParameters, p.Quirks.ScopeSeparator, p.Quirks.GrantedSeparator, p.Quirks.ImpliedScopes,
		p.Quirks.NoResource, p.Quirks.NoScopeOnRefresh, p.Quirks.NoTokenType, p.Quirks.DeadCodes, p.Quirks.AssertionAudience, p.Quirks.AccessTokenLife,
		networkTexts(p.Networks)}
}

func (r providerRow) value() (broker.Provider, error) {
	p := broker.Provider{Environment: r.Environment, Name: r.Name, Version: r.Version, State: broker.State(r.State), Issuer: r.Issuer,
		Endpoints:    broker.Endpoints{Authorization: r.Authorization, Token: r.Token, Revocation: r.Revocation},
		Registration: broker.RegistrationKind(r.Registration), ClientID: r.ClientID, ClientAuth: broker.ClientAuth(r.ClientAuth), SigningKey: r.SigningKey,
		Quirks: broker.Quirks{AuthorizationParameters: r.Parameters, ScopeSeparator: r.ScopeSeparator, GrantedSeparator: r.GrantedSep,
			ImpliedScopes: r.ImpliedScopes, NoResource: r.NoResource, NoScopeOnRefresh: r.NoRefreshScope, NoTokenType: r.NoTokenType,
			DeadCodes: r.DeadCodes, AssertionAudience: r.Audience, AccessTokenLife: r.TokenLife}}
	var err error
	if p.Networks, err = parseNetworks(r.Networks); err != nil {
		return p, err
	}
	if r.ClientSecret != "" {
		if p.ClientSecret, err = broker.StoredReference(r.ClientSecret); err != nil {
			return p, err
		}
	}
	return versioned(p, p.Version)
}

func decodeProvider(a attributes) (broker.Provider, error) {
	return decode(a, providerRow.value, func(p broker.Provider) key { return providerKey(p.Environment, p.Name) })
}

// PutProvider implements broker.Providers.
func (s *DB) PutProvider(ctx context.Context, p broker.Provider) error {
	if err := p.Check(); err != nil {
		return err
	}
	expected := p.Version
	p.Version++
	return s.putRow(ctx, "put the provider", s.tables.Catalogue, newProviderRow(p), replaces(expected))
}

// Provider implements broker.Providers.
func (s *DB) Provider(ctx context.Context, environment, name string) (broker.Provider, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("provider", name))
	return one(ctx, s, "read the provider", invalid, providerKey(environment, name), decodeProvider)
}

// Providers implements broker.Providers.
func (s *DB) Providers(ctx context.Context, environment string, p broker.Page) ([]broker.Provider, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the providers", providersPartition(environment), "name", p, decodeProvider)
}

type registeredRow struct {
	item
	Environment string  `dynamodbav:"environment"`
	Provider    string  `dynamodbav:"provider"`
	Issuer      string  `dynamodbav:"issuer"`
	ClientID    string  `dynamodbav:"client_id"`
	Sealed      []byte  `dynamodbav:"sealed,omitempty"`
	Expires     *string `dynamodbav:"expires"` // always there: its absence must not read as "never"
	At          string  `dynamodbav:"at"`
}

func (r registeredRow) value() (broker.Registered, error) {
	v := broker.Registered{Environment: r.Environment, Provider: r.Provider, Issuer: r.Issuer, ClientID: r.ClientID, Sealed: r.Sealed}
	times, err := parseStamps(r.Expires, &r.At)
	if err != nil {
		return v, err
	}
	v.Expires, v.At = times[0], times[1]
	return v, nil
}

func decodeRegistered(a attributes) (broker.Registered, error) {
	return decode(a, registeredRow.value, func(r broker.Registered) key { return registeredKey(r.Environment, r.Provider, r.Issuer) })
}

// Registered implements broker.Providers.
func (s *DB) Registered(ctx context.Context, environment, provider, issuer string) (broker.Registered, error) {
	const doing = "read the registration"
	if err := broker.CheckRegistered(environment, provider, issuer); err != nil {
		return broker.Registered{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Grants, registeredKey(environment, provider, issuer))
	switch {
	case err != nil:
		return broker.Registered{}, err
	case a == nil:
		return broker.Registered{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	r, err := decodeRegistered(a)
	if err != nil {
		return broker.Registered{}, fmt.Errorf("%s: %w", doing, err)
	}
	return r, nil
}

// AddRegistered implements broker.Providers. Where the put is refused, it gives
// what is there instead.
func (s *DB) AddRegistered(ctx context.Context, r broker.Registered, now time.Time) (broker.Registered, error) {
	const doing = "add the registration"
	if err := r.Check(); err != nil {
		return broker.Registered{}, err
	}
	expires := stamp(r.Expires)
	row, err := encode(doing, registeredRow{registeredKey(r.Environment, r.Provider, r.Issuer).item(), r.Environment, r.Provider, r.Issuer,
		r.ClientID, r.Sealed, &expires, stamp(r.At)})
	if err != nil {
		return broker.Registered{}, err
	}
	expired := expression.Name("expires").GreaterThan(expression.Value("")).
		And(expression.Name("expires").LessThanEqual(expression.Value(stamp(now))), ofSchema())
	there, err := s.tryPut(ctx, doing, s.tables.Grants, row, expression.Or(absent(), expired))
	switch {
	case err == nil:
		there = row
	case !errors.Is(err, broker.ErrConflict):
		return broker.Registered{}, err
	}
	counts, err := decodeRegistered(there)
	if err != nil {
		return broker.Registered{}, fmt.Errorf("%s: %w", doing, err)
	}
	return counts, nil
}
