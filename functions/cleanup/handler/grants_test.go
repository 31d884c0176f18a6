package handler

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/oauth"
)

// TestAProviderThatIsDown is asked again, less and less often, and nothing is
// lost meanwhile; then it is up.
func TestAProviderThatIsDown(t *testing.T) {
	w := newWorld(t)
	g := w.grant(1, "files")
	w.provider.fault = down
	id := w.revoke(broker.GrantMarker, person(1)+"/files")
	var pauses []time.Duration
	for range 9 {
		w.goOn()
		c := w.found(id)
		pauses = append(pauses, c.NextTry.Sub(w.time()))
		if u := c.Unreached; c.Work != broker.WorkOpen || len(u) != 1 || u[0].GivenUp || u[0].Fault != faultUnreached || !u[0].Until.Equal(g.Expires) || !c.Accepted.Equal(g.Expires) {
			t.Fatalf("%+v", c)
		}
		w.pass(pauses[len(pauses)-1])
	}
	m := time.Minute
	if d := cmp.Diff([]time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, time.Hour, time.Hour, time.Hour}, pauses); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]broker.FactKind{broker.RevocationIncomplete}, w.facts(id)); d != "" {
		t.Error(d)
	}
	w.provider.fault = nil
	c := w.finish(id)
	if len(c.Unreached) > 0 || c.Grants != (broker.Tally{Found: 1, Ended: 1}) || !c.Accepted.IsZero() || len(w.provider.honours()) > 1 {
		t.Errorf("%+v, honours %q", c, w.provider.honours()) // the access token has expired by itself
	}
}

func TestWhatAProviderSaysToARevocation(t *testing.T) {
	say := func(f oauth.Fault) func(string, string) error { return func(string, string) error { return &f } }
	refresh := func(f oauth.Fault) func(string, string) error {
		return func(_, hint string) error {
			if hint == oauth.RefreshToken {
				return &f
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		fault func(string, string) error
		want  broker.Tally
		next  time.Duration
		word  string
	}{
		"503 with a time to wait": {say(oauth.Fault{Kind: oauth.ErrTransient, Status: 503, RetryAfter: 10 * time.Minute}), broker.Tally{Found: 1}, 10 * time.Minute, faultUnreached},
		"429 for a day":           {say(oauth.Fault{Kind: oauth.ErrTransient, Status: 429, RetryAfter: 24 * time.Hour}), broker.Tally{Found: 1}, time.Hour, faultUnreached},
		"a lost answer":           {say(oauth.Fault{Kind: oauth.ErrOutcomeUnknown}), broker.Tally{Found: 1}, time.Minute, faultUnreached},
		"no to Bindery":           {say(oauth.Fault{Kind: oauth.ErrInvalidClient, Code: "invalid_client"}), broker.Tally{Found: 1}, time.Minute, faultUnreached},
		"something else":          {func(string, string) error { return errors.New("made up") }, broker.Tally{Found: 1}, time.Minute, faultUnreached},
		"unsupported_token_type":  {say(oauth.Fault{Kind: oauth.ErrRefused, Code: "unsupported_token_type"}), broker.Tally{Found: 1, GivenUp: 1}, time.Minute, "unsupported_token_type"},
		"not the refresh token":   {refresh(oauth.Fault{Kind: oauth.ErrRefused, Code: "unsupported_token_type"}), broker.Tally{Found: 1, GivenUp: 1}, time.Minute, "unsupported_token_type"},
		"it knows none of them":   {say(oauth.Fault{Kind: oauth.ErrRefused, Code: "invalid_token"}), broker.Tally{Found: 1, Ended: 1}, time.Minute, ""},
		"the grant is dead":       {say(oauth.Fault{Kind: oauth.ErrInvalidGrant}), broker.Tally{Found: 1, Ended: 1}, time.Minute, ""},
	} {
		w := newWorld(t)
		g := w.grant(1, "files")
		w.provider.fault = c.fault
		id := w.revoke(broker.GrantMarker, person(1)+"/files")
		w.goOn()
		got := w.found(id)
		var word string
		if len(got.Unreached) > 0 {
			word = got.Unreached[0].Fault
		}
		if got.Grants != c.want || word != c.word || got.NextTry.Sub(w.time()) != c.next {
			t.Errorf("%s: %+v, %q, next in %v", name, got.Grants, word, got.NextTry.Sub(w.time()))
		}
		view, err := w.tables.Grant(t.Context(), g.GrantKey)
		w.must(err)
		if ended := view.Grant.State == broker.Revoked && len(view.Grant.Sealed) == 0; ended != (c.want.Ended+c.want.GivenUp == 1) || !ended && view.Grant.Lease != "" {
			t.Errorf("%s: %+v", name, view.Grant)
		}
		w.clean()
	}
}

// TestWhatNobodyCanRevokeIsSaidToBe: without asking anybody, and the sealed text
// is gone all the same.
func TestWhatNobodyCanRevokeIsSaidToBe(t *testing.T) {
	for word, c := range map[string]func(w *world) broker.Grant{
		faultEndpoint: func(w *world) broker.Grant { w.provider.without = true; return w.grant(1, "files") },
		faultTyped: func(w *world) broker.Grant {
			return w.grant(1, "files", func(g *broker.Grant) { g.Provider, g.Authority = "", "" })
		},
		faultProvider: func(w *world) broker.Grant { return w.grant(1, "files", func(g *broker.Grant) { g.Provider = "gone" }) },
		faultParty: func(w *world) broker.Grant {
			return w.grant(1, "files", func(g *broker.Grant) { g.Authority = "https://evil.example" })
		},
	} {
		w := newWorld(t)
		g := c(w)
		got := w.finish(w.revoke(broker.PrincipalMarker, person(1)))
		want := []broker.Unreached{{What: "grant", ID: person(1) + "/files", Server: "files", Provider: g.Provider, Fault: word, Until: g.Expires, GivenUp: true}}
		if d := cmp.Diff(want, got.Unreached); d != "" || got.Grants != (broker.Tally{Found: 1, GivenUp: 1}) || !got.Accepted.Equal(g.Expires) || len(w.provider.revoked) > 0 {
			t.Errorf("%s: %s, %+v", word, d, got)
		}
		if view, err := w.tables.Grant(t.Context(), g.GrantKey); err != nil || len(view.Grant.Sealed) > 0 {
			t.Errorf("%s: %v, %+v", word, err, view.Grant)
		}
		if d := cmp.Diff([]broker.FactKind{broker.RevocationCompleted, broker.RevocationIncomplete}, w.facts(got.ID)); d != "" {
			t.Errorf("%s: %s", word, d)
		}
	}
}

// TestARefreshThatIsUnderWay is waited for, and what it brought is revoked; a
// spare that somebody left is, too.
func TestARefreshThatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	g := w.grant(1, "files")
	leased, err := w.tables.LeaseGrant(t.Context(), g, "somebody", w.time(), w.time().Add(30*time.Second))
	w.must(err)
	id := w.revoke(broker.PrincipalMarker, person(1))
	w.goOn()
	if c := w.found(id); len(w.provider.revoked) > 0 || c.Unreached[0].Fault != faultBusy || c.NextTry.Sub(w.time()) != time.Minute || len(w.facts(id)) > 0 {
		t.Fatalf("revoked %v, %+v", w.provider.revoked, c)
	}
	fresh, err := w.tables.StoreTokens(t.Context(), leased.Grant, w.tokens(g.GrantKey, "fresh"), w.time())
	w.must(err)
	w.must(w.tables.KeepSpare(t.Context(), fresh, w.tokens(g.GrantKey, "spare")))
	w.pass(time.Minute)
	if c := w.finish(id); c.Grants != (broker.Tally{Found: 1, Ended: 1}) {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{"access-fresh", "refresh-fresh", "access-spare", "refresh-spare"} {
		if w.provider.revoked[canary+"-"+name] != 1 {
			t.Errorf("%s was revoked %d times", name, w.provider.revoked[canary+"-"+name])
		}
	}
}

// TestATokenThatComesLate: somebody kept a spare between the lease and the end.
func TestATokenThatComesLate(t *testing.T) {
	w := newWorld(t)
	g := w.grant(1, "files")
	h := w.handler()
	r := h.begin(broker.Revocation{Environment: "prod", ID: w.receipt(), Kind: broker.GrantMarker, At: w.time()})
	one := &grant{GrantKey: g.GrantKey, seen: g}
	if e := one.end(t.Context(), r); !e.done {
		t.Fatalf("%+v", e)
	}
	w.must(w.tables.KeepSpare(t.Context(), one.seen, w.tokens(g.GrantKey, "late")))
	w.must(one.forget(t.Context(), r))
	if w.provider.revoked[canary+"-refresh-late"] != 1 || len(w.provider.honours()) > 0 {
		t.Errorf("revoked %v", w.provider.revoked)
	}
}

func TestAGrantThatIsDeadOrCools(t *testing.T) {
	for name, c := range map[string]struct {
		stand func(w *world, g broker.Grant)
		ended bool
	}{
		"dead": {func(w *world, g broker.Grant) {
			_, err := w.tables.KillGrant(t.Context(), g, w.time(), "invalid_grant",
				broker.Record{Schema: broker.RecordSchema, Receipt: "a-death", Phase: broker.Outcome, Nonce: "n", At: w.time()})
			w.must(err)
		}, true},
		"cools for long": {func(w *world, g broker.Grant) {
			w.must(w.tables.CoolGrant(t.Context(), g, w.time().Add(time.Hour), "503"))
		}, true},
		"cools not long": {func(w *world, g broker.Grant) {
			w.must(w.tables.CoolGrant(t.Context(), g, w.time().Add(time.Second), "503"))
		}, false},
		"cools no longer": {func(w *world, g broker.Grant) { w.must(w.tables.CoolGrant(t.Context(), g, w.time(), "503")) }, true},
	} {
		w := newWorld(t)
		leased, err := w.tables.LeaseGrant(t.Context(), w.grant(1, "files"), "somebody", w.time(), w.time().Add(30*time.Second))
		w.must(err)
		c.stand(w, leased.Grant)
		id := w.revoke(broker.PrincipalMarker, person(1))
		w.goOn()
		if ended := w.found(id).Grants.Ended == 1; ended != c.ended || ended == (len(w.provider.honours()) > 0) {
			t.Errorf("%s: ended %v, %q are honoured", name, ended, w.provider.honours())
		}
		if c := w.finish(id); c.Grants.Ended != 1 {
			t.Errorf("%s: %+v", name, c.Grants)
		}
	}
}
