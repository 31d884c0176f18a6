package handler

import (
	"context"
	"net/http"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// leaver is an administrator who comes by an agent of an issuer.
var leaver = broker.Principal{ID: "p-leaveraaaaaaaaaaaaaaaaaaaa", Kind: broker.User, Issuer: corpIssuer, Agent: "corp:console", Groups: []string{"team-x", "roots"}}

// leaving is the issuer of one more.
type leaving struct{ tokens }

func (l leaving) VerifyAdmin(ctx context.Context, r *http.Request) (broker.Principal, error) {
	if r.Header.Get("Authorization") == "Bearer leaver" {
		return leaver, nil
	}
	return l.tokens.VerifyAdmin(ctx, r)
}

// TestWhoIsRevokedAdministersNoMore, and lifts least of all what stopped them.
func TestWhoIsRevokedAdministersNoMore(t *testing.T) {
	for kind, id := range map[string]string{"principal": leaver.ID, "agent": leaver.Agent, "issuer": corpIssuer, "group": "team-x"} {
		f := newFixture(t)
		f.verifier = leaving{}
		f.call(t, "root", "PUT", "/agents/corp:console", agentBody, "If-None-Match", "*").want(t, 200, "")
		f.call(t, "leaver", "GET", "/me", nil).want(t, 200, "")
		id := f.stop(t, "leaver", kind, id, "").want(t, 200, "").body["revocation"].(string)
		for _, a := range []answer{
			f.call(t, "leaver", "POST", "/revocations/"+id+"/lift", liftBody),
			f.stop(t, "leaver", "group", "team-other"),
			f.call(t, "leaver", "GET", "/me", nil),
			f.call(t, "leaver", "GET", "/no-such-thing", nil),
		} {
			a.want(t, 403, "forbidden")
			if found := f.records(a); len(found) != 1 || found[0].Phase != broker.Refused || found[0].Principal != leaver.ID || found[0].Reason != broker.Reason(kind+"_revoked") {
				t.Errorf("%s: recorded %+v", kind, found)
			}
		}
		if f.marker(t, broker.GroupMarker, "team-other").Epoch != 0 {
			t.Errorf("%s: they stopped others", kind)
		}
		f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 200, "")
		f.call(t, "leaver", "GET", "/me", nil).want(t, 200, "")
	}
}

// TestAStopOfEverythingLocksNoAdministratorOut: they have to let go.
func TestAStopOfEverythingLocksNoAdministratorOut(t *testing.T) {
	for _, kind := range []string{"environment", "everything"} {
		f := newFixture(t)
		id := f.stop(t, "root", kind, "prod").want(t, 200, "").body["revocation"].(string)
		f.call(t, "auditor", "GET", "/me", nil).want(t, 200, "")
		f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 200, "")
	}
}

// TestNobodyAdministersWhileMarkersCannotBeRead.
func TestNobodyAdministersWhileMarkersCannotBeRead(t *testing.T) {
	f := newFixture(t)
	f.tables.Inject(memory.ReadMarkers, memory.Refuse())
	f.stop(t, "root", "group", "team-x").want(t, 503, "unavailable")
	if f.marker(t, broker.GroupMarker, "team-x").Epoch != 0 {
		t.Error("it was stopped")
	}
}
