//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
)

// TestASecretInVaultReachesItsUpstream, signs in with a token that is sealed
// for that Vault alone, and follows a rotation.
func TestASecretInVaultReachesItsUpstream(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	v, err := parts.Vault(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(v.Stop)
	must(t, v.Do(t.Context(), http.MethodPost, "sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}}, nil))
	put := func() string {
		canary := d.canary()
		must(t, v.Do(t.Context(), http.MethodPost, "kv/mcp/notes", map[string]string{"token": canary}, nil))
		return canary
	}
	first := put()
	register := func(version int64, address string) error {
		return d.Registry.PutStore(t.Context(), broker.Store{Environment: d.env, Name: "vault", Kind: "vault", Paths: broker.Scope{"kv/mcp/*"},
			State: broker.Active, Version: version, Address: address, Auth: broker.StoreAuth{Method: broker.AuthToken, Credential: parsed(t, "sealed:vault-token")}})
	}
	must(t, register(0, v.URL))
	origin, err := broker.OriginDigest(v.URL)
	must(t, err)
	_, err = d.Sealed.Put(t.Context(), d.env, "vault-token", origin, v.Root)
	must(t, err)

	u := d.upstream(echo())
	d.server("notes", u.URL)
	d.bind(d.card("notes", "dev-notes", group("dev"), "vault:kv/mcp/notes#token"))
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, first)
	if r := d.ended(a, ""); len(r.Accesses) != 1 || r.Accesses[0].Reference != "vault:kv/mcp/notes" || r.Accesses[0].RequestID == "" {
		t.Errorf("accesses %+v", r.Accesses)
	}
	second := put()
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, second)

	if err := d.Registry.Bind(t.Context(), d.card("notes", "outside", group("dev"), "vault:kv/other/notes#token")); err == nil {
		t.Error("a path outside the store was bound")
	}
	// Another address is another Vault: the sealed token does not open for it.
	must(t, register(1, strings.Replace(v.URL, "127.0.0.1", "localhost", 1)))
	a = d.post(alice, "notes")
	a.want(t, http.StatusBadGateway, credentialFailed)
	d.ended(a, broker.KeyUnavailable)
	if n := len(u.arrivals()); n != 2 {
		t.Errorf("the upstream got %d requests", n)
	}
}

func parsed(t *testing.T, s string) broker.Reference {
	t.Helper()
	r, err := broker.ParseReference(s)
	must(t, err)
	return r
}

// TestAVariableReachesItsUpstream and none that is not listed does.
func TestAVariableReachesItsUpstream(t *testing.T) {
	const name, other = "BINDERY_SECRET_E2E_NOTES", "BINDERY_SECRET_E2E_OTHER"
	d := deploy(t)
	canary := d.canary()
	t.Setenv(name, canary)
	t.Setenv(other, d.canary())
	must(t, d.Registry.PutStore(t.Context(), broker.Store{Environment: d.env, Name: "env", Kind: "env", Paths: broker.Scope{name}, State: broker.Active}))
	u := d.upstream(echo())
	d.server("notes", u.URL)
	d.bind(d.card("notes", "dev-notes", group("dev"), "env:"+name))
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, canary)
	if r := d.ended(a, ""); r.Accesses[0].Version != "env" {
		t.Errorf("accesses %+v", r.Accesses)
	}
	if err := d.Registry.Bind(t.Context(), d.card("notes", "more", group("dev"), "env:"+other)); err == nil {
		t.Error("a variable that is not listed was bound")
	}
}
