package identity

import (
	"strings"
	"testing"

	"bindery/shared/broker"
)

func TestEmailCountsOnlyIfBelieved(t *testing.T) {
	untrusted, trusted := newWorld(t, nil), newWorld(t, map[string]any{"email_trusted": true})
	for name, claims := range map[string]map[string]any{
		"unverified": {"email_verified": false}, "not said": nil, "said as text": {"email_verified": "true"}, "said as number": {"email_verified": 1},
	} {
		if p := untrusted.accepts(untrusted.token(claims)); p.Email != "" {
			t.Errorf("%s: e-mail %q", name, p.Email)
		}
	}
	if p := untrusted.accepts(untrusted.token(map[string]any{"email_verified": true})); p.Email != "alice@corp.example" {
		t.Errorf("verified: %q", p.Email)
	}
	for _, bad := range []any{"alice", "a@b@c", "@corp.example", "alice@", "a@b\r\nX: y", 7, "Alice <a@b>", strings.Repeat("a", 600) + "@b", ""} {
		if p := trusted.accepts(trusted.token(map[string]any{"email": bad})); p.Email != "" {
			t.Errorf("%v: e-mail %q", bad, p.Email)
		}
	}
}

func TestActFromAnUntrustedIssuerIsIgnored(t *testing.T) {
	act := map[string]any{"act": map[string]any{"sub": "robot", "act": map[string]any{"sub": "inner"}}}
	w := newWorld(t, nil)
	if p := w.accepts(w.token(act)); p.Agent != "corp:cli" {
		t.Errorf("agent %q", p.Agent)
	}
	w = newWorld(t, map[string]any{"act_trusted": true})
	if p := w.accepts(w.token(act)); p.Agent != "corp:robot" || p.AgentOnly || p.Kind != broker.User {
		t.Errorf("the outermost actor is the agent: %+v", p)
	}
	if p := w.accepts(w.token(nil)); p.Agent != "corp:cli" {
		t.Errorf("agent %q", p.Agent)
	}
	w.refuses(w.token(map[string]any{"act": map[string]any{"sub": 7}}), ClaimMalformed)
}

func TestClientsOwnTokenIsNotAPerson(t *testing.T) {
	w := newWorld(t, map[string]any{"email_trusted": true})
	id := w.doc.Issuers[0].ClientID("cli")
	for name, claims := range map[string]map[string]any{
		"RFC 9068": {"sub": "cli"}, "Entra ID": {"idtyp": "app"}, "Auth0": {"gty": "client-credentials", "sub": "cli@clients"},
	} {
		p := w.accepts(w.token(claims))
		if p.ID != id || p.Kind != broker.Workload || p.Agent != "corp:cli" || !p.AgentOnly || p.Email != "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	w.refuses(w.token(map[string]any{"idtyp": "app", "client_id": nil}), AgentMissing)
	w.refuses(w.token(map[string]any{"client_id": strings.Repeat("c", 300)}), ClaimMalformed) // no record could hold it
	if id == w.doc.Issuers[0].PrincipalID("client", "cli") {
		t.Error("two principal claims can make a person the client")
	}
	w.refuses(w.token(map[string]any{"sub": "client\x00cli"}), ClaimMalformed) // what would make a person the client
	w = newWorld(t, map[string]any{"claims": map[string]any{"person": []string{"sid"}}})
	if p := w.accepts(w.token(nil)); !p.AgentOnly {
		t.Errorf("no session, yet a person: %+v", p)
	}
	if p := w.accepts(w.token(map[string]any{"sid": "s"})); p.AgentOnly || p.Kind != broker.User {
		t.Errorf("a session, yet no person: %+v", p)
	}
}

func TestAgentsOfAnIssuer(t *testing.T) {
	w := newWorld(t, map[string]any{"agents": "ignored"})
	if p := w.accepts(w.token(map[string]any{"client_id": nil})); p.Agent != "" || p.AgentOnly {
		t.Errorf("%+v", p)
	}
	if p := w.accepts(w.token(map[string]any{"sub": "cli"})); p.Agent != "corp:cli" || !p.AgentOnly {
		t.Errorf("a client that calls for itself is an agent all the same: %+v", p)
	}
	w = newWorld(t, map[string]any{"kind": "workload"})
	if p := w.accepts(w.token(nil)); p.Kind != broker.Workload || p.Agent != "" || p.AgentOnly {
		t.Errorf("%+v", p)
	}
	w = newWorld(t, map[string]any{"kind": "workload", "agents": "registered"})
	if p := w.accepts(w.token(nil)); p.Agent != "corp:cli" || !p.AgentOnly {
		t.Errorf("%+v", p)
	}
}

func TestGroupNames(t *testing.T) {
	w := newWorld(t, map[string]any{"groups": map[string]string{"00g1": "platform-team", "00g2": "platform-team"}})
	p := w.accepts(w.token(map[string]any{"groups": []string{"00g1", "platform-team", "00g2", "other:platform-team"}}))
	want := []string{"platform-team", "corp:platform-team", "corp:other:platform-team"}
	if strings.Join(p.Groups, " ") != strings.Join(want, " ") {
		t.Errorf("%q, want %q: no unmapped group may look like a mapped one", p.Groups, want)
	}
	if p := w.accepts(w.token(map[string]any{"groups": "00g1"})); len(p.Groups) != 1 || p.Groups[0] != "platform-team" {
		t.Errorf("%q", p.Groups)
	}
	if p := w.accepts(w.token(nil)); len(p.Groups) != 0 {
		t.Errorf("%q", p.Groups)
	}
	for name, claims := range map[string]map[string]any{
		"elsewhere": {"_claim_names": map[string]any{"groups": "src1"}}, "nonsense": {"_claim_names": "groups"},
		"has": {"hasgroups": true}, "has as text": {"hasgroups": "true"},
	} {
		if _, err := w.verify(w.token(claims)); ReasonOf(err) != GroupsOverage {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.accepts(w.token(map[string]any{"hasgroups": false, "_claim_names": map[string]any{"address": "src1"}}))
}

func TestPrincipalOfSeveralClaims(t *testing.T) {
	w := newWorld(t, map[string]any{"claims": map[string]any{"principal": []string{"tid", "oid"}}})
	first := w.accepts(w.token(map[string]any{"tid": "a", "oid": "bc"}))
	if second := w.accepts(w.token(map[string]any{"tid": "ab", "oid": "c"})); first.ID == second.ID {
		t.Error("two people are one")
	}
	if again := w.accepts(w.token(map[string]any{"tid": "a", "oid": "bc", "sub": "other"})); first.ID != again.ID {
		t.Error("sub counts although it is not a principal claim")
	}
	w.refuses(w.token(map[string]any{"tid": "a"}), ClaimMissing)
	w.refuses(w.token(map[string]any{"tid": "a\x00b", "oid": "c"}), ClaimMalformed)
}

func TestClaimPaths(t *testing.T) {
	c := &claimSet{map[string]any{
		"https://example.com/team": "url", "a/b": "slash", "a~b": "tilde",
		"kubernetes.io": map[string]any{"pod": map[string]any{"name": "deep"}}, "act": "text",
	}}
	for s, want := range map[string]any{
		"https://example.com/team": "url", "/a~1b": "slash", "/a~0b": "tilde", "/kubernetes.io/pod/name": "deep",
		"/act/sub": nil, "/kubernetes.io/pod/name/x": nil, "/none/x": nil, "none": nil,
	} {
		if got := c.lookup(newPath(s)); got != want {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
}

func TestRequiredClaims(t *testing.T) {
	w := newWorld(t, map[string]any{"require": map[string]string{"token_use": "access", "/org/id": "o1"}})
	good := map[string]any{"token_use": "access", "org": map[string]any{"id": "o1"}}
	w.accepts(w.token(good))
	for name, claims := range map[string]map[string]any{
		"missing": {"token_use": "access"}, "other": {"token_use": "access", "org": map[string]any{"id": "o2"}},
		"list": {"token_use": "access", "org": map[string]any{"id": []string{"o1"}}}, "object": {"token_use": "access", "org": map[string]any{"id": map[string]any{}}},
	} {
		if _, err := w.verify(w.token(claims)); ReasonOf(err) != RequirementUnmet {
			t.Errorf("%s: %v", name, err)
		}
	}
}
