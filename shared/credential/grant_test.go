package credential

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func TestFreshTokenIsUsedWithOneReadAndOneOpening(t *testing.T) {
	f := newGranted(t, time.Hour)
	f.ask.Recorded = nil // nothing is changed, so nothing has to be recorded first
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
	if len(c.Access) != 1 || c.Access[0] != (broker.Access{Reference: "grant:acme", Version: "1.1"}) {
		t.Errorf("access %+v", c.Access)
	}
	if f.provider.n != 0 || f.acme.reads != 0 || f.sealer.opens != 1 || f.holders != 0 {
		t.Errorf("asked %d, read the provider %d times, opened %d", f.provider.n, f.acme.reads, f.sealer.opens)
	}
}

func TestNoGrantNoCredential(t *testing.T) {
	ended := func(f *granted, to broker.State) {
		if _, err := f.db.EndGrant(t.Context(), grantKey(), to, f.now); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*granted)
		why    broker.ConsentWhy
	}{
		"of another person's":         {func(f *granted) { f.ask.Principal.ID = "p-bob" }, broker.ConsentNone},
		"at another origin":           {func(f *granted) { f.ask.Binding.Origin = broker.Digest("elsewhere") }, broker.ConsentNone},
		"at another server":           {func(f *granted) { f.ask.Binding.Server = "mail" }, broker.ConsentNone},
		"in another environment":      {func(f *granted) { f.ask.Binding.Environment = "dev" }, broker.ConsentNone},
		"disconnected":                {func(f *granted) { ended(f, broker.Deleted) }, broker.ConsentNone},
		"revoked":                     {func(f *granted) { ended(f, broker.Revoked) }, broker.ConsentNone},
		"given at another provider":   {func(f *granted) { f.ask.Binding.Provider = "other" }, broker.ConsentNone},
		"past its date":               {func(f *granted) { f.now = f.now.Add(30 * time.Minute) }, broker.ConsentNone},
		"through an agent not agreed": {func(f *granted) { f.ask.Principal.Agent = "idp:agent" }, broker.ConsentAgent},
		"wider than granted":          {func(f *granted) { f.ask.Binding.Scopes = []string{"read", "admin"} }, broker.ConsentScopes},
	} {
		t.Run(name, func(t *testing.T) {
			f := newGranted(t, time.Hour, func(g *broker.Grant) { g.Until = epoch.Add(30 * time.Minute) })
			c.change(f)
			got, err := f.obtain(t)
			wantNone(t, got, err, broker.ErrConsentRequired)
			var needed *broker.ConsentNeeded
			if !errors.As(err, &needed) || needed.Why != c.why || needed.Grant.Principal != f.ask.Principal.ID || needed.Provider != f.ask.Binding.Provider {
				t.Errorf("lacks %+v, want %s", needed, c.why)
			}
			if f.provider.n != 0 || f.sealer.opens != 0 {
				t.Error("something was opened or asked for")
			}
		})
	}
}

func TestConsentOfAnAgentIsForOneGeneration(t *testing.T) {
	f := newGranted(t, time.Hour)
	f.ask.Principal.Agent = "idp:agent"
	if err := f.db.AddConsent(t.Context(), grantKey(), broker.Consent{Agent: "idp:agent", Generation: 1, At: f.now}); err != nil {
		t.Fatal(err)
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
	set := f.provider.set(7)
	f.begin(t, set)
	c, err = f.obtain(t)
	wantWhy(t, c, err, broker.ConsentAgent)
}

func TestOnlyAPersonGetsAPersonsToken(t *testing.T) {
	for name, p := range map[string]broker.Principal{
		"a workload":          {ID: "p-alice", Kind: broker.Workload},
		"an agent for itself": {ID: "p-alice", Kind: broker.User, AgentOnly: true},
		"nobody":              {Kind: broker.User},
	} {
		f := newGranted(t, time.Hour)
		f.ask.Principal = p
		c, err := f.obtain(t)
		var refusal *broker.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != broker.PersonRequired || c.Fields != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The row says nothing about what it is for: a text from elsewhere does not open.
func TestTextOfAnotherRowDoesNotOpen(t *testing.T) {
	f := newGranted(t, time.Hour)
	bob := grantKey()
	bob.Principal = "p-bob"
	sealed, err := SealTokens(t.Context(), f.sealer, bob, f.provider.set(9), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.begin(t, f.provider.set(0), func(g *broker.Grant) { g.Sealed = sealed.Sealed })
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrKeyUnavailable)
}

func TestTokenThatCannotBeMaskedIsNotReleased(t *testing.T) {
	f := newGranted(t, time.Hour)
	set := f.provider.set(0)
	set.Access = secret.New("short")
	f.begin(t, set)
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrSecretMalformed)
}

func TestGrantThatCannotBeReadGivesNothing(t *testing.T) {
	f := newGranted(t, time.Hour)
	f.parts.Grants = unreadable{f.db}
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrUnavailable)
	f = newGranted(t, time.Hour)
	f.sealer.faults = 1
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrUnavailable)
}

type unreadable struct{ broker.Grants }

func (unreadable) Grant(context.Context, broker.GrantKey) (broker.GrantView, error) {
	return broker.GrantView{}, broker.ErrUnavailable
}

func TestServerWithMoreThanOneFieldGetsNoToken(t *testing.T) {
	f := newGranted(t, time.Hour)
	f.ask.Server.Attach = []broker.Attachment{{In: broker.InBasic, Template: "{user}:{password}"}}
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrSecretMalformed)
}

// typed has a grant of fields that the person typed in, for a server that needs
// user and password.
func typed(t *testing.T, fields map[string]secret.Value) *granted {
	t.Helper()
	f := newGranted(t, time.Hour)
	f.ask.Binding.Source, f.ask.Binding.Provider, f.ask.Binding.Scopes = broker.PersonalKey, "", nil
	f.ask.Server.Attach = []broker.Attachment{{In: broker.InBasic, Template: "{user}:{password}"}}
	sealed, err := SealFields(t.Context(), f.sealer, grantKey(), fields)
	if err != nil {
		t.Fatal(err)
	}
	f.begin(t, TokenSet{Access: secret.New("x")}, func(g *broker.Grant) {
		g.Provider, g.Scopes, g.Sealed, g.Refreshes = "", nil, sealed, false
	})
	return f
}

func TestWhatAPersonTypedInFillsAllFields(t *testing.T) {
	both := map[string]secret.Value{"user": secret.New(value(1)), "password": secret.New(value(2)), "unused": secret.New(value(3))}
	f := typed(t, both)
	c, err := f.obtain(t)
	if err != nil || len(c.Fields) != 2 || c.Fields["user"].Reveal() != value(1) || c.Fields["password"].Reveal() != value(2) {
		t.Errorf("%d fields, %v", len(c.Fields), err)
	}
	if len(c.Access) != 1 || c.Access[0].Reference != "grant:personal-key" || c.Access[0].Version != "2.2" {
		t.Errorf("access %+v", c.Access)
	}
	f = typed(t, map[string]secret.Value{"user": secret.New(value(1))})
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrConsentRequired) // the server has got a field since
	f = typed(t, map[string]secret.Value{"user": secret.New(value(1)), "password": secret.New("short")})
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrSecretMalformed)
	f = newGranted(t, time.Hour) // a token is no key
	f.ask.Binding.Source, f.ask.Binding.Provider = broker.PersonalKey, ""
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrConsentRequired)
	f = typed(t, both) // and a key is no token
	f.ask.Binding.Source, f.ask.Binding.Provider = broker.AuthorizationCode, "acme"
	f.ask.Server.Attach = []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrConsentRequired)
}

func TestSealedTokensOpenForRevocation(t *testing.T) {
	f := newGranted(t, time.Hour)
	was, err := f.db.EndGrant(t.Context(), grantKey(), broker.Deleted, f.now)
	if err != nil {
		t.Fatal(err)
	}
	set, err := OpenTokens(t.Context(), f.sealer, grantKey(), was.Sealed)
	if err != nil || set.Access.Reveal() != accessToken(0) || set.Refresh.Reveal() != refreshToken(0) {
		t.Errorf("opened something else: %v", err)
	}
	if _, err := OpenTokens(t.Context(), f.sealer, grantKey(), []byte("{}")); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("opened what was not sealed: %v", err)
	}
}
