package handler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

// noCase is the id of a case that is not there.
const noCase = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

const victim = "p-aliceaaaaaaaaaaaaaaaaaaaaa"

// newestCase is the id of the newest case, or of none.
func (f *fixture) newestCase(t testing.TB) string {
	t.Helper()
	found, err := f.tables.RevocationsOf(t.Context(), "prod", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return noCase
	}
	return found[0].ID
}

// newestRun is the id of the newest rotation, or of none.
func (f *fixture) newestRun(t testing.TB) string {
	t.Helper()
	found, _, err := f.tables.RotationsOf(t.Context(), "prod", "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return noCase
	}
	return found[0].ID
}

// stop asks for something to be revoked.
func (f *fixture) stop(t testing.TB, who, kind, subject string, query ...string) answer {
	t.Helper()
	body := map[string]string{"kind": kind, "subject": subject, "reason": "seen where it does not belong"}
	return f.call(t, who, "POST", "/revocations"+strings.Join(query, ""), body)
}

func (f *fixture) marker(t testing.TB, kind broker.MarkerKind, id string) broker.Marker {
	t.Helper()
	m, err := f.markerOf(t.Context(), kind, id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAStopIsAcknowledgedOnceAndAnsweredAlike, and its case is the receipt of the
// request.
func TestAStopIsAcknowledgedOnceAndAnsweredAlike(t *testing.T) {
	f := newFixture(t)
	first := f.stop(t, "admin", "principal", victim).want(t, 200, "")
	receipt := first.Header().Get("Bindery-Receipt")
	if first.body["revocation"] != receipt || first.body["revoked"] != true || first.body["already"] != false || first.body["recorded"] != true {
		t.Errorf("acknowledged as %s", first.Body)
	}
	again := f.stop(t, "root", "principal", victim).want(t, 200, "")
	if again.body["revocation"] != receipt || again.body["already"] != true || again.body["at"] != first.body["at"] {
		t.Errorf("asked again: %s", again.Body)
	}
	if m := f.marker(t, broker.PrincipalMarker, victim); !m.Revoked || m.By != "p-admin" || m.Revocation != receipt {
		t.Errorf("the marker: %+v", m)
	}
	var phases []string
	for _, r := range f.records(first) {
		phases = append(phases, string(r.Phase)+" "+r.Object+" "+r.Target)
	}
	if want := []string{"intent principal/" + victim + " revoke", "outcome principal/" + victim + " revoke"}; !slices.Equal(phases, want) {
		t.Errorf("recorded %q", phases)
	}
	view := f.call(t, "auditor", "GET", "/revocations/"+receipt, nil).want(t, 200, "")
	if view.body["by"] != "p-admin" || view.body["via"] != "admin" || view.body["work"] != "open" || view.body["reason"] != "seen where it does not belong" {
		t.Errorf("the case: %s", view.Body)
	}
}

// TestALiftingIsADecisionThatOwnersDoNotMake.
func TestALiftingIsADecisionThatOwnersDoNotMake(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	id := f.stop(t, "owner", "binding", "notes/dev-notes").want(t, 200, "").body["revocation"].(string)
	lift := func(who, query string) answer {
		t.Helper()
		return f.call(t, who, "POST", "/revocations/"+id+"/lift"+query, liftBody)
	}
	for _, who := range []string{"owner", "other", "auditor", "second", "nobody"} {
		lift(who, "").want(t, 403, "forbidden")
	}
	if a := lift("admin", "?dry_run=true").want(t, 200, ""); a.body["revoked"] != true || a.body["already"] != false || a.body["dry_run"] != true {
		t.Errorf("what it would do: %s", a.Body)
	}
	first := lift("admin", "").want(t, 200, "")
	if first.body["revoked"] != false || first.body["epoch"] != 2.0 || first.body["revocation"] == id {
		t.Errorf("lifted: %s", first.Body)
	}
	if again := lift("root", "").want(t, 200, ""); again.body["already"] != true || again.body["revocation"] != first.body["revocation"] {
		t.Errorf("asked again: %s", again.Body)
	}
	f.call(t, "root", "POST", "/revocations/"+first.body["revocation"].(string)+"/lift", liftBody).want(t, 422, "invalid")
	f.call(t, "root", "POST", "/revocations/"+noCase+"/lift", liftBody).want(t, 404, "not_found")
	f.stop(t, "owner", "binding", "notes/dev-notes").want(t, 200, "")
	lift("root", "").want(t, 412, "version_conflict")
}

// TestWhoMayStopWhat, and what somebody may not stop looks like what is not there.
func TestWhoMayStopWhat(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/agents/corp:reporter", agentBody, "If-None-Match", "*").want(t, 200, "")
	session := strings.TrimPrefix(victim, "p-")
	everybody := []string{"root", "admin", "owner", "other", "auditor", "second", "nobody"}
	admins := []string{"root", "admin"}
	for _, c := range []struct {
		kind, subject string
		may           []string
	}{
		{"principal", victim, admins}, {"agent", "corp:reporter", admins}, {"session", session, admins}, {"group", "team-x", admins},
		{"server", "notes", admins}, {"store", "aws-sm", admins}, {"reference", "aws-sm:prod/notes#token", admins}, {"grant", victim + "/notes", admins},
		{"binding", "notes/dev-notes", append(admins, "owner")},
		{"issuer", "corp", []string{"root"}}, {"environment", "prod", []string{"root"}}, {"everything", "prod", []string{"root"}},
	} {
		for _, who := range everybody {
			a := f.stop(t, who, c.kind, c.subject, "?dry_run=true")
			if slices.Contains(c.may, who) {
				a.want(t, 200, "")
			} else {
				a.want(t, 403, "forbidden")
			}
		}
		f.stop(t, "root", c.kind, c.subject).want(t, 200, "")
	}
	for kind, none := range map[string]string{"server": "none", "binding": "notes/none", "store": "none", "agent": "corp:none", "grant": victim + "/none"} {
		f.stop(t, "root", kind, none).want(t, 404, "not_found")
		f.stop(t, "other", kind, none).want(t, 403, "forbidden")
	}
	f.stop(t, "owner", "binding", "notes/none").want(t, 404, "not_found")
	if m := f.marker(t, broker.IssuerMarker, corpIssuer); !m.Revoked {
		t.Error("the issuer was not stopped by its URL")
	}
}

// TestEverythingIsStoppedByNobodyByMistake.
func TestEverythingIsStoppedByNobodyByMistake(t *testing.T) {
	f := newFixture(t)
	ask := func(who, subject, reason string) answer {
		t.Helper()
		return f.call(t, who, "POST", "/revocations", map[string]string{"kind": "everything", "subject": subject, "reason": reason})
	}
	ask("root", "prod", "because").want(t, 422, "invalid")
	ask("root", "staging", "all keys are in the open").want(t, 422, "invalid")
	ask("admin", "prod", "all keys are in the open").want(t, 403, "forbidden")
	if f.marker(t, broker.EverythingMarker, "prod").Epoch != 0 {
		t.Fatal("something was stopped")
	}
	id := ask("root", "prod", "all keys are in the open").want(t, 200, "").body["revocation"].(string)
	f.call(t, "admin", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 403, "forbidden")
	f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 200, "")
}

// TestAStopSaysNothingOfWhatWasSent: an e-mail is no principal, and is neither
// repeated nor recorded.
func TestAStopSaysNothingOfWhatWasSent(t *testing.T) {
	f := newFixture(t)
	f.stop(t, "admin", "principal", "alice@example.com").want(t, 422, "invalid")
	f.stop(t, "root", "issuer", "alice@example.com").want(t, 422, "invalid")
	f.call(t, "admin", "POST", "/revocations", map[string]string{"kind": "group", "subject": "team-x", "reason": "password=" + canary}).want(t, 422, "literal_secret")
	for name, said := range map[string]string{"answers": f.seen.String(), "records": f.recorded.String(), "log": f.log.String()} {
		if strings.Contains(said, "alice@") || strings.Contains(said, canary) {
			t.Errorf("%s repeat it: %s", name, said)
		}
	}
}

// TestAStopIsMadeWithoutCatalogueAndAudit: the answer says what is missing. A
// lifting waits.
func TestAStopIsMadeWithoutCatalogueAndAudit(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for range 30 {
		f.tables.Inject(memory.Append, memory.Refuse())
		f.tables.Inject(memory.ReadServer, memory.Refuse())
	}
	a := f.stop(t, "admin", "server", "notes").want(t, 200, "")
	if a.body["recorded"] != false || a.body["revoked"] != true || !f.marker(t, broker.ServerMarker, "notes").Revoked {
		t.Errorf("acknowledged as %s", a.Body)
	}
	f.stop(t, "owner", "server", "notes").want(t, 403, "")
	f.call(t, "admin", "POST", "/revocations/"+a.body["revocation"].(string)+"/lift", liftBody).want(t, 503, "audit_unavailable")
	f.tables.Clear()
	if records := f.records(a); len(records) != 0 {
		t.Errorf("a stop that was made is recorded as %+v", records)
	}
	if !f.marker(t, broker.ServerMarker, "notes").Revoked || !strings.Contains(f.log.String(), "a stop could not be recorded") {
		t.Error("it was let go, or nothing was said")
	}
}

// silent is a revocation function that does not answer.
type silent struct{}

func (silent) Revoke(context.Context, revoke.Order) (revoke.Acknowledgement, error) {
	return revoke.Acknowledgement{}, broker.ErrUnavailable
}
func (silent) Lift(context.Context, revoke.Lifting) (revoke.Acknowledgement, error) {
	return revoke.Acknowledgement{}, errors.New("unforeseen: " + canary)
}

// TestWithoutTheFunctionNothingIsAcknowledged.
func TestWithoutTheFunctionNothingIsAcknowledged(t *testing.T) {
	f := newFixture(t)
	id := f.stop(t, "root", "principal", victim).body["revocation"].(string)
	f.RevokeThrough(silent{})
	f.stop(t, "root", "group", "team-x").want(t, 503, "unavailable")
	f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 500, "internal")
	if strings.Contains(f.log.String()+f.seen.String(), canary) {
		t.Error("what it said was repeated")
	}
}

// TestANameMayLookRandom: an issuer gave it, and it is to be stopped.
func TestANameMayLookRandom(t *testing.T) {
	f := newFixture(t)
	f.stop(t, "root", "agent", "corp:0oaQ7hZ2kT9wLmV7xBn2").want(t, 404, "not_found")
	f.stop(t, "root", "group", "corp:0oaQ7hZ2kT9wLmV7xBn2").want(t, 200, "")
}

// TestADryRunStopsNothing.
func TestADryRunStopsNothing(t *testing.T) {
	f := newFixture(t)
	a := f.stop(t, "admin", "principal", victim, "?dry_run=true").want(t, 200, "")
	if a.body["revoked"] != false || a.body["already"] != false || a.body["dry_run"] != true || a.body["revocation"] != nil || f.marker(t, broker.PrincipalMarker, victim).Epoch != 0 {
		t.Errorf("answered %s", a.Body)
	}
	id := f.stop(t, "admin", "principal", victim).body["revocation"]
	if a := f.stop(t, "admin", "principal", victim, "?dry_run=true").want(t, 200, ""); a.body["already"] != true || a.body["revocation"] != id {
		t.Errorf("of what is stopped: %s", a.Body)
	}
}

// TestAGroupThatNobodyCanHaveIsNotStopped: who mistypes one is told, before
// anything is asked of the function, and how groups are named.
func TestAGroupThatNobodyCanHaveIsNotStopped(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"Team-x", "team-y", "corp:3", "other:team-x", "corp:"} {
		for _, query := range []string{"?dry_run=true", ""} {
			a := f.stop(t, "root", "group", name, query).want(t, 422, "invalid")
			if detail, _ := a.body["detail"].(string); !strings.Contains(detail, "<issuer name>:<group id>") || strings.Contains(detail, name) {
				t.Errorf("%s%s was answered %s", name, query, a.Body)
			}
		}
		if f.marker(t, broker.GroupMarker, name).Epoch != 0 {
			t.Errorf("%s is stopped", name)
		}
	}
}
