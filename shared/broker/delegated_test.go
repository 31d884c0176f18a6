package broker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// delegated is a card of a mode and a source without references.
func delegated(mode broker.Mode, source broker.SourceKind, provider string, scopes ...string) func(*broker.Binding) {
	return func(b *broker.Binding) {
		b.Mode, b.Source, b.Fields, b.Provider, b.Scopes = mode, source, nil, provider, scopes
	}
}

// asked is a source that keeps what it was asked.
type asked struct {
	ask broker.Ask
	err error
}

func (s *asked) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	s.ask = a
	if s.err != nil {
		return broker.Credential{}, s.err
	}
	return broker.Credential{}, a.Recorded(ctx)
}

func (w *world) with(kind broker.SourceKind, s broker.Source) *broker.Broker {
	return broker.New(broker.Parts{Catalogue: w, Markers: w, Audit: w, Sources: map[broker.SourceKind]broker.Source{kind: s}, Quotas: w,
		Now: func() time.Time { return w.now }, Nonce: rand.Text, Status: func(error) int { return 499 }})
}

func TestModeAndSourceGoTogether(t *testing.T) {
	modes := []broker.Mode{broker.ServiceAccount, broker.AgentScoped, broker.UserDelegated, "workload_identity", ""}
	shared, personal := []broker.Mode{broker.ServiceAccount, broker.AgentScoped}, []broker.Mode{broker.UserDelegated}
	w := newWorld()
	for source, fit := range map[broker.SourceKind][]broker.Mode{
		broker.ClientCredentials: shared, broker.AuthorizationCode: personal, broker.TokenExchange: personal, broker.PersonalKey: personal, "vault_dynamic": nil,
	} {
		for _, mode := range modes {
			provider := "acme"
			if source == broker.PersonalKey {
				provider = ""
			}
			b := card(t, "a", user("p-alice"), delegated(mode, source, provider))
			err := broker.Usable(&b, w.snapshot.Server, w.snapshot.Stores)
			if slices.Contains(fit, mode) {
				if err != nil {
					t.Errorf("%s by %s: %v", mode, source, err)
				}
				continue
			}
			wantReason(t, err, broker.ModeUnknown)
		}
	}
	for _, mode := range []broker.Mode{broker.UserDelegated, ""} {
		b := card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Mode = mode })
		wantReason(t, broker.Usable(&b, w.snapshot.Server, w.snapshot.Stores), broker.ModeUnknown)
	}
}

func TestCardWithoutReferencesIsHeldToItsRules(t *testing.T) {
	many := strings.Fields(strings.Repeat("s ", 65))
	for i := range many {
		many[i] += strings.Repeat("x", i)
	}
	two := []broker.Attachment{{In: broker.InBasic, Template: "{user}:{password}"}}
	code := delegated(broker.UserDelegated, broker.AuthorizationCode, "acme", "read", "write:all")
	for name, c := range map[string]struct {
		change func(*broker.Binding)
		attach []broker.Attachment
		want   broker.Reason
	}{
		"as it should be": {func(*broker.Binding) {}, nil, ""},
		"a reference as well": {func(b *broker.Binding) {
			b.Fields = []broker.Field{{Name: "token", Reference: reference(t, "aws-sm:prod/x")}}
		}, nil, broker.FieldsIncomplete},
		"two fields for one token":   {func(*broker.Binding) {}, two, broker.FieldsIncomplete},
		"no field":                   {func(*broker.Binding) {}, []broker.Attachment{}, broker.FieldsIncomplete},
		"no provider":                {func(b *broker.Binding) { b.Provider = "" }, nil, broker.ProviderUnfit},
		"a provider that is no name": {func(b *broker.Binding) { b.Provider = "../x" }, nil, broker.ProviderUnfit},
		"an audience":                {func(b *broker.Binding) { b.Audience = "x" }, nil, broker.ProviderUnfit},
		"a scope twice":              {func(b *broker.Binding) { b.Scopes = []string{"a", "a"} }, nil, broker.ProviderUnfit},
		"two scopes in one":          {func(b *broker.Binding) { b.Scopes = []string{"a b"} }, nil, broker.ProviderUnfit},
		"an empty scope":             {func(b *broker.Binding) { b.Scopes = []string{""} }, nil, broker.ProviderUnfit},
		"a scope with a line end":    {func(b *broker.Binding) { b.Scopes = []string{"a\r\nb"} }, nil, broker.ProviderUnfit},
		"a quoted scope":             {func(b *broker.Binding) { b.Scopes = []string{`"a"`} }, nil, broker.ProviderUnfit},
		"a backslash":                {func(b *broker.Binding) { b.Scopes = []string{`a\b`} }, nil, broker.ProviderUnfit},
		"a scope beyond ASCII":       {func(b *broker.Binding) { b.Scopes = []string{"ä"} }, nil, broker.ProviderUnfit},
		"too many scopes":            {func(b *broker.Binding) { b.Scopes = many }, nil, broker.ProviderUnfit},
		"what is typed in fills all": {delegated(broker.UserDelegated, broker.PersonalKey, ""), two, ""},
		"what is typed in, nothing":  {delegated(broker.UserDelegated, broker.PersonalKey, ""), []broker.Attachment{}, broker.FieldsIncomplete},
		"typed in at a provider":     {delegated(broker.UserDelegated, broker.PersonalKey, "acme"), nil, broker.ProviderUnfit},
		"typed in with scopes":       {delegated(broker.UserDelegated, broker.PersonalKey, "", "a"), nil, broker.ProviderUnfit},
		"an exchange for somebody":   {func(b *broker.Binding) { b.Source, b.Audience = broker.TokenExchange, "https://api.example.com" }, nil, ""},
		"an audience without end":    {func(b *broker.Binding) { b.Source, b.Audience = broker.TokenExchange, strings.Repeat("a", 2049) }, nil, broker.ProviderUnfit},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			b := card(t, "a", user("p-alice"), code, c.change)
			if c.attach != nil {
				w.snapshot.Server.Attach = c.attach
			}
			err := broker.Usable(&b, w.snapshot.Server, w.snapshot.Stores)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, c.want)
		})
	}
	for _, change := range []func(*broker.Binding){
		func(b *broker.Binding) { b.Provider = "acme" }, func(b *broker.Binding) { b.Scopes = []string{"a"} }, func(b *broker.Binding) { b.Audience = "a" },
	} {
		w, b := newWorld(), card(t, "a", user("p-alice"), change)
		wantReason(t, broker.Usable(&b, w.snapshot.Server, w.snapshot.Stores), broker.ProviderUnfit)
	}
}

func TestOnlyAPersonUsesAPersonsCredential(t *testing.T) {
	person := viaAgent(alice, "idp:agent", false)
	for name, c := range map[string]struct {
		p    broker.Principal
		want broker.Reason
	}{
		"a person":                  {alice, ""},
		"through an agent":          {person, ""},
		"an agent for itself":       {viaAgent(alice, "idp:agent", true), broker.PersonRequired},
		"a workload":                {broker.Principal{ID: "p-alice", Kind: broker.Workload}, broker.PersonRequired},
		"of a kind nobody knows of": {broker.Principal{ID: "p-alice"}, broker.PersonRequired},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Agent = &broker.Agent{Environment: "prod", ID: "idp:agent", State: broker.Active, Ceiling: broker.Critical}
			w.snapshot.Shared = []broker.Binding{card(t, "a", broker.Actor{Anyone: true}, delegated(broker.UserDelegated, broker.AuthorizationCode, "acme"))}
			d, err := w.with(broker.AuthorizationCode, &asked{}).Decide(t.Context(), call(c.p))
			if c.want != "" {
				wantReason(t, err, c.want)
				return
			}
			if err != nil || !d.Sees(broker.CallTool, "other") {
				t.Errorf("refused, or hidden: %v", err)
			}
		})
	}
}

func TestTheCallersTokenIsForTheExchangeAlone(t *testing.T) {
	for source, want := range map[broker.SourceKind]bool{broker.TokenExchange: true, broker.AuthorizationCode: false} {
		w, s := newWorld(), &asked{}
		w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), delegated(broker.UserDelegated, source, "acme"))}
		b, c := w.with(source, s), call(alice)
		c.Token = secret.New("canary-inbound-token") // made up
		d, err := b.Decide(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Obtain(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if s.ask.Token.IsZero() == want || s.ask.Server.URL != upstreamURL || s.ask.Principal.ID != "p-alice" || s.ask.Receipt != "01RECEIPT" {
			t.Errorf("%s was told otherwise: token %t", source, !s.ask.Token.IsZero())
		}
		for _, r := range w.records {
			if text, _ := r.JSON(); strings.Contains(string(text), "canary") {
				t.Error("the token is in a record")
			}
		}
	}
}

func TestNothingIsChangedOutsideWithoutAStoredIntent(t *testing.T) {
	w, s := newWorld(), &asked{}
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), delegated(broker.UserDelegated, broker.AuthorizationCode, "acme"))}
	w.auditErr = func(broker.Record) error { return broker.ErrUnavailable }
	b := w.with(broker.AuthorizationCode, s)
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Obtain(t.Context(), d); !errors.Is(err, broker.ErrUnrecorded) {
		t.Error(err)
	}
	if err := s.ask.Recorded(t.Context()); !errors.Is(err, broker.ErrUnrecorded) {
		t.Errorf("the source was told %v", err)
	}
}

func TestASourceThisDeploymentHasNotGivesNothing(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), delegated(broker.UserDelegated, broker.AuthorizationCode, "acme"))}
	b := w.broker()
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Obtain(t.Context(), d)
	wantReason(t, err, broker.ModeUnknown)
}

func TestFaultsOfProvidersHaveReasonsOfTheirOwn(t *testing.T) {
	needed := func(why broker.ConsentWhy) error {
		return fmt.Errorf("grant: %w", &broker.ConsentNeeded{Why: why})
	}
	for _, c := range []struct {
		err  error
		want broker.Reason
	}{
		{needed(broker.ConsentNone), broker.ConsentRequired}, {needed(broker.ConsentDead), broker.GrantDead},
		{needed(broker.ConsentScopes), broker.ScopesNotGranted}, {needed(broker.ConsentAgent), broker.AgentNotConsented},
		{fmt.Errorf("a: %w", broker.ErrProviderRefused), broker.ProviderRefused}, {fmt.Errorf("a: %w", broker.ErrProviderUnavailable), broker.ProviderUnavail},
		{fmt.Errorf("a: %w", broker.ErrOutcomeUnknown), broker.OutcomeUnknown}, {broker.ErrUnavailable, broker.StoreUnavailable},
	} {
		if got := broker.ReasonOf(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	if err := needed(broker.ConsentDead); !errors.Is(err, broker.ErrConsentRequired) {
		t.Errorf("%v is no ErrConsentRequired", err)
	}
}

// providers is one provider, or an error.
type providers struct {
	p   broker.Provider
	err error
}

func (p providers) Provider(context.Context, string, string) (broker.Provider, error) {
	return p.p, p.err
}

func (p providers) PutProvider(context.Context, broker.Provider) error { return p.err }

func TestBindingThatAsksAProviderNeedsOne(t *testing.T) {
	active := providers{p: broker.Provider{Environment: "prod", Name: "acme", State: broker.Active}}
	code := delegated(broker.UserDelegated, broker.AuthorizationCode, "acme", "read")
	for name, c := range map[string]struct {
		providers providers
		change    func(*broker.Binding)
		fine      bool
	}{
		"there is one":         {active, code, true},
		"a key of each person": {providers{err: broker.ErrUnavailable}, delegated(broker.UserDelegated, broker.PersonalKey, ""), true},
		"there is none":        {providers{err: broker.ErrNotFound}, code, false},
		"it could not be read": {providers{err: broker.ErrUnavailable}, code, false},
		"it is closed":         {providers{p: broker.Provider{State: broker.Suspended}}, code, false},
		"people by a workload claim": {active, func(b *broker.Binding) {
			code(b)
			b.Actor = broker.Actor{Attribute: broker.Attribute{Name: "a", Value: "b"}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.obtain = failing(errors.New("a source was asked"))
			r, store := registry(w)
			r.Providers = c.providers
			err := r.Bind(t.Context(), card(t, "a", user("p-alice"), c.change))
			if (err == nil) != c.fine || (store.binding != nil) != c.fine {
				t.Errorf("bound: %v", err)
			}
		})
	}
	t.Run("this program knows no providers", func(t *testing.T) {
		r, _ := registry(newWorld())
		wantReason(t, r.Bind(t.Context(), card(t, "a", user("p-alice"), code)), broker.ModeUnknown)
	})
}
