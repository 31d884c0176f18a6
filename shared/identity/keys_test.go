package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"
)

func (w *world) unavailable(v *Verifier, token string) {
	w.Helper()
	p, err := ask(v, token)
	if !errors.Is(err, ErrIssuerUnavailable) || errors.Is(err, ErrInvalidToken) || p.ID != "" {
		w.Errorf("got %q, %v; want ErrIssuerUnavailable", p.ID, err)
	}
}

func (w *world) fetches() int { return w.idp.Asked(idp.JWKSPath) }

func TestFloodOfUnknownKeyIDsCostsOneFetchAndOneClaim(t *testing.T) {
	w := newWorld(t, nil)
	w.accepts(w.token(nil))
	w.clock.pass(fetchInterval)
	loads, claims, fetches := w.rows.loads, w.rows.claims, w.fetches()
	var all sync.WaitGroup
	for n := range 1000 {
		all.Go(func() {
			token := w.idp.Sign("k1", map[string]any{"kid": fmt.Sprint("unknown-", n)}, w.claims(nil))
			if _, err := ask(w.Verifier, token); ReasonOf(err) != KeyUnknown {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	for n := range 100 { // and one after the other
		w.refuses(w.idp.Sign("k1", map[string]any{"kid": fmt.Sprint("again-", n)}, w.claims(nil)), KeyUnknown)
	}
	if n := w.fetches() - fetches; n != 1 {
		t.Errorf("%d fetches from the issuer, want 1", n)
	}
	if n := w.rows.claims - claims; n != 1 {
		t.Errorf("%d claims, want 1", n)
	}
	if n := w.rows.loads - loads; n > 2 {
		t.Errorf("%d reads of the shared set, want at most 2", n)
	}
}

func TestFloodOverManyProcessesIsBoundedOverAllOfThem(t *testing.T) {
	w := newWorld(t, nil)
	processes := make([]*Verifier, 8)
	for n := range processes {
		processes[n] = w.process(nil)
	}
	start := w.clock.now()
	for w.clock.now().Sub(start) < 3*fetchInterval {
		for n, v := range processes {
			_, err := ask(v, w.idp.Sign("k1", map[string]any{"kid": fmt.Sprint("unknown-", n)}, w.claims(nil)))
			if !errors.Is(err, ErrInvalidToken) {
				t.Fatal(err)
			}
		}
		w.clock.pass(time.Second)
	}
	if got := w.fetches(); got > 4 {
		t.Errorf("%d fetches in three intervals over eight processes, want at most 4", got)
	}
	if got := w.rows.granted; got > 4 {
		t.Errorf("%d claims granted, want at most 4", got)
	}
}

func TestBadTokenCostsTheIssuerNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.refuses(w.token(map[string]any{"aud": "x"}), AudienceWrong)
	w.refuses(w.token(map[string]any{"exp": 1}), TokenExpired)
	w.refuses(w.token(map[string]any{"iss": "https://evil.example"}), IssuerUnknown)
	if w.fetches() != 0 || w.rows.loads != 0 {
		t.Errorf("%d fetches, %d reads", w.fetches(), w.rows.loads)
	}
}

func TestKeyRotationAtTheIssuer(t *testing.T) {
	w := newWorld(t, nil)
	old := w.token(nil)
	w.accepts(old)
	w.clock.pass(fetchInterval)
	w.idp.Add("k2", "ES256")
	w.idp.Remove("k1")
	w.accepts(w.idp.Sign("k2", nil, w.claims(nil))) // the next call
	w.refuses(old, KeyUnknown)                      // also out of the cache
}

func TestRemovedKeyStopsWithoutANewOne(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Add("k2", "ES256")
	old := w.token(map[string]any{"exp": w.clock.now().Unix() + 7200})
	w.accepts(old)
	w.idp.Remove("k1")
	w.clock.pass(2*refreshAfter + time.Second)
	w.refuses(old, KeyUnknown)
}

func TestRefreshDoesNotHoldUpACall(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token(map[string]any{"exp": w.clock.now().Unix() + 7200})
	w.accepts(token)
	release := make(chan struct{})
	w.idp.OnJWKS(func(rw http.ResponseWriter, _ *http.Request) { <-release; idp.WriteJSON(rw, w.idp.JWKS()) })
	w.clock.pass(refreshAfter + time.Second)
	w.accepts(token) // returns although the issuer does not answer
	close(release)
	k := w.issuers[0].keys
	k.wait(context.Background(), k.renew(context.Background(), ""))
	if set, _ := k.state(); k.age(set) > time.Second {
		t.Errorf("the set was not renewed beside the call: %s old", k.age(set))
	}
}

func TestOutageKeepsTheLastGoodSetForABoundedTime(t *testing.T) {
	w := newWorld(t, map[string]any{"keys_max_age": "2h"})
	claims := map[string]any{"exp": w.clock.now().Unix() + 86400}
	token := w.token(claims)
	w.accepts(token)
	w.idp.Down()
	for range 11 {
		w.clock.pass(10 * time.Minute)
		w.accepts(token)
	}
	w.unavailable(w.Verifier, w.idp.Sign("k1", map[string]any{"kid": "new"}, w.claims(claims))) // it may be good
	w.clock.pass(11 * time.Minute)
	w.unavailable(w.Verifier, token)
	w.idp.Up()
	w.clock.pass(fetchInterval)
	w.accepts(token)
}

func TestOutageIsNotAskedAboutByEveryCall(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Down()
	for range 100 {
		w.unavailable(w.Verifier, w.token(nil))
	}
	if n := w.idp.Asked(idp.DiscoveryPath); n != 1 {
		t.Errorf("%d requests to an issuer that is down, want 1", n)
	}
}

func TestCallerThatLeavesDoesNotEndTheFetch(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.idp.OnJWKS(func(rw http.ResponseWriter, _ *http.Request) { <-release; idp.WriteJSON(rw, w.idp.JWKS()) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	token := w.token(nil)
	if _, err := w.Verify(ctx, request("Bearer "+token), github); !errors.Is(err, ErrIssuerUnavailable) {
		t.Errorf("%v", err)
	}
	close(release)
	w.accepts(token)
	if w.fetches() != 1 {
		t.Errorf("%d fetches", w.fetches())
	}
}

func TestTwoIssuersWithTheSameKeyIDDoNotMix(t *testing.T) {
	w := newWorld(t, nil)
	other := idp.New(t)
	w.doc = document(t, entry(w.idp, nil), entry(other, map[string]any{"name": "other"}))
	w.Verifier = w.process(nil)
	w.accepts(w.token(nil))
	p := w.accepts(other.Sign("k1", nil, w.claims(map[string]any{"iss": other.Issuer()})))
	if p.ID == w.doc.Issuers[0].PrincipalID("alice") || p.Agent != "other:cli" {
		t.Errorf("the same subject of two issuers is one principal: %+v", p)
	}
	w.refuses(other.Sign("k1", nil, w.claims(nil)), SignatureWrong)
	w.refuses(w.token(map[string]any{"iss": other.Issuer()}), SignatureWrong)
}

func TestTokenWithoutKeyID(t *testing.T) {
	w := newWorld(t, nil)
	without := func() string { return w.idp.Sign("k1", map[string]any{"kid": nil}, w.claims(nil)) }
	w.accepts(without())
	w.idp.Add("k2", "ES256")
	w.Verifier, w.rows = w.process(func(c *Config) { c.KeySets = newRows() }), nil
	w.refuses(without(), KeyUnknown)
	for _, kid := range []any{"", 1, []string{"k1"}, "a\x00b"} {
		w.refuses(w.idp.Sign("k1", map[string]any{"kid": kid}, w.claims(nil)), TokenMalformed)
	}
}
