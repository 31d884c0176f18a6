package handler

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// token is a person's own for the API of connections, or for what aud says.
func (f *fixture) token(subject, aud string) string {
	now := f.now().Unix()
	return f.corp.keys.Sign("k1", nil, map[string]any{"iss": f.corp.URL(), "aud": aud, "sub": subject, "client_id": "console", "iat": now, "exp": now + 60})
}

const ownAudience = publicURL + connectionsPath

// asks sends a request with a bearer token.
func (f *fixture) asks(method, path, token string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, publicURL+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestAPersonListsAndEndsTheirOwnConnections(t *testing.T) {
	f := newFixture(t)
	f.browser().consent("acme", "alice")
	f.browser().consent("other", "alice")
	f.browser().consent("acme", "bob")
	token := f.token("alice", ownAudience)
	var listed connections
	w := f.asks("GET", "/connections", token)
	f.must(json.Unmarshal(w.Body.Bytes(), &listed))
	if w.Code != 200 || len(listed.Connections) != 2 || listed.Connections[0].Server != "acme" || listed.Connections[0].State != "active" {
		t.Fatalf("listed %d %s", w.Code, w.Body)
	}
	w = f.asks("DELETE", "/connections/acme", token)
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"server":"acme","provider":"revoked"}` {
		t.Errorf("ended %d %s", w.Code, w.Body)
	}
	if got := f.acme.ended(); !slices.Equal(got, []string{f.acme.refresh}) {
		t.Errorf("revoked at the provider: %v", got)
	}
	if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Deleted || len(view.Grant.Sealed) != 0 {
		t.Errorf("the grant is %+v", view.Grant)
	}
	if view, _ := f.grant("acme", "bob"); view.Grant.State != broker.Active {
		t.Error("Bob's connection ended with Alice's")
	}
	records := f.tables.Records(w.Header().Get("Bindery-Receipt"))
	if len(records) != 2 || records[0].Method != "end-connection" || records[0].Principal != f.principal("alice") {
		t.Errorf("records %+v", records)
	}
	if w := f.asks("DELETE", "/connections/acme", token); w.Code != 404 {
		t.Errorf("once more: %d", w.Code)
	}
	if w := f.asks("DELETE", "/connections/never", token); w.Code != 404 {
		t.Errorf("a server that was never connected: %d", w.Code)
	}
}

// TestAConnectionThatDoesNotDecodeHidesNoOther, and nobody is told that there is
// none, or that all have ended.
func TestAConnectionThatDoesNotDecodeHidesNoOther(t *testing.T) {
	f := newFixture(t)
	f.browser().consent("acme", "alice")
	f.browser().consent("other", "alice")
	view, _ := f.grant("other", "alice")
	f.must(f.tables.Spoil(view.Grant.Environment, view.Grant.GrantKey))
	token := f.token("alice", ownAudience)
	var listed connections
	w := f.asks("GET", "/connections", token)
	f.must(json.Unmarshal(w.Body.Bytes(), &listed))
	if w.Code != 200 || len(listed.Connections) != 1 || listed.Connections[0].Server != "acme" || listed.Unreadable != 1 {
		t.Errorf("listed %d %s", w.Code, w.Body)
	}
	if !strings.Contains(f.log.String(), `"RowsUnreadable":1`) {
		t.Errorf("no alarm: %s", f.log)
	}
	if w := f.asks("DELETE", "/connections/other", token); w.Code != 500 || !strings.Contains(w.Body.String(), "stored_row_unreadable") {
		t.Errorf("what may be there: %d %s", w.Code, w.Body)
	}
	w = f.asks("DELETE", "/connections/acme", token)
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"server":"acme","provider":"revoked","unreadable":1}` {
		t.Errorf("ended %d %s", w.Code, w.Body)
	}
	f.tables.Mend()
	if w := f.asks("DELETE", "/connections/other", token); w.Code != 200 || strings.Contains(w.Body.String(), "unreadable") {
		t.Errorf("mended: %d %s", w.Code, w.Body)
	}
}

func TestDisconnectThatCannotBeRevokedAtTheProvider(t *testing.T) {
	f := newFixture(t)
	f.browser().consent("acme", "alice")
	f.acme.server.Close()
	w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "not_revoked") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Deleted {
		t.Error("the grant lives on here")
	}
	told := f.facts(broker.GrantNotRevoked)
	if len(told) != 1 || told[0].Object != "grant/"+f.principal("alice")+"/acme" || told[0].Principal != f.principal("alice") {
		t.Errorf("told %+v", told)
	}
}

// The tokens of a grant go to nobody whom the metadata of another origin names.
func TestDisconnectAfterTheServerMoved(t *testing.T) {
	f := newFixture(t)
	f.browser().consent("acme", "alice")
	row, err := f.tables.Provider(t.Context(), "prod", "acme")
	f.must(err)
	row.Issuer = ""
	f.must(f.tables.PutProvider(t.Context(), row))
	s, err := f.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "acme"})
	f.must(err)
	s.URL = f.other.URL() + "/mcp"
	f.must(f.tables.PutServer(t.Context(), s))
	w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"revoked"`) || len(f.other.ended()) != 0 || len(f.acme.ended()) != 1 {
		t.Errorf("%d %s, the other provider got %v", w.Code, w.Body, f.other.ended())
	}
}

// TestWhatHasEndedIsRevokedThoughTheNextOneCannotEnd: of a grant that is gone here
// nothing is left that another try could revoke at the provider.
func TestWhatHasEndedIsRevokedThoughTheNextOneCannotEnd(t *testing.T) {
	f := newFixture(t)
	f.browser().consent("acme", "alice")
	view, _ := f.grant("acme", "alice")
	former := view.Grant
	former.Origin, former.Generation, former.Version = broker.Digest("origin", "former"), 0, 0
	f.must(f.tables.BeginGrant(t.Context(), former, broker.Consent{Agent: view.Consents[0].Agent, At: former.Consented}))
	f.tables.Inject(memory.EndGrant, memory.Fault{}, memory.Refuse(), memory.Refuse(), memory.Refuse())
	w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
	if dealtWith := len(f.acme.ended()) + len(f.facts(broker.GrantNotRevoked)); w.Code != 503 || dealtWith != 1 {
		t.Errorf("answered %d, %d dealt with", w.Code, dealtWith)
	}
	if w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience)); w.Code != 200 {
		t.Errorf("the rest: %d %s", w.Code, w.Body)
	}
	if dealtWith := len(f.acme.ended()) + len(f.facts(broker.GrantNotRevoked)); dealtWith != 2 {
		t.Errorf("%d dealt with in the end", dealtWith)
	}
}

// CSRF on disconnect: what a browser adds by itself opens nothing here.
func TestWhoMayNotTouchConnections(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	cookie := sessionCookie + "=" + b.cookies[sessionCookie]
	good := f.token("alice", ownAudience)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"nobody":                  f.asks("DELETE", "/connections/acme", ""),
		"a cookie":                f.asks("DELETE", "/connections/acme", "", "Cookie", cookie),
		"a cookie beside":         f.asks("DELETE", "/connections/acme", good, "Cookie", cookie),
		"a token for a server":    f.asks("DELETE", "/connections/acme", f.token("alice", publicURL+"/mcp/prod/acme")),
		"a token for admins":      f.asks("DELETE", "/connections/acme", f.token("alice", publicURL+"/admin/v1")),
		"a token in the query":    f.asks("DELETE", "/connections/acme?access_token="+good, ""),
		"a client of its own":     f.asks("DELETE", "/connections/acme", f.token("console", ownAudience)),
		"somebody else's name":    f.asks("DELETE", "/connections/acme", f.token("bob", ownAudience)),
		"another method":          f.asks("POST", "/connections/acme", good),
		"a name that is none":     f.asks("DELETE", "/connections/A_B", good),
		"a list that is too long": f.asks("GET", "/connections?limit=100000", good),
		"an ID token":             f.asks("DELETE", "/connections/acme", f.corp.sign(map[string]any{"aud": ownAudience, "sub": "alice", "nonce": "n"})),
	} {
		if w.Code < 400 || w.Code >= 500 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Active || len(f.acme.ended()) != 0 {
		t.Error("the connection was ended")
	}
	if w := f.asks("GET", "/connections", ""); w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `resource_metadata="`+publicURL+metadataPath+`"`) {
		t.Errorf("the challenge is %q", w.Header().Get("WWW-Authenticate"))
	}
	if w := f.asks("GET", metadataPath, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"resource":"`+ownAudience+`"`) {
		t.Errorf("the metadata are %s", w.Body)
	}
}

func TestConnectionsSayHowTheyAre(t *testing.T) {
	f := newFixture(t)
	now := f.now()
	for want, g := range map[string]broker.Grant{
		"active": {State: broker.Active, Until: now.Add(time.Hour)}, "expired": {State: broker.Active, Until: now.Add(-time.Hour)},
		"dead": {State: broker.Active, Dead: now}, "revoked": {State: broker.Revoked, Dead: now},
	} {
		if got := f.stateOf(&g); got != want {
			t.Errorf("%s is %s", want, got)
		}
	}
}

// TestWhoIsRevokedTouchesNoConnections, and is told no more than that.
func TestWhoIsRevokedTouchesNoConnections(t *testing.T) {
	for kind, id := range map[broker.MarkerKind]func(f *fixture) string{
		broker.PrincipalMarker: func(f *fixture) string { return f.principal("alice") },
		broker.IssuerMarker:    func(f *fixture) string { return f.corp.URL() },
	} {
		f := newFixture(t)
		f.browser().consent("acme", "alice")
		m := broker.Marker{Environment: "prod", Kind: kind, ID: id(f), Epoch: 1, Revoked: true, At: f.now(), By: "p-admin", Reason: "left"}
		f.must(f.tables.PutMarker(t.Context(), m))
		for _, w := range []*httptest.ResponseRecorder{
			f.asks("GET", "/connections", f.token("alice", ownAudience)), f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience)),
		} {
			if found := f.tables.Records(w.Header().Get("Bindery-Receipt")); w.Code != 403 || !strings.Contains(w.Body.String(), "problem:forbidden") ||
				len(found) != 1 || found[0].Reason != broker.Reason(kind)+"_revoked" {
				t.Errorf("%s: %d %s, recorded %+v", kind, w.Code, w.Body, found)
			}
		}
		if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Active {
			t.Errorf("%s: the connection was ended", kind)
		}
		m.Kind, m.ID = broker.EnvironmentMarker, "prod"
		f.must(f.tables.PutMarker(t.Context(), m))
		if w := f.asks("GET", "/connections", f.token("bob", ownAudience)); kind == broker.PrincipalMarker && w.Code != 200 {
			t.Errorf("somebody else: %d %s", w.Code, w.Body)
		}
	}
}
