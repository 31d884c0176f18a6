package storesuite

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func fullProvider(environment, name string) broker.Provider {
	return broker.Provider{Environment: environment, Name: name, State: broker.Active, Issuer: "https://login.example.com/t/1",
		Endpoints:    broker.Endpoints{Authorization: "https://login.example.com/authorize", Token: "https://api.example.com/token", Revocation: "https://api.example.com/revoke?v=1"},
		Registration: broker.Preregistered, ClientID: "client é", ClientSecret: reference("aws-sm:prod/okta#secret"), ClientAuth: broker.ClientSecretPost,
		Quirks: broker.Quirks{AuthorizationParameters: map[string]string{"access_type": "offline", "prompt": "consent é"}, ScopeSeparator: ",",
			GrantedSeparator: ";", ImpliedScopes: []string{"openid", "profile"}, NoResource: true, NoScopeOnRefresh: true, NoTokenType: true,
			DeadCodes: []string{"bad_refresh_token"}, AssertionAudience: "https://login.example.com/oauth2 é", AccessTokenLife: 90*time.Minute + 1},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")}}
}

var providerKind = kind{
	put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
		v := fullProvider(environment, "okta")
		v.Version, v.State, v.ClientID = version, state, text(mark)
		return w.Providers.PutProvider(ctx, v)
	},
	read: func(b *bench, environment string) (int64, broker.State, int, bool) {
		b.Helper()
		all, err := b.Providers.Providers(b.Context(), environment, broker.Page{Limit: 2})
		b.must(err)
		if len(all) != 1 {
			return 0, "", 0, false
		}
		return all[0].Version, all[0].State, unmark(all[0].ClientID), true
	},
}

func ofProvider(v broker.Provider) entry { return entry{v.Name, v.Version, v.State} }

var providerListing = listing{
	names: plainNames,
	put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
		v := fullProvider(environment, name)
		v.Version, v.State = version, state
		return s.Providers.PutProvider(ctx, v)
	},
	list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
		rows, err := s.Providers.Providers(ctx, environment, p)
		return entriesOf(rows, err, ofProvider)
	},
	one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
		v, err := s.Providers.Provider(ctx, environment, name)
		return entryOf(v, err, ofProvider)
	},
}

func testProviders(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a provider comes back":                 testProviderWhole,
		"registrations that contradict themselves are refused": testProviderRefused,
		"what the writer goes on to change is not stored":      testProviderKept,
	})
}

func testProviderWhole(b *bench) {
	key := broker.Provider{Environment: b.environment, Name: "key", State: broker.Pending, Registration: broker.MetadataDocument,
		ClientAuth: broker.ClientPrivateKeyJWT, SigningKey: "arn:aws:kms:eu-west-1:111122223333:key/x"}
	for name, want := range map[string]broker.Provider{
		"full": fullProvider(b.environment, "full"), "key": key,
		"smallest": {Environment: b.environment, Name: "smallest", State: broker.Active, Registration: broker.Dynamic, ClientAuth: broker.ClientNone},
	} {
		b.must(b.Providers.PutProvider(b.Context(), want))
		want.Version = 1
		got, err := b.Providers.Provider(b.Context(), b.environment, name)
		b.must(err)
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	_, err := b.Providers.Provider(b.Context(), b.environment, "none")
	b.wants(err, broker.ErrNotFound)
}

func testProviderKept(b *bench) {
	mine := fullProvider(b.environment, "okta")
	b.must(b.Providers.PutProvider(b.Context(), mine))
	mine.Quirks.AuthorizationParameters["prompt"], mine.Networks[0] = "none", netip.MustParsePrefix("10.4.0.0/16")
	mine.Quirks.ImpliedScopes[0], mine.Quirks.DeadCodes[0] = "admin", "other"
	want := fullProvider(b.environment, "okta")
	want.Version = 1
	got, err := b.Providers.Provider(b.Context(), b.environment, "okta")
	b.must(err)
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
}

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return list
}

func testProviderRefused(b *bench) {
	dynamic := func(p *broker.Provider) {
		p.Registration, p.ClientID, p.ClientSecret, p.ClientAuth, p.Endpoints = broker.Dynamic, "", broker.Reference{}, broker.ClientNone, broker.Endpoints{}
	}
	for name, spoil := range map[string]func(*broker.Provider){
		"no name":                         func(p *broker.Provider) { p.Name = "" },
		"an unknown state":                func(p *broker.Provider) { p.State = "alive" },
		"an issuer that is no URL":        func(p *broker.Provider) { p.Issuer = "login.example.com" },
		"an issuer with a user":           func(p *broker.Provider) { p.Issuer = "https://u:p@login.example.com" },
		"an issuer with a fragment":       func(p *broker.Provider) { p.Issuer += "#x" },
		"a huge issuer":                   func(p *broker.Provider) { p.Issuer += strings.Repeat("x", 256) },
		"a script for an endpoint":        func(p *broker.Provider) { p.Endpoints.Authorization = "javascript://x.example/%0aalert(1)" },
		"a token endpoint alone":          func(p *broker.Provider) { p.Endpoints = broker.Endpoints{Token: p.Endpoints.Token} },
		"an authorization endpoint alone": func(p *broker.Provider) { p.Endpoints = broker.Endpoints{Authorization: p.Endpoints.Token} },
		"a revocation endpoint alone":     func(p *broker.Provider) { p.Endpoints = broker.Endpoints{Revocation: p.Endpoints.Token} },
		"an unknown registration":         func(p *broker.Provider) { p.Registration = "" },
		"an unknown authentication":       func(p *broker.Provider) { p.ClientAuth = "tls_client_auth" },
		"preregistered without an id":     func(p *broker.Provider) { p.ClientID = "" },
		"a secret without its reference":  func(p *broker.Provider) { p.ClientSecret = broker.Reference{} },
		"a secret that is not used":       func(p *broker.Provider) { p.ClientAuth = broker.ClientNone },
		"a signing key that is not used":  func(p *broker.Provider) { p.SigningKey = "arn:aws:kms:x" },
		"a key that is missing": func(p *broker.Provider) {
			p.ClientAuth, p.ClientSecret = broker.ClientPrivateKeyJWT, broker.Reference{}
		},
		"dynamic with an id":            func(p *broker.Provider) { dynamic(p); p.ClientID = "x" },
		"dynamic with a secret of ours": func(p *broker.Provider) { dynamic(p); p.ClientSecret = reference("aws-sm:x") },
		"dynamic without metadata":      func(p *broker.Provider) { e := p.Endpoints; dynamic(p); p.Endpoints = e },
		"a public document and a secret": func(p *broker.Provider) {
			dynamic(p)
			p.Registration, p.ClientAuth = broker.MetadataDocument, broker.ClientSecretBasic
		},
		"a parameter of the protocol": func(p *broker.Provider) { p.Quirks.AuthorizationParameters = map[string]string{"Redirect_uri": "x"} },
		"the state as a parameter":    func(p *broker.Provider) { p.Quirks.AuthorizationParameters = map[string]string{"state": "x"} },
		"a parameter without a name":  func(p *broker.Provider) { p.Quirks.AuthorizationParameters = map[string]string{"": "x"} },
		"a long separator":            func(p *broker.Provider) { p.Quirks.ScopeSeparator = ", " },
		"a separator nobody sees":     func(p *broker.Provider) { p.Quirks.GrantedSeparator = "\x00" },
		"a scope of two words":        func(p *broker.Provider) { p.Quirks.ImpliedScopes = []string{"read write"} },
		"too many implied scopes":     func(p *broker.Provider) { p.Quirks.ImpliedScopes = numbered(65) },
		"a dead code of two words":    func(p *broker.Provider) { p.Quirks.DeadCodes = []string{"bad token"} },
		"too many dead codes":         func(p *broker.Provider) { p.Quirks.DeadCodes = numbered(17) },
		"a bad hour that ends grants": func(p *broker.Provider) { p.Quirks.DeadCodes = []string{"temporarily_unavailable"} },
		"a client that ends grants":   func(p *broker.Provider) { p.Quirks.DeadCodes = []string{"invalid_client"} },
		"a huge audience":             func(p *broker.Provider) { p.Quirks.AssertionAudience = strings.Repeat("x", 2049) },
		"a negative life":             func(p *broker.Provider) { p.Quirks.AccessTokenLife = -1 },
		"the loopback opened":         func(p *broker.Provider) { p.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} },
	} {
		v := fullProvider(b.environment, "okta")
		spoil(&v)
		if err := b.Providers.PutProvider(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, bad := range []string{"", "a/b", "\xff"} {
		_, err := b.Providers.Provider(b.Context(), b.environment, bad)
		b.wants(err, broker.ErrInvalid)
	}
	all, err := b.Providers.Providers(b.Context(), b.environment, broker.Page{Limit: 1})
	b.must(err)
	if len(all) != 0 {
		b.Fatalf("stored: %+v", all)
	}
}
