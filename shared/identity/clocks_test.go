package identity

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

// A sandbox can be frozen with a renewal under way. What that renewal brings
// when it runs on, hours later, says nothing about now.
func TestRemovedKeyStopsAfterARenewalThatStoodStill(t *testing.T) {
	for name, ends := range map[string]func(w http.ResponseWriter, keys []byte){
		"and fails":              func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusBadGateway) },
		"and brings the old set": idp.WriteJSON,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.idp.Add("k2", "ES256")
			claims := map[string]any{"exp": w.clock.now().Add(24 * time.Hour).Unix()}
			old := w.token(claims)
			w.accepts(old)
			asked, thawed, before := make(chan struct{}), make(chan struct{}), w.idp.JWKS()
			thaw := sync.OnceFunc(func() { close(thawed) })
			t.Cleanup(thaw)
			w.idp.OnJWKS(func(rw http.ResponseWriter, _ *http.Request) { close(asked); <-thawed; ends(rw, before) })
			w.clock.pass(refreshAfter + time.Second)
			w.accepts(old) // renewed beside this call
			<-asked
			frozen := w.issuers[0].keys.flight
			w.idp.Up()
			w.idp.Remove("k1")
			w.clock.pass(5 * time.Hour)
			w.refuses(old, KeyUnknown)
			kept := w.rows.sets["prod "+w.idp.Issuer()].Fetched
			thaw()
			<-frozen.done
			w.refuses(old, KeyUnknown)
			if now := w.rows.sets["prod "+w.idp.Issuer()].Fetched; !now.Equal(kept) {
				t.Errorf("the shared set of %s was replaced by one of %s", kept, now)
			}
		})
	}
}

// The other order: the renewal runs on and ends before the call asks.
func TestRenewalThatStoodStillDoesNotCountAsNow(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Add("k2", "ES256")
	old := w.token(map[string]any{"exp": w.clock.now().Add(24 * time.Hour).Unix()})
	w.accepts(old)
	before := w.idp.JWKS()
	w.idp.OnJWKS(func(rw http.ResponseWriter, _ *http.Request) {
		w.clock.pass(15 * time.Minute)
		w.idp.Remove("k1")
		idp.WriteJSON(rw, before)
		w.idp.Up()
	})
	w.clock.pass(refreshAfter + time.Second)
	k := w.issuers[0].keys
	k.wait(t.Context(), k.renew(t.Context(), ""))
	w.refuses(old, KeyUnknown)
}

// A set from a peer whose clock is fast must not keep out what this process
// fetches itself.
func TestFastPeerDoesNotHoldUpARotation(t *testing.T) {
	w := newWorld(t, nil)
	fast := w.process(func(c *Config) { c.Now = func() time.Time { return w.clock.now().Add(4 * time.Minute) } })
	if _, err := ask(fast, w.token(map[string]any{"nbf": nil, "iat": nil})); err != nil {
		t.Fatal(err)
	}
	old := w.token(nil)
	w.accepts(old)
	w.clock.pass(fetchInterval)
	w.idp.Add("k2", "ES256")
	w.idp.Remove("k1")
	w.accepts(w.idp.Sign("k2", nil, w.claims(nil)))
	w.refuses(old, KeyUnknown)
}

func TestSetOfAPeerWithinTheSkewServes(t *testing.T) {
	w := newWorld(t, nil)
	fast := w.process(func(c *Config) { c.Now = func() time.Time { return w.clock.now().Add(broker.ClockSkew) } })
	if _, err := ask(fast, w.token(nil)); err != nil {
		t.Fatal(err)
	}
	w.accepts(w.token(nil))
	if w.fetches() != 1 {
		t.Errorf("%d fetches", w.fetches())
	}
}

func TestClockSetBackDoesNotProlongARemovedKey(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Add("k2", "ES256")
	old := w.token(map[string]any{"iat": nil, "nbf": nil})
	w.accepts(old)
	w.idp.Remove("k1")
	w.clock.pass(-time.Hour)
	w.refuses(old, KeyUnknown)
	w.accepts(w.idp.Sign("k2", nil, w.claims(nil)))
	if w.fetches() != 2 {
		t.Errorf("%d fetches", w.fetches())
	}
}

// A monotonic clock can stand still while a sandbox is frozen.
func TestAgeOfASetIsByTheWallClock(t *testing.T) {
	w := newWorld(t, nil)
	v := w.process(func(c *Config) { c.Now = time.Now })
	set, err := v.issuers[0].keys.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if set.fetched != set.fetched.Round(0) {
		t.Errorf("the set's time has a monotonic reading: %s", set.fetched)
	}
}
