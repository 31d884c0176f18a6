package handler

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
)

// TestARefusedTokenIsRefreshedOnceAndTheCallRepeated, without a word to the
// caller, and both versions are in the record.
func TestARefusedTokenIsRefreshedOnceAndTheCallRepeated(t *testing.T) {
	u := &personal{status: http.StatusUnauthorized, bad: []string{canary + "-alice"}}
	c := newConsenting(t, u)
	c.consent(t, "alice", canary+"-alice")
	w := c.send("alice", modernCall(canURL, "tools/call", ""))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "4711") || c.provider.n != 1 {
		t.Fatalf("answered %d %s after %d refreshes", w.Code, w.Body, c.provider.n)
	}
	if len(u.bodies) != 2 || u.bodies[0] != u.bodies[1] || u.tokens[1] == u.tokens[0] {
		t.Errorf("the upstream got %q", u.bodies)
	}
	if r := c.reason(t, w); r.Reason != "" || len(r.Accesses) != 2 || r.Accesses[0].Version == r.Accesses[1].Version {
		t.Errorf("recorded %s %+v", r.Reason, r.Accesses)
	}
	c.secretive(t, w)
}

// TestTheRefusedTokenIsMaskedInTheAnswerToTheOther.
func TestTheRefusedTokenIsMaskedInTheAnswerToTheOther(t *testing.T) {
	first := true
	c := newConsenting(t, transport(func(r *http.Request) (*http.Response, error) {
		if first {
			first = false
			return status(http.StatusUnauthorized, "application/json", `{}`)(r)
		}
		return respond(http.StatusOK, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"was":"`+canary+`-alice"}}`)(r)
	}))
	c.consent(t, "alice", canary+"-alice")
	if w := c.send("alice", modernCall(canURL, "tools/call", "")); strings.Contains(w.Body.String(), canary) || !strings.Contains(w.Body.String(), "[masked:own-files]") {
		t.Error(w.Body)
	}
}

// TestWhomTheUpstreamStillRefusesIsAskedOnce: a new consent is waited for, though
// the old one is still there; who is refused after it is not asked for ever.
func TestWhomTheUpstreamStillRefusesIsAskedOnce(t *testing.T) {
	for name, k := range map[string]struct {
		status int
		bad    []string
	}{
		"401":                {http.StatusUnauthorized, []string{canary + "-alice", canary + "-refreshed-1", canary + "-refreshed-2"}},
		"insufficient scope": {http.StatusForbidden, []string{canary + "-alice"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := &personal{status: k.status, bad: k.bad}
			c := newConsenting(t, u)
			synctest.Test(t, func(t *testing.T) {
				c.consent(t, "alice", canary+"-alice")
				w := c.send("alice", modernCall(canURL, "tools/call", ""))
				first := link(t, w)
				if r := c.reason(t, w); r.Reason != broker.ConsentRequired || r.Upstream != k.status || r.Status != http.StatusOK {
					t.Errorf("recorded %s %d %d", r.Reason, r.Upstream, r.Status)
				}
				if w = c.send("alice", modernCall(canURL, "tools/call", reply(state(t, w), "accept"))); link(t, w) != first {
					t.Error("another link though nobody has consented")
				}
				st := state(t, w)
				go func() {
					time.Sleep(2 * time.Second)
					c.consent(t, "alice", canary+"-anew")
				}()
				if w = c.send("alice", modernCall(canURL, "tools/call", reply(st, "accept"))); !strings.Contains(w.Body.String(), "4711") {
					t.Errorf("after the new consent: %s", w.Body)
				}
				u.bad = append(u.bad, canary+"-anew", canary+"-refreshed-3", canary+"-refreshed-4")
				if w = c.send("alice", modernCall(canURL, "tools/call", reply(st, "accept"))); w.Header().Get(errorHeader) != upstreamAuth.Name || linkPattern.MatchString(w.Body.String()) {
					t.Errorf("still refused: %d %s", w.Code, w.Body)
				}
				c.secretive(t, w)
			})
		})
	}
}

// TestAPlainRefusalOfTheUpstreamIsNoQuestion.
func TestAPlainRefusalOfTheUpstreamIsNoQuestion(t *testing.T) {
	c := newConsenting(t, respond(http.StatusForbidden, "text/html", "no"))
	c.consent(t, "alice", canary+"-alice")
	if w := c.send("alice", modernCall(canURL, "tools/call", "")); w.Header().Get(errorHeader) != upstreamDenied.Name || c.provider.n != 0 {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

// TestADeadRefreshTokenLeadsToAQuestion, and a provider in trouble to none that
// blames the person.
func TestADeadRefreshTokenLeadsToAQuestion(t *testing.T) {
	u := &personal{status: http.StatusUnauthorized, bad: []string{canary + "-alice"}}
	c := newConsenting(t, u)
	c.provider.fault = &credential.TokenFault{Kind: credential.InvalidGrant}
	c.consent(t, "alice", canary+"-alice")
	w := c.send("alice", modernCall(canURL, "tools/call", ""))
	if link(t, w); u.calls() != 1 {
		t.Errorf("%d calls", u.calls())
	}
	if w := c.send("alice", modernCall(canURL, "tools/call", "")); link(t, w) == "" || c.reason(t, w).Reason != broker.GrantDead || u.calls() != 1 {
		t.Errorf("next: recorded %s after %d calls", c.reason(t, w).Reason, u.calls())
	}
}

// TestASecretThatWasRotatedIsReadOnceMore: only a new version is tried.
func TestASecretThatWasRotatedIsReadOnceMore(t *testing.T) {
	for name, rotate := range map[string]bool{"rotated": true, "the same": false} {
		t.Run(name, func(t *testing.T) {
			var f *fixture
			calls := 0
			f = newFixture(t, transport(func(r *http.Request) (*http.Response, error) {
				calls++
				if calls > 1 {
					return respond(http.StatusOK, "application/json", `{"jsonrpc":"2.0","id":7,"result":{"was":"`+canary+`"}}`)(r)
				}
				if rotate {
					f.vault.values["token"], f.vault.version = canary+"-rotated", "v2"
				}
				return status(http.StatusUnauthorized, "application/json", `{}`)(r)
			}), true)
			w, records := f.do(t, callBody)
			want, most := http.StatusOK, 2
			if !rotate {
				want, most = http.StatusBadGateway, 1
			}
			if w.Code != want || calls != most {
				t.Errorf("answered %d %s after %d calls", w.Code, w.Body, calls)
			}
			if got := outcome(t, records); len(got.Accesses) != 2 || rotate != (got.Reason == "") {
				t.Errorf("recorded %s, %d accesses", got.Reason, len(got.Accesses))
			}
			f.clean(t, w)
		})
	}
}

// TestWhoIsRevokedBetweenTwoTriesGetsNoSecond.
func TestWhoIsRevokedBetweenTwoTriesGetsNoSecond(t *testing.T) {
	var c *consenting
	calls := 0
	c = newConsenting(t, transport(func(r *http.Request) (*http.Response, error) {
		calls++
		time.Sleep(broker.DecisionLife + time.Second)
		err := c.tables.PutMarker(context.Background(), broker.Marker{Environment: "prod", Kind: broker.PrincipalMarker, ID: "p-alice", Revoked: true, Epoch: 1, At: time.Now().UTC(), By: "p-admin"})
		if err != nil {
			return nil, err
		}
		return status(http.StatusUnauthorized, "application/json", `{}`)(r)
	}))
	synctest.Test(t, func(t *testing.T) {
		c.consent(t, "alice", canary+"-alice")
		w := c.send("alice", modernCall(canURL, "tools/call", ""))
		if calls != 1 || w.Code != http.StatusForbidden || c.reason(t, w).Reason != broker.PrincipalRevoked {
			t.Errorf("%d calls, answered %d %s", calls, w.Code, w.Body)
		}
	})
}
