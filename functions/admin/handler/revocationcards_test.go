package handler

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// TestCardsSayThatTheyAreRevoked, and no longer when they are not.
func TestCardsSayThatTheyAreRevoked(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/agents/corp:reporter", agentBody, "If-None-Match", "*").want(t, 200, "")
	for _, c := range []struct{ kind, subject, card string }{
		{"server", "notes", "/servers/notes"}, {"binding", "notes/dev-notes", "/servers/notes/bindings/dev-notes"},
		{"agent", "corp:reporter", "/agents/corp:reporter"}, {"store", "aws-sm", "/stores/aws-sm"},
	} {
		if a := f.call(t, "admin", "GET", c.card, nil).want(t, 200, ""); a.body["revoked"] != nil {
			t.Errorf("%s: before: %s", c.kind, a.Body)
		}
		id := f.stop(t, "admin", c.kind, c.subject).want(t, 200, "").body["revocation"].(string)
		if a := f.call(t, "admin", "GET", c.card, nil).want(t, 200, ""); a.body["revoked"] != id {
			t.Errorf("%s: %s", c.kind, a.Body)
		}
		f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 200, "")
		if a := f.call(t, "admin", "GET", c.card, nil).want(t, 200, ""); a.body["revoked"] != nil {
			t.Errorf("%s: lifted: %s", c.kind, a.Body)
		}
	}
	id := f.stop(t, "admin", "reference", "aws-sm:prod/notes").want(t, 200, "").body["revocation"]
	list := f.call(t, "admin", "GET", "/stores/aws-sm/references", nil).want(t, 200, "")
	text, _ := json.Marshal(list.body["items"])
	if strings.Count(string(text), `"revoked":`) != 1 || !strings.Contains(string(text), `"revoked":"`+id.(string)+`"`) {
		t.Errorf("references: %s", text)
	}
}

// TestAnOwnerStopsASessionAtTheirServer, and none that is elsewhere or somebody
// else's.
func TestAnOwnerStopsASessionAtTheirServer(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	digest := broker.Digest("session", "one")
	v := broker.LiveSession{Environment: "prod", Digest: digest, Server: "notes", Origin: broker.Digest("origin"), Principal: victim, Binding: "dev-notes", Wrapped: "sealed", Expires: time.Now().Add(time.Hour)}
	if err := f.tables.AddSession(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	stop := func(who, digest, principal string) answer {
		t.Helper()
		return f.call(t, who, "POST", "/revocations", map[string]string{"kind": "session", "subject": digest, "reason": "it runs wild", "principal": principal})
	}
	stop("other", digest, victim).want(t, 403, "forbidden")
	stop("owner", digest, "").want(t, 403, "forbidden")
	stop("owner", digest, "p-bobbbbbbbbbbbbbbbbbbbbbbbb").want(t, 403, "forbidden")
	stop("owner", broker.Digest("session", "two"), victim).want(t, 403, "forbidden")
	stop("admin", digest, "alice@example.com").want(t, 422, "invalid")
	f.tables.Inject(memory.ListSessions, memory.Refuse())
	stop("owner", digest, victim).want(t, 403, "forbidden")
	if f.marker(t, broker.SessionMarker, digest).Epoch != 0 {
		t.Fatal("it was stopped")
	}
	stop("owner", digest, victim).want(t, 200, "")
	if !f.marker(t, broker.SessionMarker, digest).Revoked {
		t.Error("it was not stopped")
	}
}

// TestCasesAreShownToWhomTheyConcern: owners see those of their own cards.
func TestCasesAreShownToWhomTheyConcern(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	person := f.stop(t, "admin", "principal", victim).body["revocation"].(string)
	card := f.stop(t, "admin", "binding", "notes/dev-notes").body["revocation"].(string)
	both := []string{person, card}
	slices.Sort(both)
	slices.Reverse(both) // newest first, and of one millisecond by the id
	for who, sees := range map[string][]string{"root": both, "admin": both, "auditor": both, "second": both,
		"owner": {card}, "other": nil, "nobody": nil} {
		var got []string
		for _, item := range f.call(t, who, "GET", "/revocations", nil).want(t, 200, "").body["items"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		if !slices.Equal(got, sees) {
			t.Errorf("%s sees %v", who, got)
		}
		for _, id := range both {
			want := 403
			if slices.Contains(sees, id) {
				want = 200
			}
			f.call(t, who, "GET", "/revocations/"+id, nil).want(t, want, "")
		}
	}
	f.call(t, "other", "GET", "/revocations/"+noCase, nil).want(t, 403, "forbidden")
	f.call(t, "auditor", "GET", "/revocations/"+noCase, nil).want(t, 404, "not_found")
	page := f.call(t, "root", "GET", "/revocations?limit=1", nil).want(t, 200, "")
	if page.body["next"] != both[0] {
		t.Errorf("the next page begins after %v", page.body["next"])
	}
	rest := f.call(t, "root", "GET", "/revocations?limit=1&after="+both[0], nil).want(t, 200, "")
	if items := rest.body["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != both[1] {
		t.Errorf("the next page: %s", rest.Body)
	}
}
