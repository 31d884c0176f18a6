//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

const verifyNotes = "/servers/notes/bindings/dev-notes/verify"

// verification is what a test reads of an answer.
type verification struct {
	Works  bool
	Cause  string
	Stage  string
	Status int `json:"upstream_status"`
	Era    string
	Tools  int
}

func (d *desk) verified(path string) (answer, verification) {
	d.t.Helper()
	a := d.ask(bob, "POST", path, "")
	a.want(d.t, 200, `"works":`)
	var v verification
	must(d.t, json.Unmarshal([]byte(a.body), &v))
	return a, v
}

// TestVerifyOnTheOfficialServers of either era: the credential arrives, the
// tools are counted, and a session that was begun is ended.
func TestVerifyOnTheOfficialServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ at, era, last string }{
		"current": {shared.stateless.URL, "2026-07-28", "POST"},
		"legacy":  {shared.everything.URL, "2025-11-25", "DELETE"},
	} {
		t.Run(name, func(t *testing.T) {
			d := administered(t)
			u := d.official(c.at)
			canary := registered(t, u, d)
			a, v := d.verified(verifyNotes)
			if !v.Works || v.Cause != "propagation_off" || v.Era != c.era || v.Tools == 0 || v.Stage != "list_tools" {
				t.Errorf("answered %s", a.body)
			}
			all := u.arrivals()
			for _, got := range all {
				if got.Header.Get("Authorization") != "Bearer "+canary {
					t.Errorf("a %s came without the credential", got.Method)
				}
			}
			if got := all[len(all)-1]; got.Method != c.last {
				t.Errorf("the last request was %s", got.Method)
			}
			if r := d.records(a); len(r) != 2 || r[0].Phase != broker.Intent || r[0].Binding != "dev-notes" || r[1].Upstream != 200 || len(r[1].Accesses) != 1 {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

// TestVerifyTellsTheUpstreamWhoAsks: the administrator, verified.
func TestVerifyTellsTheUpstreamWhoAsks(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.official(shared.stateless.URL)
	registered(t, u, d)
	d.changed("/servers/notes", body(serverAt(u.URL), "propagate", []any{map[string]string{"attribute": "principal", "header": "X-User"}}), 1)
	if a, v := d.verified(verifyNotes); !v.Works || v.Cause != "" {
		t.Errorf("answered %s", a.body)
	}
	if got := u.last(t).Header.Get("X-User"); got != broker.PrincipalID(shared.oidc.URL, bob) {
		t.Errorf("the upstream was told of %q", got)
	}
}

// TestVerifyNamesEachCause on real parts: the endpoint of AWS behind a proxy that
// denies, upstreams on sockets.
func TestVerifyNamesEachCause(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	fault := func(operation, code string) func(*desk) {
		return func(d *desk) {
			d.faults.Inject(faultproxy.Rule{Operations: []string{operation}, Times: -1, Effect: faultproxy.Fail(400, code)})
		}
	}
	moved := func(url string) func(*desk) {
		return func(d *desk) {
			d.changed("/servers/notes", body(serverAt(url)), 1)
			d.typed()
			d.changed("/servers/notes/bindings/dev-notes", body(sealedCard()), 1)
		}
	}
	for name, c := range map[string]struct {
		given    func(*desk)
		upstream http.HandlerFunc
		cause    string
		reason   broker.Reason
	}{
		"the card no longer fits its server": {func(d *desk) {
			d.changed("/servers/notes", body(serverAt(d.upstreams[0].URL), "attach", []any{map[string]string{"in": "basic", "template": "{user}:{token}"}}), 1)
		}, echo(), "syntax", broker.FieldsIncomplete},
		"the store is suspended": {func(d *desk) { d.changed("/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"suspended"}`, 1) }, echo(),
			"store", broker.StoreUnregistered},
		"Secrets Manager denies": {func(d *desk) {
			_, reference := d.secret("notes")
			d.made("/stores/aws-sm", `{"kind":"aws-sm","paths":["`+d.env+`/*"],"state":"active"}`)
			d.changed("/servers/notes/bindings/dev-notes", body(sealedCard(), "fields", []any{map[string]string{"name": "token", "reference": reference}}), 1)
			fault("GetSecretValue", "AccessDeniedException")(d)
		}, echo(), "denied", broker.StoreDenied},
		"the key is disabled":                {fault("Decrypt", "DisabledException"), echo(), "key", broker.KeyUnavailable},
		"nobody is there":                    {moved(gone.URL), echo(), "upstream", broker.UpstreamUnreached},
		"it speaks no MCP and says too much": {func(*desk) {}, echo(), "upstream", broker.UpstreamMalformed},
		"it fails":                           {func(*desk) {}, parrot(503), "upstream", broker.UpstreamFailed},
		"it refuses the credential":          {func(*desk) {}, parrot(401), "refused", broker.UpstreamAuth},
	} {
		t.Run(name, func(t *testing.T) {
			d := administered(t)
			registered(t, d.upstream(c.upstream), d)
			c.given(d)
			a, v := d.verified(verifyNotes)
			if v.Works || v.Cause != c.cause {
				t.Errorf("answered %s", a.body)
			}
			if r := d.records(a); len(r) != 2 || r[1].Reason != c.reason {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

// parrot answers with a status and the credential wherever it can.
func parrot(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", key)
		w.Header().Set("Mcp-Session-Id", key)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(object("error", key)))
	}
}

// TestVerifyTellsOfPassThrough: the upstream asks for a token, and the server
// attaches none.
func TestVerifyTellsOfPassThrough(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(parrot(401))
	d.made("/servers/notes", body(serverAt(u.URL), "attach", []any{}))
	d.made("/servers/notes/bindings/dev-notes", body(sealedCard(), "fields", []any{}))
	if a, v := d.verified(verifyNotes); v.Works || v.Cause != "pass_through_off" || v.Status != 401 {
		t.Errorf("answered %s", a.body)
	}
	if got := u.last(t).Header.Get("Authorization"); got != "" {
		t.Errorf("something was attached, or passed through: %d bytes", len(got))
	}
}

// TestAStoreIsCheckedListedAndSynced through the API, on real parts.
func TestAStoreIsCheckedListedAndSynced(t *testing.T) {
	t.Parallel()
	d := administered(t)
	d.rights.Off() // a check looks for rights that are too wide, and is to find some
	u := d.upstream(echo())
	registered(t, u, d)
	d.ask(bob, "POST", "/stores/sealed/check", "").want(t, 200, `"connected":true`)
	d.ask(bob, "GET", "/stores/sealed/references", "").want(t, 200, `{"reference":"sealed:notes","bindings":[{"server":"notes","binding":"dev-notes"}]}`)
	a := d.ask(bob, "POST", "/stores/sealed/sync", "")
	a.want(t, 200, `{"reference":"sealed:notes","result":"ok"`)
	if r := d.records(a); len(r) != 2 || len(r[1].Accesses) != 1 || r[1].Accesses[0].Version != "1" {
		t.Errorf("recorded %+v", r)
	}

	_, reference := d.secret("github")
	d.secret("unused")
	d.made("/stores/aws-sm", `{"kind":"aws-sm","paths":["`+d.env+`/*"],"state":"active"}`)
	d.made("/servers/notes/bindings/more", body(sealedCard(), "fields", []any{map[string]string{"name": "token", "reference": reference}}))
	names := d.ask(bob, "GET", "/stores/aws-sm/references", "")
	names.want(t, 200, `"listable":true`)
	names.want(t, 200, d.env+`/unused","bindings":[]`)
	d.ask(bob, "POST", "/stores/aws-sm/check", "").want(t, 200, `"word":"reads_more"`) // nothing bounds moto

	inside := func(body []byte) bool { return bytes.Contains(body, []byte(d.env+"/")) }
	d.faults.Inject(faultproxy.Rule{Operations: []string{"ListSecrets"}, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
	d.faults.Inject(faultproxy.Rule{Operations: []string{"GetSecretValue"}, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException"),
		Match: func(body []byte) bool { return !inside(body) }})
	bounded := d.ask(bob, "POST", "/stores/aws-sm/check", "")
	bounded.want(t, 200, `"connected":true`)
	if strings.Contains(bounded.body, `"word"`) {
		t.Errorf("it warns of nothing: %s", bounded.body)
	}
	unlisted := d.ask(bob, "GET", "/stores/aws-sm/references", "")
	unlisted.want(t, 200, `"listable":false`)
	if strings.Contains(unlisted.body, "unused") || !strings.Contains(unlisted.body, d.env+"/github") {
		t.Errorf("answered %s", unlisted.body)
	}
	d.faults.Inject(faultproxy.Rule{Operations: []string{"GetSecretValue"}, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException"), Match: inside})
	d.ask(bob, "POST", "/stores/aws-sm/check", "").want(t, 200, `"cause":"denied"`)
	a = d.ask(bob, "POST", "/stores/aws-sm/sync", "")
	a.want(t, 200, `"result":"denied"`)
	if r := d.records(a); len(r) != 2 || r[1].Reason != broker.StoreDenied || slices.ContainsFunc(r, func(r broker.Record) bool { return len(r.Accesses) > 0 }) {
		t.Errorf("recorded %+v", r)
	}
	for _, path := range []string{"check", "sync"} {
		d.ask(alice, "POST", "/stores/aws-sm/"+path, "").want(t, 403, "urn:bindery:problem:forbidden")
	}
	u.untouched(t)
}

// TestAVaultIsCheckedAndVerified through the API: Bindery signs in with a token
// that is sealed for that Vault alone.
func TestAVaultIsCheckedAndVerified(t *testing.T) {
	t.Parallel()
	d := administered(t)
	v, err := parts.Vault(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(v.Stop)
	u := d.official(shared.stateless.URL)
	registered(t, u, d)
	must(t, v.Do(t.Context(), http.MethodPost, "sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}}, nil))
	canary := d.canary()
	must(t, v.Do(t.Context(), http.MethodPost, "kv/mcp/notes", map[string]string{"token": canary}, nil))
	d.made("/stores/vault", `{"kind":"vault","paths":["kv/mcp/*"],"state":"active","address":"`+v.URL+`","auth":{"method":"token","credential":"sealed:vault-token"}}`)
	d.ask(bob, "POST", "/stores/vault/check", "").want(t, 200, `"cause":"missing"`) // the token is not there yet
	origin, err := broker.OriginDigest(v.URL)
	must(t, err)
	_, err = d.Sealed.Put(t.Context(), d.env, "vault-token", origin, v.Root)
	must(t, err)
	a := d.ask(bob, "POST", "/stores/vault/check", "")
	a.want(t, 200, `"connected":true`)
	a.want(t, 200, `"word":"root"`)
	d.ask(bob, "GET", "/stores/vault/references", "").want(t, 200, `"reference":"vault:kv/mcp/notes"`)
	d.changed("/servers/notes/bindings/dev-notes", body(sealedCard(), "fields", []any{map[string]string{"name": "token", "reference": "vault:kv/mcp/notes#token"}}), 1)
	if a, v := d.verified(verifyNotes); !v.Works || u.last(t).Header.Get("Authorization") != "Bearer "+canary {
		t.Errorf("answered %s", a.body)
	}
	must(t, v.Do(t.Context(), http.MethodDelete, "kv/mcp/notes", nil, nil))
	if a, v := d.verified(verifyNotes); v.Cause != "store" {
		t.Errorf("answered %s", a.body)
	}
	d.ask(bob, "POST", "/stores/vault/sync", "").want(t, 200, `"result":"missing"`)
	v.Stop()
	if a, v := d.verified(verifyNotes); v.Cause != "store" {
		t.Errorf("answered %s", a.body)
	}
	d.ask(bob, "POST", "/stores/vault/check", "").want(t, 200, `"cause":"unavailable"`)
}
