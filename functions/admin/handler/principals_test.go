package handler

import (
	"net/http"
	"strings"
	"testing"

	"bindery/shared/broker"
)

const email = "carol@example.com"

// TestAPrincipalIsItsIDAndNothingElse: what would cover nobody is refused where
// it is typed in, and is not taken silently.
func TestAPrincipalIsItsIDAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	id := broker.PrincipalID(corpIssuer, email)
	for _, wrong := range []string{email, "carol", "p-", "p-carol", id + "a", id[:len(id)-1], strings.ToUpper(id), "p-" + strings.Repeat("0", 26), " " + id} {
		card := strings.Replace(bindingBody, `{"group":"dev"}`, `{"principal":"`+wrong+`"}`, 1)
		question := strings.Replace(question, "p-aliceaaaaaaaaaaaaaaaaaaaaa", wrong, 1)
		document := `{"servers":{"notes":` + strings.TrimSuffix(serverBody, "}") + `,"bindings":{"one":` + card + `}}}}`
		for path, body := range map[string]string{"/servers/notes/bindings/one": card, "/explain": question} {
			method := http.MethodPut
			if path == "/explain" {
				method = http.MethodPost
			}
			f.mentions(t, f.call(t, "root", method, path, body, "If-None-Match", "*").want(t, 422, "invalid"), "as in audit records; an e-mail is none", wrong)
		}
		for _, path := range []string{"/audit?principal=", "/exposure/bindings?principal=", "/exposure/people?principal="} {
			f.mentions(t, f.call(t, "auditor", "GET", path+strings.ReplaceAll(wrong, " ", "%20"), nil).want(t, 422, "invalid"), "as in audit records", wrong)
		}
		if a := f.call(t, "root", "POST", "/apply", document); !strings.Contains(a.Body.String(), "as in audit records") {
			t.Errorf("%q applied: %s", wrong, a.Body)
		}
	}
	good := strings.Replace(bindingBody, `{"group":"dev"}`, `{"principal":"`+id+`"}`, 1)
	f.call(t, "root", "PUT", "/servers/notes/bindings/one", good, "If-None-Match", "*").want(t, 200, "")
}

// mentions wants words in the detail, and not what was sent.
func (f *fixture) mentions(t *testing.T, a answer, words, sent string) {
	t.Helper()
	if detail, _ := a.body["detail"].(string); !strings.Contains(detail, words) || len(sent) > 8 && strings.Contains(a.Body.String(), sent) {
		t.Errorf("answered %s", a.Body)
	}
}

// TestAPersonsClaimLeadsToTheirID, and is in no record.
func TestAPersonsClaimLeadsToTheirID(t *testing.T) {
	f := newFixture(t)
	want := broker.PrincipalID(corpIssuer, email)
	for _, issuer := range []string{"corp", corpIssuer} {
		a := f.call(t, "owner", "POST", "/principals/lookup", `{"issuer":"`+issuer+`","claims":["`+email+`"]}`, "Idempotency-Key", "k").want(t, 200, "")
		if r := f.records(a); a.body["principal"] != want || len(r) != 1 || r[0].Object != "principal/"+want || r[0].Method != "lookup-principal" {
			t.Errorf("answered %s, recorded %+v", a.Body, r)
		}
	}
	for _, body := range []string{`{"issuer":"else","claims":["` + email + `"]}`, `{"issuer":"corp","claims":["` + email + `","b"]}`, `{"issuer":"corp","claims":[""]}`,
		`{"issuer":"corp","claims":["\u0000client\u0000` + email + `"]}`, `{"issuer":"corp","claims":[]}`} {
		f.call(t, "owner", "POST", "/principals/lookup", body).want(t, 422, "invalid")
	}
	if f.mu.Lock(); strings.Contains(f.recorded.String()+f.seen.String()+f.log.String(), email) {
		t.Error("the claim is kept")
	}
	f.mu.Unlock()
}
