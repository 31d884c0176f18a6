//go:build e2e && !nonode

package e2e

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// TestUnknownForbiddenAndRevokedLookTheSame to the caller, byte for byte, and
// differ in the record.
func TestUnknownForbiddenAndRevokedLookTheSame(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.simple(u)
	_, reference := d.secret("own")
	with := func(name string, change func(*broker.Binding)) {
		d.server(name, u.URL)
		d.bind(d.card(name, "card", group("ops"), reference), change)
	}
	with("suspended", func(b *broker.Binding) { b.State = broker.Suspended })
	with("revoked", func(b *broker.Binding) { b.State = broker.Revoked })
	with("expired", func(b *broker.Binding) { b.Expires = time.Now().Add(-time.Hour) })
	with("tool-closed", func(b *broker.Binding) { b.Allow.Tools = []string{"other"} })
	with("agents-only", func(b *broker.Binding) { b.Actor, b.Mode = broker.Actor{Agent: shellAgent}, broker.AgentScoped })
	d.server("closed", u.URL, func(s *broker.Server) { s.State = broker.Suspended })
	d.revoke(broker.PrincipalMarker, person(carol).Principal)

	type seen struct {
		status int
		body   string
		header http.Header
	}
	var first *seen
	reasons := map[broker.Reason]bool{}
	for _, c := range []struct {
		who, server string
		reason      broker.Reason
	}{
		{bob, "no-such-server", broker.ServerUnknown},
		{bob, "notes", broker.NoBinding},
		{carol, "notes", broker.PrincipalRevoked},
		{bob, "suspended", broker.BindingClosed},
		{bob, "revoked", broker.BindingClosed},
		{bob, "expired", broker.BindingExpired},
		{bob, "tool-closed", broker.NoBinding},
		{bob, "agents-only", broker.ToolNotOfTeam},
		{bob, "closed", broker.ServerClosed},
	} {
		a := d.post(c.who, c.server)
		d.refused(a, c.reason)
		reasons[c.reason] = true
		now := &seen{a.status, a.body, a.header.Clone()}
		now.header.Del("Bindery-Receipt")
		now.header.Del("Date")
		if first == nil {
			first = now
		}
		if now.status != first.status || now.body != first.body || !maps.EqualFunc(now.header, first.header, func(a, b []string) bool { return len(a) == 1 && len(b) == 1 && a[0] == b[0] }) {
			t.Errorf("%s at %s can be told apart: %+v, the first was %+v", c.who, c.server, now, first)
		}
	}
	if first.status != http.StatusForbidden || len(reasons) < 7 {
		t.Errorf("status %d, %d different reasons", first.status, len(reasons))
	}
	u.untouched(t)
}

// TestARevocationHoldsFromTheNextCallOn, for a person and for an agent.
func TestARevocationHoldsFromTheNextCallOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.simple(u)
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	d.revoke(broker.AgentMarker, shellAgent)
	d.refused(d.post(alice, "notes"), broker.AgentRevoked)
	d.revoke(broker.PrincipalMarker, person(alice).Principal)
	if r := d.records(d.post(alice, "notes")); len(r) != 1 || r[0].Phase != broker.Refused {
		t.Errorf("records %+v", r)
	}
	if n := len(u.arrivals()); n != 1 {
		t.Errorf("the upstream got %d requests", n)
	}
}

// TestAReferenceOutsideItsScopeIsRefusedBeforeAnyRequestLeaves, whoever wrote
// it into the row.
func TestAReferenceOutsideItsScopeIsRefusedBeforeAnyRequestLeaves(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.simple(u)
	foreign := d.canary()
	must(t, d.PutSecret(t.Context(), "elsewhere-"+d.env+"/root", object("token", foreign)))
	for server, c := range map[string]struct {
		reference string
		reason    broker.Reason
	}{
		"outside":      {"aws-sm:elsewhere-" + d.env + "/root#token", broker.ReferenceOutside},
		"by-arn":       {"aws-sm:arn:aws:secretsmanager:us-east-1:123456789012:secret:" + d.env + "/notes#token", broker.ReferenceOutside},
		"begins-alike": {"aws-sm:" + d.env + "-other/notes#token", broker.ReferenceOutside},
		"no-store":     {"vault:" + d.env + "/notes#token", broker.StoreUnregistered},
	} {
		s := d.server(server, u.URL)
		card := d.card(server, "card", group("dev"), c.reference)
		if err := d.Registry.Bind(t.Context(), card); err == nil {
			t.Errorf("%s: the card was made", server)
		}
		var err error
		card.Origin, err = broker.OriginDigest(s.URL)
		must(t, err)
		must(t, d.DB.PutBinding(t.Context(), card)) // as somebody with access to the table would
		a := d.post(alice, server)
		a.want(t, http.StatusForbidden, forbidden)
		d.refused(a, c.reason)
	}
	if n := d.faults.Count("GetSecretValue"); n != 0 {
		t.Errorf("%d requests left for Secrets Manager", n)
	}
	u.untouched(t)
}

func TestAnAgentMayNotUseAToolAboveItsCeiling(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	d.server("notes", u.URL)
	key, reference := d.secret("agent")
	d.bind(d.card("notes", "agent-notes", broker.Actor{Agent: reporterAgent}, reference), func(b *broker.Binding) { b.Mode = broker.AgentScoped })
	tool := broker.Tool{Environment: d.env, Server: "notes", Name: "whoami", State: broker.Active, Owner: "platform", Teams: []string{"platform"}}
	for _, step := range []struct {
		risk   broker.Risk
		reason broker.Reason
	}{{broker.Medium, ""}, {broker.High, broker.AgentAboveCeiling}, {broker.Critical, broker.AgentAboveCeiling}, {broker.Low, ""}} {
		tool.Risk = step.risk
		must(t, d.DB.PutTool(t.Context(), tool))
		tool.Version++
		before, a := len(u.arrivals()), d.post(reporter, "notes")
		if step.reason != "" {
			a.want(t, http.StatusForbidden, forbidden)
			d.refused(a, step.reason)
			if len(u.arrivals()) != before {
				t.Error("the tool was called")
			}
			continue
		}
		a.want(t, http.StatusOK, "[masked:agent-notes]")
		u.carried(t, key)
	}
	unknown := func(r *http.Request) { *r = *d.request(reporter, "notes", legacy, unrecordedTool) }
	d.refused(d.post(reporter, "notes", unknown), broker.AgentAboveCeiling)
}

const unrecordedTool = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"new_at_the_upstream","arguments":{}}}`

// TestAMovedServerNeedsANewApproval: a credential that was approved for one
// origin never reaches another.
func TestAMovedServerNeedsANewApproval(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	old, moved := d.upstream(echo()), d.upstream(echo())
	server := d.server("notes", old.URL)
	key, reference := d.secret("notes")
	card := d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	origin, err := broker.OriginDigest(old.URL)
	must(t, err)
	_, err = d.Sealed.Put(t.Context(), d.env, "sealed-token", origin, secret.New(d.canary()))
	must(t, err)
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")

	server.URL = moved.URL
	must(t, d.Registry.PutServer(t.Context(), server))
	a := d.post(alice, "notes")
	a.want(t, http.StatusForbidden, forbidden)
	d.refused(a, broker.BindingPending)
	moved.untouched(t)
	if err := d.Registry.Bind(t.Context(), d.card("notes", "sealed-notes", group("dev"), "sealed:sealed-token")); err == nil {
		t.Error("a value sealed for the old origin was bound at the new one")
	}
	d.bind(card)
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	moved.carried(t, key)
	if n := len(old.arrivals()); n != 1 {
		t.Errorf("the old upstream got %d requests", n)
	}
}
