//go:build e2e && !nonode

package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/config"
)

// desk is the admin API of a deployment, with its own address. bob and carol
// (group ops) administer it, alice does not.
type desk struct {
	*deployment
	at     string
	tokens map[string]string
}

// administered deploys an environment in which nothing is registered.
func administered(t *testing.T, changes ...func(*config.Config)) *desk {
	t.Helper()
	listener, err := stack.Listen(0)
	must(t, err)
	d := &desk{at: "http://" + listener.Addr().String() + "/admin/v1", tokens: map[string]string{}}
	d.deployment = deploy(t, func(p *plan) {
		p.bare, p.roles = true, map[string][]string{"super_admin": {"ops"}}
		p.issuers = []any{issuer(p.env, map[string]any{"admin_audiences": []string{adminAudience}})}
		p.config = func(c *config.Config) {
			c.Hosts = append(slices.Clone(c.Hosts), listener.Addr().String())
			for _, change := range changes {
				change(c)
			}
		}
	})
	through := *d.Deployment
	through.AWS = patient(stack.AWS(d.faults.URL), d.faults.Idle)
	through.AWS.Retryer = nil
	h, err := through.Admin(slog.New(slog.NewJSONHandler(&d.log, nil)))
	must(t, err)
	served := stack.Serve(listener, witness(h, &d.answers))
	t.Cleanup(served.Stop)
	for _, who := range []string{alice, bob, carol} {
		tokens, err := shared.oidc.UserToken(t.Context(), who, shell, adminAudience)
		must(t, err)
		d.tokens[who] = tokens.Access.Reveal()
	}
	return d
}

// ask makes one request at the admin API.
func (d *desk) ask(who, method, path, body string, header ...string) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.at+path, strings.NewReader(body))
	must(d.t, err)
	r.Header.Set("Authorization", "Bearer "+d.tokens[who])
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return d.send(r)
}

// made registers something new, as bob.
func (d *desk) made(path, body string) answer {
	d.t.Helper()
	a := d.ask(bob, "PUT", path, body, "If-None-Match", "*")
	a.want(d.t, 200, `"version":1`)
	return a
}

// changed replaces a version, as bob.
func (d *desk) changed(path, body string, version int) answer {
	d.t.Helper()
	a := d.ask(bob, "PUT", path, body, "If-Match", fmt.Sprintf(`"v%d"`, version))
	a.want(d.t, 200, fmt.Sprintf(`"version":%d`, version+1))
	return a
}

// typed enters a new canary as the value "notes", and gives it.
func (d *desk) typed() string {
	d.t.Helper()
	canary := d.canary()
	d.ask(bob, "PUT", "/values/notes", object("server", "notes", "value", canary)).want(d.t, 200, "sealed:notes")
	return canary
}

// body is a JSON object with some members replaced.
func body(members map[string]any, changes ...any) string {
	all := map[string]any{}
	for name, value := range members {
		all[name] = value
	}
	for i := 0; i+1 < len(changes); i += 2 {
		all[changes[i].(string)] = changes[i+1]
	}
	text, _ := json.Marshal(all)
	return string(text)
}

func serverAt(url string) map[string]any {
	return map[string]any{"owner": "dev", "url": url, "state": "active",
		"attach": []any{map[string]string{"in": "header", "name": "Authorization", "template": "Bearer {token}"}}}
}

// sealedCard binds group dev to the value "notes".
func sealedCard() map[string]any {
	return map[string]any{"actor": map[string]string{"group": "dev"}, "allow": map[string]any{"tools": []string{"*"}}, "mode": "service_account",
		"source": "static", "fields": []any{map[string]string{"name": "token", "reference": "sealed:notes"}}, "owner": "dev", "state": "active"}
}

// registered is an environment in which everything was registered at the API:
// store, agent, server, value and card.
func registered(t *testing.T, u *upstream, d *desk) (canary string) {
	t.Helper()
	d.made("/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`)
	d.made("/agents/"+shellAgent, `{"team":"platform","ceiling":"critical","state":"active"}`)
	d.made("/servers/notes", body(serverAt(u.URL)))
	canary = d.typed()
	d.made("/servers/notes/bindings/dev-notes", body(sealedCard()))
	return canary
}

// TestAnAdministratorBringsACallAboutAndEndsIt at the API alone: registered,
// used, suspended, resumed.
func TestAnAdministratorBringsACallAboutAndEndsIt(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	canary := registered(t, u, d)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	if got := u.last(t).Header.Get("Authorization"); got != "Bearer "+canary {
		t.Error("the upstream did not get the value that was entered")
	}
	const card = "/servers/notes/bindings/dev-notes"
	suspension := d.changed(card, body(sealedCard(), "state", "suspended"), 1)
	refusal := d.post(alice, "notes")
	refusal.want(t, 403, forbidden)
	d.refused(refusal, broker.BindingClosed)
	u.spared(t)
	d.changed(card, body(sealedCard()), 2)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")

	r := d.records(suspension)
	if len(r) != 2 || r[0].Phase != broker.Intent || r[0].Principal != broker.PrincipalID(shared.oidc.URL, bob) || r[0].Object != "binding/notes/dev-notes" ||
		!strings.Contains(r[0].Before, `"state":"active"`) || !strings.Contains(r[0].After, `"state":"suspended"`) || r[1].Status != 200 {
		t.Errorf("recorded %+v", r)
	}
}

// TestWhoMayNotAdministrate: somebody without a role, and tokens of the other door.
func TestWhoMayNotAdministrate(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	registered(t, u, d)
	a := d.ask(alice, "DELETE", "/servers/notes", "", "If-Match", `"v1"`)
	a.want(t, 403, "urn:bindery:problem:forbidden")
	d.refused(a, broker.NotPermitted)
	r, err := http.NewRequestWithContext(t.Context(), "GET", d.at+"/servers", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token(t, bob))
	d.send(r).want(t, 401, "urn:bindery:problem:invalid_token")
	d.post(alice, "notes", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+d.tokens[alice]) }).want(t, 401, badToken)
	u.untouched(t)
}

// TestAServerThatMovesTakesNoCredentialAlong: its cards wait for a new approval,
// and what was sealed for the old origin cannot be opened for the new one.
func TestAServerThatMovesTakesNoCredentialAlong(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u, other := d.upstream(echo()), d.upstream(echo())
	registered(t, u, d)
	d.changed("/servers/notes", body(serverAt(other.URL)), 1)

	const card = "/servers/notes/bindings/dev-notes"
	d.ask(bob, "GET", card, "").want(t, 200, `"pending":true`)
	refusal := d.post(alice, "notes")
	refusal.want(t, 403, forbidden)
	d.refused(refusal, broker.BindingPending)
	d.ask(bob, "PUT", card, body(sealedCard()), "If-Match", `"v1"`).want(t, 422, "urn:bindery:problem:reference_unresolved")
	u.untouched(t)
	other.untouched(t)

	canary := d.typed()
	d.changed(card, body(sealedCard()), 1)
	if a := d.ask(bob, "GET", card, ""); strings.Contains(a.body, "pending") {
		t.Errorf("the card still waits: %s", a.body)
	}
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	if got := other.last(t).Header.Get("Authorization"); got != "Bearer "+canary {
		t.Error("the new origin did not get the value that was entered for it")
	}
}

// TestTwoAdministratorsRaceForOneCard: each time one wins, the other is told, and
// what is stored is the winner's.
func TestTwoAdministratorsRaceForOneCard(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	registered(t, u, d)
	var lock sync.RWMutex // moto's transactions undo what is written beside them, DynamoDB's do not
	d.faults.Inject(faultproxy.Rule{Operations: []string{"TransactWriteItems"}, Times: -1, Effect: faultproxy.While(&lock)})
	d.faults.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.While(lock.RLocker())})
	const card = "/servers/notes/bindings/dev-notes"
	for version := 1; version <= 5; version++ {
		answers := map[string]answer{}
		var mu sync.Mutex
		var both sync.WaitGroup
		for priority, who := range []string{bob, carol} {
			both.Go(func() {
				a := d.ask(who, "PUT", card, body(sealedCard(), "priority", priority+1), "If-Match", fmt.Sprintf(`"v%d"`, version))
				mu.Lock()
				answers[who] = a
				mu.Unlock()
			})
		}
		both.Wait()
		winner, loser, priority := bob, carol, 1
		if answers[carol].status == 200 {
			winner, loser, priority = carol, bob, 2
		}
		answers[winner].want(t, 200, "")
		answers[loser].want(t, 412, "urn:bindery:problem:version_conflict")
		d.ask(bob, "GET", card, "").want(t, 200, fmt.Sprintf(`"priority":%d`, priority))
		if r := d.records(answers[loser]); len(r) != 2 || r[1].Reason != broker.ChangeLost {
			t.Errorf("the loser's records are %+v", r)
		}
	}
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
}
