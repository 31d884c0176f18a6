//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

// always is a rule for every request of an operation whose body holds a text.
func always(operation, text string, effect faultproxy.Effect) faultproxy.Rule {
	return faultproxy.Rule{Operations: []string{operation}, Times: -1, Effect: effect,
		Match: func(body []byte) bool { return bytes.Contains(body, []byte(text)) }}
}

// once is the same for the first such request alone.
func once(operation, text string, effect faultproxy.Effect) faultproxy.Rule {
	r := always(operation, text, effect)
	r.Times = 1
	return r
}

// warmed is a deployment with one call behind it, so that a fault meets the
// call and not the issuer's keys.
func warmed(t *testing.T) (*deployment, *upstream) {
	t.Helper()
	d := deploy(t)
	u := d.upstream(echo())
	d.simple(u)
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	return d, u
}

// spared requires that only the first request reached the upstream.
func (u *upstream) spared(t *testing.T) {
	t.Helper()
	if n := len(u.arrivals()); n != 1 {
		t.Errorf("the upstream got %d requests, want the first alone", n)
	}
}

// TestADecisionThatCannotBeReadIsARefusal: no read of it may be missing, and no
// secret is touched before it is whole.
func TestADecisionThatCannotBeReadIsARefusal(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	secrets := d.faults.Count("GetSecretValue")
	server := fmt.Sprintf(`"server/%s/notes"`, d.env)
	for name, rule := range map[string]faultproxy.Rule{
		"the environment is throttled":    always("Query", `"env/`, faultproxy.Throttle()),
		"the server is throttled":         always("Query", server, faultproxy.Throttle()),
		"the own bindings are throttled":  always("Query", `"personal/`, faultproxy.Throttle()),
		"agent and markers are throttled": always("BatchGetItem", "", faultproxy.Throttle()),
		"keys stay unprocessed":           always("BatchGetItem", "", faultproxy.Unprocessed(0)),
		"the answer is no JSON":           always("Query", server, faultproxy.Garble()),
		"the answers are lost":            always("Query", server, faultproxy.DropAnswer()),
		"the endpoint breaks down":        always("Query", server, faultproxy.ServerError()),
		"the role may not read":           always("Query", server, faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")),
		"the table is missing":            always("BatchGetItem", "", faultproxy.Fail(http.StatusBadRequest, "ResourceNotFoundException")),
		"the endpoint hangs":              always("Query", server, faultproxy.Delay(4*time.Second)),
	} {
		d.faults.Clear()
		d.faults.Inject(rule)
		a := d.post(alice, "notes")
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, undecided) || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
		d.refused(a, broker.CatalogueUnread)
	}
	u.spared(t)
	if n := d.faults.Count("GetSecretValue"); n != secrets {
		t.Errorf("%d secrets were read", n-secrets)
	}
	d.faults.Clear()
	for _, rule := range []faultproxy.Rule{once("Query", server, faultproxy.Throttle()), always("BatchGetItem", "", faultproxy.Unprocessed(1)),
		once("Query", `"env/`, faultproxy.Reset()), {Operations: []string{"Query"}, Times: -1, Effect: faultproxy.CutPage(1)}} {
		d.faults.Inject(rule)
		d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]") // what passes is got over
	}
}

// TestACredentialThatCannotBeObtainedEndsTheCall, with an intent, an outcome
// that says why, and nothing at the upstream.
func TestACredentialThatCannotBeObtainedEndsTheCall(t *testing.T) {
	t.Parallel()
	fail := func(code string) faultproxy.Effect { return faultproxy.Fail(http.StatusBadRequest, code) }
	for name, c := range map[string]struct {
		operation string
		effect    faultproxy.Effect
		status    int
		code      string
		reason    broker.Reason
	}{
		"the secret is missing":       {"GetSecretValue", fail("ResourceNotFoundException"), 502, credentialFailed, broker.SecretMissing},
		"Secrets Manager denies":      {"GetSecretValue", fail("AccessDeniedException"), 502, credentialFailed, broker.StoreDenied},
		"its key refuses":             {"GetSecretValue", fail("DecryptionFailure"), 502, credentialFailed, broker.KeyUnavailable},
		"Secrets Manager throttles":   {"GetSecretValue", fail("ThrottlingException"), 503, noCredential, broker.StoreUnavailable},
		"Secrets Manager is too slow": {"GetSecretValue", faultproxy.Delay(4 * time.Second), 503, noCredential, broker.StoreUnavailable},
		"KMS denies":                  {"Decrypt", fail("AccessDeniedException"), 502, credentialFailed, broker.KeyUnavailable},
		"the KMS key is disabled":     {"Decrypt", fail("DisabledException"), 502, credentialFailed, broker.KeyUnavailable},
		"KMS throttles":               {"Decrypt", fail("ThrottlingException"), 503, noCredential, broker.StoreUnavailable},
		"the sealed row is unread":    {"GetItem", fail("AccessDeniedException"), 503, noCredential, broker.StoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, u := warmed(t)
			server, s := "notes", d.upstream(echo())
			if c.operation != "GetSecretValue" {
				server = "sealed"
				d.server(server, s.URL)
				d.sealFor(s, "token")
				d.bind(d.card(server, "card", group("dev"), "sealed:token"))
			}
			d.faults.Inject(always(c.operation, "", c.effect))
			a := d.post(alice, server)
			a.want(t, c.status, c.code)
			if r := d.ended(a, c.reason); r.Upstream != 0 || len(r.Accesses) != 0 {
				t.Errorf("record %+v", r)
			}
			u.spared(t)
			s.untouched(t)
			d.faults.Clear()
			d.post(alice, server).want(t, http.StatusOK, "[masked:") // nothing of the fault stays
		})
	}
}

const (
	intentPut  = `"phase":{"S":"intent"}`
	outcomePut = `"phase":{"S":"outcome"}`
)

// TestWithoutAStoredIntentNothingIsReleased.
func TestWithoutAStoredIntentNothingIsReleased(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	for name, c := range map[string]struct {
		effect  faultproxy.Effect
		applied bool // as nobody could know
	}{
		"refused":        {faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException"), false},
		"throttled":      {faultproxy.Throttle(), false},
		"never answered": {faultproxy.DropAnswer(), true},
		"answered oddly": {faultproxy.Garble(), true},
	} {
		d.faults.Clear()
		d.faults.Inject(always("PutItem", intentPut, c.effect))
		a := d.post(alice, "notes")
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, unrecorded) {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
		records := d.records(a)
		if end := records[len(records)-1]; end.Phase != broker.Outcome || end.Reason != broker.IntentUnrecordable || (len(records) == 2) != c.applied {
			t.Errorf("%s: records %+v", name, records)
		}
	}
	u.spared(t)
}

// stored reads the records of a call at once, without waiting for a final one.
func (d *deployment) stored(a answer) []broker.Record {
	d.t.Helper()
	records, err := d.DB.Receipt(d.t.Context(), a.receipt)
	must(d.t, err)
	return records
}

// TestAnIntentWhoseAnswerWasLostIsStoredOnce, and the call goes on.
func TestAnIntentWhoseAnswerWasLostIsStoredOnce(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	for lost := 1; lost <= 2; lost++ {
		rule := always("PutItem", intentPut, faultproxy.DropAnswer())
		rule.Times = lost
		left := d.faults.Inject(rule)
		d.faults.Inject(once("PutItem", outcomePut, faultproxy.DropAnswer()))
		a := d.post(alice, "notes")
		a.want(t, http.StatusOK, "[masked:dev-notes]")
		d.ended(a, "") // exactly one intent and one outcome
		if left() != 0 || u.last(t).Header.Get("Bindery-Receipt") != a.receipt {
			t.Errorf("%d answers were not lost", left())
		}
	}
}

// TestAnOutcomeThatCannotBeStoredIsAFinding: the answer is delivered, and the
// intent without an outcome tells.
func TestAnOutcomeThatCannotBeStoredIsAFinding(t *testing.T) {
	t.Parallel()
	d, _ := warmed(t)
	d.faults.Inject(always("PutItem", outcomePut, faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")))
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	d.served.Stop() // the invocation has ended
	if records := d.stored(a); len(records) != 1 || records[0].Phase != broker.Intent {
		t.Errorf("records %+v", records)
	}
	if log := d.log.String(); !strings.Contains(log, "outcome not recorded") || !strings.Contains(log, a.receipt) {
		t.Error("the log does not say that the outcome was not recorded")
	}
}

// TestTheUpstreamWaitsForTheStoredIntent: the credential is there long before.
func TestTheUpstreamWaitsForTheStoredIntent(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	early := -1
	d.faults.Inject(once("PutItem", intentPut, faultproxy.Gate(func() {
		time.Sleep(300 * time.Millisecond)
		early = len(u.arrivals())
	})))
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	if early != 1 || len(u.arrivals()) != 2 {
		t.Errorf("%d requests had reached the upstream before the intent was stored", early-1)
	}
}

// TestASlowStoreIsDecidedAgain before anything is released: a decision is void
// after its life.
func TestASlowStoreIsDecidedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*deployment)
		status    int
		text      string
		reason    broker.Reason
	}{
		"nothing changed":       {func(*deployment) {}, 200, "[masked:dev-notes]", ""},
		"the person is revoked": {func(d *deployment) { d.revoke(broker.PrincipalMarker, person(alice).Principal) }, 403, forbidden, broker.PrincipalRevoked},
		"another card is nearer": {func(d *deployment) {
			_, reference := d.secret("own")
			d.bind(d.card("notes", "alice-own", person(alice), reference))
		}, 503, undecided, broker.DecisionOutdated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, u := warmed(t)
			queries := d.faults.Count("Query")
			d.faults.Inject(once("GetSecretValue", "AWSCURRENT", faultproxy.Gate(func() {
				began := time.Now()
				c.meanwhile(d)
				time.Sleep(broker.DecisionLife + 100*time.Millisecond - time.Since(began))
			})))
			a := d.post(alice, "notes")
			a.want(t, c.status, c.text)
			d.ended(a, c.reason)
			// A busy machine can make the second one late too, never part of one.
			if n := d.faults.Count("Query") - queries; n < 10 || n%5 != 0 {
				t.Errorf("%d queries, want those of at least two whole decisions", n)
			}
			if c.status != http.StatusOK {
				u.spared(t)
			}
		})
	}
}
