package credential

import (
	"testing"
	"time"

	"bindery/shared/broker"
)

const another = "https://login.evil.example"

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
			if len(f.provider.asks) != 0 || len(f.provider.revoked) != 0 || len(f.events.died) != 1 || f.events.died[0] != string(AnotherParty) {
				t.Errorf("asked %d, revoked %v, died %v", len(f.provider.asks), f.provider.revoked, f.events.died)
			}
		})
	}
}
