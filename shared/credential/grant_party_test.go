package credential

import (
	"context"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
)

const another = "https://login.evil.example"

// acme is the provider of the fixture's grants.
type acme struct {
	mu    sync.Mutex
	state broker.State
	err   error
	reads int

	unnamed bool   // the upstream's metadata name it
	token   string // its token endpoint, if it is configured
	secret  broker.Reference
}

func (a *acme) Provider(context.Context, string, string) (broker.Provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads++
	p := broker.Provider{Environment: "prod", Name: "acme", Version: 2, State: a.state, Issuer: "https://idp.example.com"}
	if a.unnamed {
		p.Issuer = ""
	}
	p.Endpoints.Token, p.ClientSecret = a.token, a.secret
	return p, a.err
}

// An upstream that was taken over names its own authorization server: it gets to
// see no token of the one that the person agreed at.
func TestAnUpstreamThatNamesAnotherAuthorizationServer(t *testing.T) {
	f := newGranted(t, -time.Minute, func(g *broker.Grant) {
		g.Authority, g.Resource = "https://idp.example.com", "https://files.example.com"
	})
	f.acme.unnamed = true
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if len(f.provider.asks) != 1 || f.provider.asks[0].Provider.Issuer != "https://idp.example.com" || f.provider.asks[0].Server.URL != "https://files.example.com" {
		t.Errorf("asked %+v", f.provider.asks)
	}
}

// A provider that has become another authorization server gets no token of the
// one before: the person is asked anew, on a call and ahead of time.
func TestARefreshTokenGoesToNobodyElse(t *testing.T) {
	for name, change := range map[string]func(*granted, *broker.Grant){
		"the row names another issuer": func(_ *granted, g *broker.Grant) { g.Authority = another },
		"endpoints took its place":     func(_ *granted, g *broker.Grant) { g.Authority = broker.Digest("token endpoint", another) },
		"nobody knows whose it is":     func(f *granted, g *broker.Grant) { g.Authority, f.acme.unnamed = "", true },
		"it had endpoints": func(f *granted, g *broker.Grant) {
			g.Authority, f.acme.unnamed = broker.Digest("token endpoint", another), true
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := catalogued(t, time.Minute)
			f.now = f.now.Add(2 * time.Minute)
			f.begin(t, f.provider.set(0), func(g *broker.Grant) { change(f, g); g.Expires = f.now })
			f.refreshDue(t, Prefetched{Left: 1})
			c, err := f.obtain(t)
			wantWhy(t, c, err, broker.ConsentDead)
			if len(f.provider.asks) != 0 || len(f.provider.revoked) != 0 || len(f.events.died()) != 1 || f.events.died()[0] != string(AnotherParty) {
				t.Errorf("asked %d, revoked %v, died %v", len(f.provider.asks), f.provider.revoked, f.events.died())
			}
		})
	}
}

// agreedAnew has the person agree anew, for another agent, after the first look
// at their grant.
type agreedAnew struct {
	broker.Grants
	reads int
	begin func()
}

func (a *agreedAnew) Grant(ctx context.Context, k broker.GrantKey) (broker.GrantView, error) {
	if a.reads++; a.reads == 2 {
		a.begin()
	}
	return a.Grants.Grant(ctx, k)
}

// An agent whose token was refused gets no token of a consent that was given to
// another agent meanwhile.
func TestAConsentForAnotherAgentMeanwhileIsNotThisOnes(t *testing.T) {
	f := newGranted(t, time.Hour)
	f.ask.Principal.Agent = "idp:robot"
	if err := f.db.AddConsent(t.Context(), grantKey(), broker.Consent{Agent: "idp:robot", Generation: 1, At: f.now}); err != nil {
		t.Fatal(err)
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
	f.parts.Grants = &agreedAnew{Grants: f.db, begin: func() {
		set := f.provider.set(0)
		set.Expires = f.now.Add(30 * time.Minute)
		f.begin(t, set)
	}}
	c, err = NewGrants(f.parts).Refused(t.Context(), f.ask, c.Access)
	wantWhy(t, c, err, broker.ConsentAgent)
}
