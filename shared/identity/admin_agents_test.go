package identity

import (
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

func TestAgentForAPersonAtTheAdminAPI(t *testing.T) {
	w := newAdminWorld(t, nil, map[string]any{"admin_agents": nil})
	w.turnsAway(w.adminToken(nil), AgentRefused) // nobody is listed
	w = newAdminWorld(t, nil, map[string]any{"admin_agents": []string{"corp:cli", "corp:caf\u00e9:1"}})
	w.admits(w.adminToken(nil))
	w.admits(w.adminToken(map[string]any{"client_id": "caf\u00e9:1"}))
	for _, client := range []string{
		"robot", "CLI", "cli ", "cl", "cli:", "corp:cli", "\uff43li", "cafe\u0301:1", "caf\u00e9", "caf\u00e9:1:1", "*",
	} {
		w.turnsAway(w.adminToken(map[string]any{"client_id": client}), AgentRefused)
	}
	w.turnsAway(w.adminToken(map[string]any{"client_id": nil}), AgentMissing)
	w.turnsAway(w.adminToken(map[string]any{"client_id": nil, "azp": "robot"}), AgentRefused)
}

func TestAgentOfAnotherIssuerWithAListedName(t *testing.T) {
	w, other := newAdminWorld(t, nil, nil), idp.New(t)
	w.doc = document(t, entry(w.idp, nil), entry(other, map[string]any{"name": "partner"}))
	w.doc.AdminAgents = []string{"corp:cli"}
	w.Verifier = w.process(nil)
	w.admits(w.adminToken(nil))
	for _, client := range []string{"cli", "corp:cli"} {
		w.turnsAway(other.Sign("k1", nil, w.claims(map[string]any{"iss": other.Issuer(), "aud": adminURL, "client_id": client})), AgentRefused)
	}
}

// Whoever acts must be known and listed: an act claim that the issuer is not
// trusted for may not hide behind the client's name, nor behind an issuer
// whose agents are ignored.
func TestAgentSmuggledInAnActClaim(t *testing.T) {
	act := func(v any) map[string]any { return map[string]any{"act": v} }
	robot, cli := map[string]any{"sub": "robot"}, map[string]any{"sub": "cli"}
	for name, edit := range map[string]map[string]any{
		"not trusted": nil, "agents ignored": {"agents": "ignored"},
		"agents ignored, act trusted": {"agents": "ignored", "act_trusted": true},
		"act is no agent claim":       {"act_trusted": true, "claims": map[string]any{"agent": []string{"client_id"}}},
		"workloads":                   {"kind": "workload"},
		"workloads, registered":       {"kind": "workload", "agents": "registered"},
	} {
		t.Run(name, func(t *testing.T) {
			top := map[string]any{}
			if edit["agents"] == "ignored" || name == "workloads" {
				top["admin_agents"] = nil
			}
			w := newAdminWorld(t, edit, top)
			w.admits(w.adminToken(nil))
			w.admits(w.adminToken(map[string]any{"act": nil}))
			for _, v := range []any{robot, cli, "robot", map[string]any{}, []any{robot}, true} {
				w.turnsAway(w.adminToken(act(v)), AgentRefused)
			}
		})
	}
	w := newAdminWorld(t, map[string]any{"act_trusted": true}, nil)
	w.admits(w.adminToken(act(cli)))
	w.admits(w.adminToken(map[string]any{"act": cli, "client_id": "robot"}))
	w.turnsAway(w.adminToken(act(robot)), AgentRefused)
	w.turnsAway(w.adminToken(act(map[string]any{})), AgentRefused) // nobody is named
	w.turnsAway(w.adminToken(act(map[string]any{"sub": "cli", "act": robot})), AgentRefused)
	w.turnsAway(w.adminToken(act(map[string]any{"sub": "cli", "act": "robot"})), AgentRefused)
}

func TestClientsOwnTokenWithAnActorAtTheAdminAPI(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"act_trusted": true}, nil)
	w.turnsAway(w.adminToken(map[string]any{"sub": "ci", "client_id": "ci", "act": map[string]any{"sub": "robot"}}), AgentRefused)
	w = newAdminWorld(t, map[string]any{"kind": "workload", "agents": "registered", "act_trusted": true}, nil)
	w.turnsAway(w.adminToken(map[string]any{"act": map[string]any{"sub": "robot"}}), AgentRefused)
	w.admits(w.adminToken(map[string]any{"act": map[string]any{"sub": "cli"}}))
}

func TestClientMayAdministerForItself(t *testing.T) {
	w := newAdminWorld(t, nil, map[string]any{"admin_agents": nil})
	p := w.admits(w.adminToken(map[string]any{"sub": "ci", "client_id": "ci", "groups": []string{"deployers"}}))
	if p.Kind != broker.Workload || !p.AgentOnly || p.Agent != "corp:ci" || len(p.Groups) != 1 {
		t.Errorf("principal %+v", p)
	}
}

func TestPersonWhereAgentsAreIgnoredMayAdminister(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"agents": "ignored"}, map[string]any{"admin_agents": nil})
	if p := w.admits(w.adminToken(nil)); p.Kind != broker.User || p.Agent != "" {
		t.Errorf("principal %+v", p)
	}
}

func TestAdminAgentsInTheDocument(t *testing.T) {
	const rule = "an agent is <issuer name>:<client id>"
	for list, want := range map[string]string{
		`["cli"]`: rule, `[""]`: rule, `["corp:"]`: rule, `[":cli"]`: rule, `["other:cli"]`: rule, `["Corp:cli"]`: rule,
		`["corp:a\nb"]`: rule, `["corp:\ud800"]`: rule, `["corp:` + strings.Repeat("c", broker.MaxID) + `"]`: rule,
		`["corp:cli","corp:cli"]`:              "admin_agents[1]: the agent is listed twice",
		`["corp:cli","corp:CLI"]`:              "admin_agents[1]: it differs",
		`["corp:caf\u00e9","corp:cafe\u0301"]`: "admin_agents[1]: it differs",
		`"corp:cli"`:                           "JSON", `[["corp:cli"]]`: "JSON",
	} {
		raw := strings.Replace(minimal, `{"issuers"`, `{"admin_agents":`+list+`,"issuers"`, 1)
		if _, err := Parse([]byte(raw), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %q", list, err, want)
		}
	}
	ignored := strings.Replace(minimal, `{"issuers"`, `{"admin_agents":["corp:cli"],"issuers"`, 1)
	if _, err := Parse([]byte(strings.Replace(ignored, `"kind"`, `"agents":"ignored","kind"`, 1)), false); err == nil {
		t.Error("an agent is listed whose issuer registers none")
	}
}
