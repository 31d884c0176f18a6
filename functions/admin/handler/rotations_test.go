package handler

import (
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

const plainPlan = `{"reference":"aws-sm:prod/notes#token","maker":"random","random":{"length":32},"every_seconds":86400,"grace_seconds":60,"server":"notes","binding":"dev-notes","owner":"team-notes","state":"active"}`

// planned has a plan for the secret of the only card, and whose it is.
func planned(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.seed(t)
	f.assigns(t, "ours", assignmentBody)
	f.call(t, "owner", "PUT", "/rotation-plans/notes", plainPlan, "If-None-Match", "*").want(t, 200, "")
	return f
}

// TestWhoMayBindAReferenceMayRotateIt, and nobody else; who may not learns
// nothing of it.
func TestWhoMayBindAReferenceMayRotateIt(t *testing.T) {
	f := planned(t)
	for who, status := range map[string]int{"other": 403, "nobody": 403, "auditor": 403, "second": 403} {
		f.call(t, who, "PUT", "/rotation-plans/theirs", plainPlan, "If-None-Match", "*").want(t, status, "forbidden")
		f.call(t, who, "DELETE", "/rotation-plans/notes", nil, "If-Match", `"v1"`).want(t, status, "forbidden")
		known := f.call(t, who, "POST", "/rotations", rotationBody).want(t, status, "forbidden")
		unknown := f.call(t, who, "POST", "/rotations", `{"plan":"none"}`).want(t, status, "forbidden")
		if known.Body.String() != unknown.Body.String() {
			t.Errorf("%s learns whether there is a plan", who)
		}
	}
	for _, who := range []string{"other", "nobody"} {
		f.call(t, who, "GET", "/rotation-plans/notes", nil).want(t, 403, "forbidden")
		if items := f.call(t, who, "GET", "/rotation-plans", nil).want(t, 200, "").body["items"].([]any); len(items) != 0 {
			t.Errorf("%s sees %v", who, items)
		}
	}
	f.call(t, "auditor", "GET", "/rotation-plans/notes", nil).want(t, 200, "")
	f.call(t, "owner", "POST", "/rotations", rotationBody).want(t, 202, "")
}

// TestARecipeSendsTheCredentialWhereItsServerIs: another origin takes the right
// to set the server's.
func TestARecipeSendsTheCredentialWhereItsServerIs(t *testing.T) {
	f := planned(t)
	f.call(t, "owner", "DELETE", "/rotation-plans/notes", nil, "If-Match", `"v1"`).want(t, 204, "")
	elsewhere := strings.Replace(planBody, "https://notes.example.com/keys\"", "https://evil.example.com/keys\"", 1)
	retired := strings.Replace(planBody, "https://notes.example.com/keys/{old}", "https://evil.example.com/{old}", 1)
	hidden := strings.Replace(planBody, "https://notes.example.com/keys\"", "https://{token}.example.com/keys\"", 1)
	fooled := strings.Replace(planBody, "https://notes.example.com/keys\"", "https://notes.example.com@evil.example.com/keys\"", 1)
	for name, body := range map[string]string{"another origin": elsewhere, "another origin at the end": retired, "a field in the host": hidden, "a user in the host": fooled} {
		if a := f.call(t, "owner", "PUT", "/rotation-plans/other", body, "If-None-Match", "*"); a.Code != 403 {
			t.Errorf("%s: answered %d %s", name, a.Code, a.Body)
		}
	}
	f.call(t, "admin", "PUT", "/rotation-plans/hidden", hidden, "If-None-Match", "*").want(t, 422, "invalid")
	f.call(t, "admin", "PUT", "/rotation-plans/other?dry_run=true", elsewhere, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "owner", "PUT", "/rotation-plans/other", planBody, "If-None-Match", "*").want(t, 200, "")
	p, err := f.tables.RotationPlan(t.Context(), "prod", "other")
	if origin, bad := broker.OriginDigest("https://notes.example.com"); err != nil || bad != nil || p.Origin != origin {
		t.Errorf("the plan does not say for which origin it was put: %+v, %v, %v", p, err, bad)
	}
}

// TestAPlanThatCouldNotRotateIsRefused, though it looks as if it could.
func TestAPlanThatCouldNotRotateIsRefused(t *testing.T) {
	f := planned(t)
	for name, change := range map[string][2]string{
		"a second plan for the secret":      {`"length":32`, `"length":33`},
		"a reference outside its store":     {"prod/notes#token", "staging/notes#token"},
		"a store that is not there":         {"aws-sm:", "vault:"},
		"a card that does not use it":       {"prod/notes#token", "prod/spare#token"},
		"a card that is not there":          {`"dev-notes"`, `"none"`},
		"a card without its server":         {`"server":"notes",`, ``},
		"a grace longer than the interval":  {`"grace_seconds":60`, `"grace_seconds":86400`},
		"an interval of a second":           {`"every_seconds":86400`, `"every_seconds":1`},
		"a maker without what it goes by":   {`"random":{"length":32},`, ``},
		"a recipe of another maker":         {`"random":{"length":32}`, `"random":{"length":32},"recipe":{"issue":{"method":"GET","url":"https://notes.example.com/"},"value_at":"/v"}`},
		"a reference that is a secret":      {"aws-sm:prod/notes#token", "words without store"},
		"a provider that this maker has no": {`"owner"`, `"provider":"acme","owner"`},
	} {
		body := strings.Replace(plainPlan, change[0], change[1], 1)
		if a := f.call(t, "root", "PUT", "/rotation-plans/another", body, "If-None-Match", "*"); a.Code != 422 && a.Code != 404 {
			t.Errorf("%s: answered %d %s", name, a.Code, a.Body)
		}
	}
	moved := strings.Replace(plainPlan, `"maker":"random","random":{"length":32}`, `"maker":"store"`, 1)
	f.call(t, "root", "PUT", "/rotation-plans/notes", moved, "If-Match", `"v1"`).want(t, 422, "invalid")
	f.call(t, "root", "PUT", "/rotation-plans/notes", strings.Replace(plainPlan, "86400", "172800", 1), "If-Match", `"v1"`).want(t, 200, "")
}

// TestARotationIsOrderedOnce: the rotation function is woken, and a second order
// waits for the end of the first.
func TestARotationIsOrderedOnce(t *testing.T) {
	f := planned(t)
	f.call(t, "owner", "POST", "/rotations?dry_run=true", rotationBody).want(t, 200, "")
	if f.woken != 0 || f.newestRun(t) != noCase {
		t.Fatal("a dry run begins one")
	}
	a := f.call(t, "owner", "POST", "/rotations", rotationBody).want(t, 202, "")
	run, err := f.tables.Rotation(t.Context(), "prod", "reference/aws-sm:prod/notes")
	if err != nil || run.ID != a.Header().Get("Bindery-Receipt") || run.By != "p-owner" || run.Plan != "notes" || f.woken != 1 || a.body["step"] != "ordered" {
		t.Fatalf("%+v, %v, woken %d, answered %s", run, err, f.woken, a.Body)
	}
	f.call(t, "owner", "POST", "/rotations", rotationBody).want(t, 412, "version_conflict")
	f.call(t, "owner", "GET", "/rotations/"+run.ID, nil).want(t, 200, "")
	f.call(t, "other", "GET", "/rotations/"+run.ID, nil).want(t, 403, "forbidden")
	f.call(t, "other", "GET", "/rotations/"+noCase, nil).want(t, 403, "forbidden")
	f.call(t, "other", "POST", "/rotations/"+run.ID+"/cancel", nil).want(t, 403, "forbidden")
	for who, want := range map[string]int{"owner": 1, "auditor": 1, "other": 0, "nobody": 0} {
		if items := f.call(t, who, "GET", "/rotations", nil).want(t, 200, "").body["items"].([]any); len(items) != want {
			t.Errorf("%s sees %v", who, items)
		}
	}
	f.call(t, "owner", "POST", "/rotations/"+run.ID+"/cancel?dry_run=true", nil).want(t, 200, "")
	if a := f.call(t, "owner", "POST", "/rotations/"+run.ID+"/cancel", nil).want(t, 200, ""); a.body["step"] != "rolling_back" || a.body["reason"] != "cancelled" {
		t.Errorf("answered %s", a.Body)
	}
	f.call(t, "owner", "POST", "/rotations/"+run.ID+"/cancel", nil).want(t, 412, "version_conflict")
	f.call(t, "root", "POST", "/rotations/"+noCase+"/cancel", nil).want(t, 404, "not_found")
}

// TestARunUnderSomebodysHandsIsNotTakenBack, and one that calls use neither.
func TestARunUnderSomebodysHandsIsNotTakenBack(t *testing.T) {
	f := planned(t)
	f.call(t, "owner", "POST", "/rotations", rotationBody).want(t, 202, "")
	id := f.newestRun(t)
	for _, alter := range []func(*broker.Rotation){
		func(r *broker.Rotation) { r.Holder, r.HeldUntil = "somebody", time.Now().Add(time.Minute) },
		func(r *broker.Rotation) { r.Holder, r.HeldUntil, r.Step = "", time.Time{}, broker.RotationInUse },
	} {
		r, err := f.tables.Rotation(t.Context(), "prod", "reference/aws-sm:prod/notes")
		if err != nil {
			t.Fatal(err)
		}
		alter(&r)
		if err := f.tables.PutRotation(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.call(t, "owner", "POST", "/rotations/"+id+"/cancel", nil).want(t, 412, "version_conflict")
	}
}

// TestACardIsRepointedByWhoMayChangeIt, and bind what it is to have.
func TestACardIsRepointedByWhoMayChangeIt(t *testing.T) {
	f := planned(t)
	for who, status := range map[string]int{"other": 403, "nobody": 403, "auditor": 403} {
		f.call(t, who, "POST", "/rotations", repointBody).want(t, status, "forbidden")
	}
	foreign := strings.Replace(repointBody, "aws-sm:prod/spare", "sealed:theirs", 1)
	f.call(t, "owner", "POST", "/rotations", foreign).want(t, 403, "forbidden")
	outside := strings.Replace(repointBody, "prod/spare", "staging/spare", 1)
	f.call(t, "root", "POST", "/rotations", outside).want(t, 422, "")
	f.call(t, "root", "POST", "/rotations", strings.Replace(repointBody, "prod/spare", "prod/notes", 1)).want(t, 422, "invalid")
	f.call(t, "root", "POST", "/rotations", strings.Replace(repointBody, "dev-notes", "none", 1)).want(t, 404, "not_found")
	for _, half := range []string{`{}`, `{"plan":"notes","server":"notes","binding":"dev-notes","fields":[{"name":"token","reference":"aws-sm:prod/spare#token"}]}`, `{"server":"notes","binding":"dev-notes"}`} {
		f.call(t, "root", "POST", "/rotations", half).want(t, 422, "invalid")
	}
	f.call(t, "owner", "POST", "/rotations", repointBody).want(t, 202, "")
	run, err := f.tables.Rotation(t.Context(), "prod", "binding/notes/dev-notes")
	if err != nil || run.From != "1" || run.Fields[0].Reference.String() != "aws-sm:prod/spare#token" || run.Before[0].Reference.String() != "aws-sm:prod/notes#token" {
		t.Fatalf("%+v, %v", run, err)
	}
	b, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "notes"}, "dev-notes")
	if err != nil || b.Version != 1 {
		t.Fatalf("the card has changed: %+v, %v", b, err)
	}
}
