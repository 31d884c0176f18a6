package main

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"bindery/shared/broker"
	"bindery/shared/policy"
)

// sampleAccounts are whose tokens the words of events stand for. What follows a
// space in a name is for what the token is good.
func sampleAccounts() map[string]map[string]any {
	accounts := map[string]map[string]any{
		"alice github": {"aud": sampleURL + "/mcp/prod/github", "scope": "mcp", "groups": []string{"g1"}},
		"alice files":  {"aud": sampleURL + "/mcp/prod/files", "groups": []string{"g1"}},
		"alice narrow": {"aud": sampleURL + "/mcp/prod/github", "scope": "other"},
		"alice own":    {"aud": sampleURL + "/connections"},
	}
	for account, claims := range accounts {
		claims["sub"], claims["email"], claims["client_id"] = "alice", "alice@example.com", "console"
		accounts[account] = claims
	}
	accounts["alice own"]["email"], accounts["alice own"]["email_verified"] = "made-up@corp.example", true
	for name, group := range map[string]string{"admin": "admins", "auditor": "auditors", "root": "roots", "nobody": "others"} {
		accounts[name] = map[string]any{"sub": name, "aud": sampleURL + "/admin/v1", "groups": []string{group}, "scope": "mcp"}
	}
	return accounts
}

// document is the scene's issuer document.
func (s scene) document(issuer string) ([]byte, error) {
	one := map[string]any{"name": "corp", "issuer": issuer, "kind": "user", "environments": []string{sampleEnvironment},
		"algorithms": []string{"RS256"}, "claims": map[string]any{"principal": []string{"sub"}, "email": "email"}}
	maps.Copy(one, s.issuer)
	all := map[string]any{"issuers": []any{one}}
	if s.roles != nil {
		all["roles"] = s.roles
	}
	return json.Marshal(all)
}

// scenes are the functions and what their events presume.
func scenes() []scene {
	return []scene{
		{folder: "proxy", function: "ProxyFunction", form: page{}, seed: seedProxy,
			issuer: map[string]any{"claims": map[string]any{"principal": []string{"sub"}, "email": "email", "groups": "groups"},
				"groups": map[string]string{"g1": "dev"}, "agents": "ignored", "email_trusted": true},
			words: map[string]string{"TOKEN": "alice github", "FILES-TOKEN": "alice files"},
			apart: map[string]apart{
				"get-stream":         {"SAM cannot stream, so there are no lasting streams", "405 application/json method_not_allowed"},
				"get-stream-consent": {"SAM cannot stream, so there are no lasting streams", "405 application/json method_not_allowed"},
			}},
		{folder: "authorizer", function: "AuthorizerFunction", form: verdict{}, names: []string{"p-alice", "PRINCIPAL"},
			issuer: map[string]any{"agents": "ignored", "scopes": []string{"mcp"}},
			words:  map[string]string{"TOKEN": "alice github", "NARROW": "alice narrow"}},
		{folder: "admin", function: "AdminFunction", form: page{}, seed: seedAdmin, changes: true,
			issuer: map[string]any{"claims": map[string]any{"principal": []string{"sub"}, "groups": "groups"}, "agents": "ignored", "scopes": []string{"mcp"},
				"groups": map[string]string{"admins": "admins", "auditors": "auditors", "roots": "roots"}},
			roles: map[string][]string{"mcp_admin": {"admins"}, "auditor": {"auditors"}, "super_admin": {"roots"}},
			words: map[string]string{"TOKEN": "admin", "AUDITOR": "auditor", "SUPER": "root", "NOBODY": "nobody"},
			apart: map[string]apart{
				"check-store":    {why: "the local endpoint permits everything, so a warning says that it permits too much"},
				"openapi":        {why: "the golden file has the head of the document"},
				"verify-binding": {why: "the upstream of the sample is nowhere, so the answer says so"},
			}},
		{folder: "callback", function: "CallbackFunction", form: page{}, seed: seedCallback, changes: true,
			issuer: map[string]any{"login": map[string]any{"client_id": "bindery"}}, names: callbackNames()},
		{folder: "ledger", function: "LedgerFunction", form: result{}, seed: seedLedger, changes: true,
			apart: map[string]apart{"rebuild-on": {why: "where a scan finds the row that is no record is the endpoint's to choose"}}},
		{folder: "outbox", function: "OutboxFunction", form: result{}},
		{folder: "revocation", function: "RevocationFunction", form: result{}, seed: seedRevocation, changes: true,
			issuer: map[string]any{"issuer": sampleIssuer, "claims": map[string]any{"principal": []string{"sub"}, "groups": "groups"}, "groups": map[string]string{"00g1": "team-a"}}},
		{folder: "rotation", function: "RotationFunction", form: result{}, seed: seedProxy, changes: true,
			// The account and region of the samples; nothing here is sealed.
			settings: map[string]string{"BINDERY_VALUES_KEY": "arn:aws:kms:eu-central-1:111122223333:alias/local-values"},
			apart:    rotationApart()},
		{folder: "cleanup", function: "CleanupFunction", form: result{}, seed: seedCleanup, changes: true},
	}
}

// rotationApart: the golden answers are of a search, an engine and grants that
// are made up.
func rotationApart() map[string]apart {
	counts := apart{why: "the counts are of what there is, which is less than in the golden file"}
	unknown := apart{why: "the secret of the sample is in no store here", want: "error"}
	all := map[string]apart{"create-secret-step": unknown, "finish-secret-step": unknown, "unannounced-step": unknown}
	for _, name := range []string{"drift", "rotate", "refresh", "reencrypt", "cancel-rotation", "delete-secret", "put-secret-value", "restore-secret",
		"rotation-succeeded", "secret-by-name-alone", "update-secret", "update-version-stage"} {
		all[name] = counts
	}
	return all
}

// seedProxy has a server with a shared credential, one where everybody uses their
// own, and policies in force.
func seedProxy(ctx context.Context, s *stage) error {
	reference, err := broker.ParseReference("aws-sm:prod/github#token")
	if err != nil {
		return err
	}
	const policies = `@id("no-urgent-issues") forbid (principal, action == Action::"call_tool", resource)
		when { context.arguments has title && context.arguments.title like "*URGENT*" };
		@id("four-eyes") @demand("approval") forbid (principal, action == Action::"call_tool", resource) when { context.tool == "merge" };`
	set := broker.PolicySet{Environment: sampleEnvironment, ID: policy.DocumentID(policies, ""), Text: policies, At: time.Now().UTC(), By: "p-made-up"}
	dev := broker.Actor{Group: "dev"}
	return fill(
		func() error {
			return s.PutSecret(ctx, "prod/github", `{"token":"made-up-canary-7Yq2vJx9LmZt"}`)
		},
		func() error {
			return s.Registry.PutStore(ctx, broker.Store{Environment: sampleEnvironment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active})
		},
		func() error { return s.server(ctx, "github", s.upstream+"/mcp") },
		func() error {
			return s.Registry.Bind(ctx, broker.Binding{Environment: sampleEnvironment, Server: "github", Name: "dev-github", State: broker.Active, Actor: dev, Owner: "platform",
				Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Fields: []broker.Field{{Name: "token", Reference: reference}}})
		},
		func() error {
			return s.DB.PutProvider(ctx, broker.Provider{Environment: sampleEnvironment, Name: "acme", State: broker.Active, Issuer: "https://acme.example.com",
				Registration: broker.Preregistered, ClientAuth: broker.ClientNone, ClientID: "bindery"})
		},
		func() error { return s.server(ctx, "files", "https://files.example.com/mcp") },
		func() error {
			return s.Registry.Bind(ctx, broker.Binding{Environment: sampleEnvironment, Server: "files", Name: "own-files", State: broker.Active, Actor: dev, Owner: "platform",
				Allow: everything(), Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Provider: "acme", Scopes: []string{"files.read"}})
		},
		func() error { return s.DB.AddPolicySet(ctx, set) },
		func() error {
			open, err := s.DB.Environment(ctx, sampleEnvironment)
			if err != nil {
				return err
			}
			open.Policies = set.ID
			return s.DB.PutEnvironment(ctx, open)
		},
	)
}

func (s *stage) server(ctx context.Context, name, url string) error {
	return s.Registry.PutServer(ctx, broker.Server{Environment: sampleEnvironment, Name: name, State: broker.Active, Owner: "platform", URL: url, Attach: bearer(),
		Networks: s.w.bridge.networks(), Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}}})
}

// seedAdmin registers a store, a server and a card, as the golden answers of the
// admin API presume.
func seedAdmin(ctx context.Context, s *stage) error {
	reference, err := broker.ParseReference("aws-sm:prod/notes#token")
	if err != nil {
		return err
	}
	return fill(
		func() error { return s.PutSecret(ctx, "prod/notes", `{"token":"made-up-canary-3kT9wQzLmV7x"}`) },
		func() error { return s.PutSecret(ctx, "prod/spare", `{"token":"made-up-spare-3kT9wQzLm"}`) },
		func() error {
			return s.Registry.PutStore(ctx, broker.Store{Environment: sampleEnvironment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active})
		},
		func() error {
			return s.Registry.PutServer(ctx, broker.Server{Environment: sampleEnvironment, Name: "notes", State: broker.Active, Owner: "team-notes", URL: "https://notes.example.com/mcp", Attach: bearer()})
		},
		func() error {
			return s.Registry.Bind(ctx, broker.Binding{Environment: sampleEnvironment, Server: "notes", Name: "dev-notes", State: broker.Active, Owner: "team-notes",
				Actor: broker.Actor{Group: "dev"}, Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static,
				Fields: []broker.Field{{Name: "token", Reference: reference}}})
		},
	)
}
