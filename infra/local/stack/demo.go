package stack

import (
	"context"
	"encoding/json"
	"fmt"

	"bindery/shared/broker"
)

// The people and the agent of the demonstration, as its issuer knows them.
const (
	DemoIssuerName = "local"
	Alice          = "alice"
	Bob            = "bob"
	Agent          = "reporter"
	Admin          = "admin"
)

// administrators are the people at the command line, each with their group.
var administrators = map[string]string{Admin: "admins", "auditor": "auditors", "root": "owners", "owner": "platform"}

// adminAudience is in tokens for the admin API, which open no server.
const adminAudience = "bindery-admin"

// ownAudience is in tokens for the API of one's own connections.
const ownAudience = "bindery-connections"

// DemoAccounts are the claims of the demonstration's tokens. alice and bob each
// come in three forms: by themselves, through the agent "reporter", and as whoever
// sees and ends their own connections. admin, auditor, root (a super_admin) and
// owner (of the team that owns the servers) are administrators at the command
// line, and nobody to the servers.
func DemoAccounts() map[string]map[string]any {
	person := func(name, client string, groups ...string) map[string]any {
		return map[string]any{"sub": "user-" + name, "email": name + "@example.com", "email_verified": true,
			"groups": groups, "client_id": client}
	}
	accounts := map[string]map[string]any{
		"alice":          person("alice", "shell", "staff"),
		"bob":            person("bob", "shell", "staff"),
		"alice-reporter": person("alice", Agent, "staff"),
		"bob-reporter":   person("bob", Agent, "staff"),
		"reporter":       {"sub": Agent, "client_id": Agent},
	}
	for _, name := range []string{Alice, Bob} {
		accounts[name+"-own"] = person(name, "shell", "staff")
		accounts[name+"-own"]["aud"] = ownAudience
	}
	for name, group := range administrators {
		accounts[name] = person(name, "bindery-cli", group)
		accounts[name]["aud"] = adminAudience
	}
	return accounts
}

// DemoIssuers is the issuer document of the demonstration.
func DemoIssuers(issuer, environment string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"issuers": []any{map[string]any{
			"name": DemoIssuerName, "issuer": issuer, "kind": "user", "environments": []string{environment},
			"audiences":       []any{map[string]any{"audience": "bindery", "servers": []string{"*"}}},
			"admin_audiences": []string{adminAudience}, "connections_audiences": []string{ownAudience},
			"algorithms":    []string{"RS256"},
			"max_age":       "24h",
			"claims":        map[string]any{"principal": []string{"sub"}, "email": "email", "groups": "groups", "agent": []string{"client_id"}},
			"email_trusted": false,
			"groups":        map[string]string{"staff": "staff", "admins": "admins", "auditors": "auditors", "owners": "owners", "platform": "platform"},
			"agents":        "registered",
			"login":         map[string]any{"client_id": ConnectClient, "scopes": []string{"openid", "email"}},
		}},
		"roles":        map[string][]string{"mcp_admin": {"admins"}, "auditor": {"auditors"}, "super_admin": {"owners"}},
		"admin_agents": []string{DemoIssuerName + ":bindery-cli"},
	})
}

// DemoCredentials are the upstream credentials of the demonstration, by the
// name of the binding that uses them.
type DemoCredentials map[string]string

// Seed fills the catalogue of the demonstration: a store, two servers, the
// agent and its tools, and a binding for each of two people and for the agent.
func (d *Deployment) Seed(ctx context.Context, notesURL, everythingURL, issuer string) (DemoCredentials, error) {
	env := d.Config.Environment
	r := d.Registry
	made := DemoCredentials{}
	for _, name := range []string{"alice-notes", "bob-notes", "reporter-notes", "staff-everything"} {
		made[name] = RandomSecret("key-" + name + "-")
		text, err := json.Marshal(map[string]string{"token": made[name]})
		if err != nil {
			return nil, err
		}
		if err := d.PutSecret(ctx, env+"/"+name, string(text)); err != nil {
			return nil, err
		}
	}
	if err := r.PutStore(ctx, broker.Store{Environment: env, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{env + "/*"}, State: broker.Active}); err != nil {
		return nil, err
	}
	bearer := []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
	for name, url := range map[string]string{"notes": notesURL, "everything": everythingURL} {
		server := broker.Server{Environment: env, Name: name, State: broker.Active, Owner: "platform", URL: url, Attach: bearer,
			Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}}}
		if err := r.PutServer(ctx, server); err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
	}
	if err := d.seedAgents(ctx); err != nil {
		return nil, err
	}
	person := func(name string) broker.Actor {
		return broker.Actor{Principal: broker.PrincipalID(issuer, "user-"+name)}
	}
	bindings := []broker.Binding{
		{Server: "notes", Name: "alice-notes", Actor: person(Alice), Mode: broker.ServiceAccount},
		{Server: "notes", Name: "bob-notes", Actor: person(Bob), Mode: broker.ServiceAccount},
		{Server: "notes", Name: "reporter-notes", Actor: broker.Actor{Agent: DemoIssuerName + ":" + Agent}, Mode: broker.AgentScoped},
		{Server: "everything", Name: "staff-everything", Actor: broker.Actor{Group: "staff"}, Mode: broker.ServiceAccount},
	}
	for _, b := range bindings {
		reference, err := broker.ParseReference("aws-sm:" + env + "/" + b.Name + "#token")
		if err != nil {
			return nil, err
		}
		b.Environment, b.State, b.Source, b.Owner = env, broker.Active, broker.Static, "platform"
		b.Allow = broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}}
		b.Fields = []broker.Field{{Name: "token", Reference: reference}}
		if err := r.Bind(ctx, b); err != nil {
			return nil, fmt.Errorf("binding %s: %w", b.Name, err)
		}
	}
	return made, nil
}

// seedAgents registers the two client programs as agents, and the tools' risks.
func (d *Deployment) seedAgents(ctx context.Context) error {
	env := d.Config.Environment
	for id, ceiling := range map[string]broker.Risk{Agent: broker.Medium, "shell": broker.Critical} {
		agent := broker.Agent{Environment: env, ID: DemoIssuerName + ":" + id, State: broker.Active, Team: "platform", Ceiling: ceiling}
		if err := d.DB.PutAgent(ctx, agent); err != nil {
			return fmt.Errorf("agent %s: %w", id, err)
		}
	}
	tools := []broker.Tool{
		{Server: "notes", Name: "whoami", Risk: broker.Low, Teams: []string{"platform"}},
		{Server: "notes", Name: "count", Risk: broker.Low, Teams: []string{"platform"}},
		{Server: "notes", Name: "delete_everything", Risk: broker.Critical, Teams: []string{"platform"}},
		{Server: "everything", Name: "test_simple_text", Risk: broker.Low, Teams: []string{"platform"}},
	}
	for _, t := range tools {
		t.Environment, t.State, t.Owner = env, broker.Active, "platform"
		if err := d.DB.PutTool(ctx, t); err != nil {
			return fmt.Errorf("tool %s: %w", t.Name, err)
		}
	}
	return nil
}
