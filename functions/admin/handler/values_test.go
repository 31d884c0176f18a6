package handler

import (
	"context"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/secret"
	"bindery/shared/stores/sealed"
)

// TestAValueIsNotTakenFromAnotherServer: what its cards read is not sealed for
// another origin.
func TestAValueIsNotTakenFromAnotherServer(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/notes-too", serverBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 200, "")
	const card = "/servers/notes/bindings/sealed"
	f.call(t, "admin", "PUT", card, strings.Replace(bindingBody, "aws-sm:prod/notes#token", "sealed:token-1#token", 1), "If-None-Match", "*").want(t, 200, "")
	for server, status := range map[string]int{"notes": 200, "notes-too": 200, "wiki": 422} {
		f.call(t, "admin", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", server, 1)).want(t, status, "")
	}
	f.call(t, "other", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", "wiki", 1)).want(t, 403, "forbidden")
	f.tables.Inject(memory.ListUses, memory.Refuse())
	f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 503, "unavailable")
	f.call(t, "admin", "DELETE", card, nil, "If-Match", `"v1"`).want(t, 204, "")
	f.call(t, "admin", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", "wiki", 1)).want(t, 200, "")
	f.clean(t)
}

// TestOnlyAdministratorsDeleteValues, not even those who enter them.
func TestOnlyAdministratorsDeleteValues(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.assigns(t, "one", `{"store":"sealed","paths":["*"],"groups":["team-notes"],"state":"active"}`)
	f.call(t, "owner", "PUT", "/values/token-1", valueBody).want(t, 200, "")
	for _, who := range []string{"owner", "other", "auditor", "second", "nobody"} {
		f.call(t, who, "DELETE", "/values/token-1", nil).want(t, 403, "forbidden")
		f.call(t, who, "DELETE", "/values/none", nil).want(t, 403, "forbidden")
	}
	f.call(t, "admin", "DELETE", "/values/none", nil).want(t, 404, "not_found")
	f.call(t, "admin", "DELETE", "/values/token-1?dry_run=true", nil).want(t, 204, "")
	f.call(t, "admin", "DELETE", "/values/token-1", nil).want(t, 204, "")
}

// TestADeletedValueIsTypedInAnew, by whoever may enter it, and both are in the
// audit; not while a revocation stops it.
func TestADeletedValueIsTypedInAnew(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.values = sealed.New(f.tables, sealing{}, time.Now)
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	put := func(query string) answer { return f.call(t, "admin", "PUT", "/values/token-1"+query, valueBody) }
	put("").want(t, 200, "")
	deleted := f.call(t, "admin", "DELETE", "/values/token-1", nil).want(t, 204, "")
	if anew := put("").want(t, 200, ""); anew.body["version"] != 4.0 || len(f.records(deleted)) != 2 || len(f.records(anew)) != 2 {
		t.Errorf("%s, recorded %v and %v", anew.Body, f.records(deleted), f.records(anew))
	}
	stop := f.stop(t, "admin", "reference", "sealed:token-1").want(t, 200, "").body["revocation"].(string)
	for _, query := range []string{"?dry_run=true", ""} {
		if a := put(query).want(t, 412, "version_conflict"); !strings.Contains(a.body["detail"].(string), stop) {
			t.Errorf("it does not say what stops it: %s", a.Body)
		}
	}
	f.call(t, "other", "PUT", "/values/token-1", valueBody).want(t, 403, "forbidden")
	f.call(t, "admin", "POST", "/revocations/"+stop+"/lift", liftBody).want(t, 200, "")
	put("").want(t, 200, "")
	f.clean(t)
}

// sealing is a sealer of which only the sealing is asked.
type sealing struct{ broker.Sealer }

func (sealing) Seal(context.Context, broker.SealContext, secret.Value) ([]byte, error) {
	return []byte("sealed"), nil
}

// TestWhoOwnsASecretEntersIt for the server that its assignment names, though the
// server is another team's; and learns of no other.
func TestWhoOwnsASecretEntersIt(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
	enter := func(who, value, server string) answer {
		return f.call(t, who, "PUT", "/values/"+value, strings.Replace(valueBody, "notes", server, 1))
	}
	f.assigns(t, "theirs", `{"store":"sealed","paths":["theirs"],"groups":["team-other"],"state":"active"}`)
	f.assigns(t, "notes", `{"store":"sealed","paths":["token-1"],"groups":["team-other"],"servers":["notes"],"state":"active"}`)
	f.call(t, "other", "GET", "/servers/notes", nil).want(t, 403, "forbidden")
	enter("other", "token-1", "notes").want(t, 200, "")
	for _, c := range [][2]string{{"theirs", "notes"}, {"theirs", "none"}, {"token-1", "none"}, {"token-2", "notes"}} {
		enter("other", c[0], c[1]).want(t, 403, "forbidden")
	}
	enter("nobody", "token-1", "notes").want(t, 403, "forbidden")
	f.call(t, "other", "DELETE", "/values/token-1", nil).want(t, 403, "forbidden")
	f.call(t, "root", "PUT", "/assignments/notes", `{"store":"sealed","paths":["token-1"],"groups":["team-other"],"servers":["notes"],"state":"suspended"}`, "If-Match", `"v1"`).want(t, 200, "")
	enter("other", "token-1", "notes").want(t, 403, "forbidden")
	f.clean(t)
}
