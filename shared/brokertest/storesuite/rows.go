package storesuite

import (
	"net/netip"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Rows with every field set, so that a field that does not come back is seen.

const (
	alice = "p-alice"
	robot = "okta:robot/v1#a%2F"
	tool  = "repos/create#now%"

	session = "s-digest/1#"
)

func reference(s string) broker.Reference {
	r, err := broker.StoredReference(s) // also of a time when ARNs were taken
	if err != nil {
		return broker.Reference{} // the rows' test finds it
	}
	return r
}

func fullEnvironment(environment string) broker.Environment {
	return broker.Environment{Name: environment, State: broker.Active, Policies: strings.Repeat("0f", 32), Shadow: strings.Repeat("e1", 32)}
}

func fullServer(environment string) broker.Server {
	return broker.Server{
		Environment: environment, Name: "github", State: broker.Active, Owner: "team-git", Description: "issues, \"pull requests\"", URL: "https://mcp.example.com/v1",
		Attach:    []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}},
		Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User"}},
		Networks:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fc00::/8")},
		Timeout:   1500*time.Millisecond + 1,
		Limits:    broker.Limits{CallsPerMinute: 600, Streams: 70, RequestBytes: 1 << 33, AnswerBytes: 1<<34 + 1},
		Proposer:  "p-proposer",
	}
}

func fullBinding(environment, name string, actor broker.Actor) broker.Binding {
	return broker.Binding{
		Environment: environment, Server: "github", Name: name, State: broker.Active, Actor: actor, Priority: -3,
		Allow:  broker.Allow{Tools: []string{"read*", "write"}, Prompts: []string{"*"}, Resources: []string{"file:///a b*"}},
		Mode:   broker.ServiceAccount,
		Source: broker.Static,
		Fields: []broker.Field{{Name: "token", Reference: reference("aws-sm:prod/github?stage=AWSPREVIOUS#token")},
			{Name: "user", Reference: reference("aws-sm:arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-AbCdEf#user")}},
		Provider: "github", Scopes: []string{"repo", "read:org \"x\""}, Audience: "https://api.example.com/é",
		Owner: "team-git", Origin: "o-digest", Expires: time.Date(2027, 1, 2, 3, 4, 5, 6, time.FixedZone("", 7200)),
		MaxAge: 5*time.Minute + 1,
	}
}

func fullStore(environment string) broker.Store {
	return broker.Store{Environment: environment, Name: "aws-sm", Kind: "awssm", Paths: broker.Scope{"prod/*", "shared/one"}, State: broker.Active,
		Address: "https://vault.example.com:8200", Namespace: "team/git", Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
		Auth:        broker.StoreAuth{Method: broker.AuthJWT, Mount: "jwt/prod", Role: "bindery", Credential: reference("sealed:vault-jwt")},
		MaxValueAge: 90 * 24 * time.Hour}
}

func fullAgent(environment string) broker.Agent {
	return broker.Agent{Environment: environment, ID: robot, State: broker.Active, Team: "team-bots", Ceiling: broker.High,
		Limits: broker.Limits{CallsPerMinute: 60, Streams: 7, RequestBytes: 1 << 20, AnswerBytes: 1<<21 + 1}}
}

func fullTool(environment string) broker.Tool {
	return broker.Tool{Environment: environment, Server: "github", Name: tool, State: broker.Active, Owner: "team-git",
		Risk: broker.Medium, Teams: []string{"team-bots", "*"}}
}

func fullMarker(environment string, kind broker.MarkerKind, id string) broker.Marker {
	return broker.Marker{Environment: environment, Kind: kind, ID: id, Epoch: 1, Revoked: true,
		At: time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC), By: "p-admin", Reason: "left the company: \"zoë\"\n", Revocation: "01KXYZ"}
}
