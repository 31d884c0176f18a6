package handler

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func TestGoodTokenIsAllowedOnItsRouteAlone(t *testing.T) {
	f := newFixture(t)
	answer, err := f.Authorize(t.Context(), asks(route, "Bearer "+f.token("mcp")))
	if err != nil {
		t.Fatal(err)
	}
	const base = "arn:aws:execute-api:eu-central-1:111122223333:a1b2c3d4e5/live/"
	want := []string{base + "DELETE" + route, base + "GET" + route, base + "POST" + route}
	statement := answer.PolicyDocument.Statement[0]
	if diff := cmp.Diff(want, statement.Resource); diff != "" || statement.Effect != "Allow" || len(answer.Context) > 0 {
		t.Errorf("%+v\n%s", answer, diff)
	}
	if answer.PrincipalID != broker.PrincipalID(f.issuer.Issuer(), "alice") {
		t.Errorf("principal %q", answer.PrincipalID)
	}
}

// TestEverythingElseIsUnauthorized: the error must have the one text that API
// Gateway turns into a 401.
func TestEverythingElseIsUnauthorized(t *testing.T) {
	f := newFixture(t)
	good := "Bearer " + f.token("mcp")
	hidden := asks(route, good)
	hidden.MultiValueQueryStringParameters = map[string][]string{"access_token": {"x"}}
	onlySingle := asks(route)
	onlySingle.Headers = map[string]string{"Authorization": good}
	for name, e := range map[string]request{
		"no token":                      asks(route),
		"another scheme":                asks(route, "Basic YTpi"),
		"garbage":                       asks(route, "Bearer garbage"),
		"two tokens":                    asks(route, good, good),
		"a token in the query":          hidden,
		"only the last of many headers": onlySingle,
		"another server":                asks("/mcp/prod/jira", good),
		"another environment":           asks("/mcp/dev/github", good),
		"wildcard for a server":         asks("/mcp/prod/*", good),
		"wildcard for all":              asks("/mcp/*/*", good),
		"further segment":               asks(route+"/x", good),
		"slash at the end":              asks(route+"/", good),
		"percent-encoding":              asks("/mcp/prod/git%68ub", good),
		"no server":                     asks("/mcp/prod", good),
		"metadata":                      asks("/.well-known/oauth-protected-resource"+route, good),
		"stage in the path":             asks("/live"+route, good),
		"nothing":                       {},
	} {
		answer, err := f.Authorize(t.Context(), e)
		if err == nil || err.Error() != "Unauthorized" || answer.PrincipalID != "" || len(answer.PolicyDocument.Statement) > 0 {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
	}
}

// TestScopeTooSmallCarriesTheChallenge: the whole of it, so that a client can
// ask for the scope.
func TestScopeTooSmallCarriesTheChallenge(t *testing.T) {
	f := newFixture(t)
	answer, err := f.Authorize(t.Context(), asks(route, "Bearer "+f.token("other")))
	want := map[string]any{"challenge": `Bearer error="insufficient_scope", scope="mcp", ` +
		`resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp/prod/github"`}
	if diff := cmp.Diff(want, answer.Context); err != nil || diff != "" || answer.PolicyDocument.Statement[0].Effect != "Deny" {
		t.Errorf("%+v, %v\n%s", answer, err, diff)
	}
}

// TestIssuerOutageIsNotABadToken: a client told 401 would throw the token away.
func TestIssuerOutageIsNotABadToken(t *testing.T) {
	f := newFixture(t)
	f.issuer.Down()
	answer, err := f.Authorize(t.Context(), asks(route, "Bearer "+f.token("mcp")))
	if !errors.Is(err, errUndecided) || err.Error() == "Unauthorized" || len(answer.PolicyDocument.Statement) > 0 {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestARNThatIsNoneMakesNoPolicy(t *testing.T) {
	f := newFixture(t)
	for _, arn := range []string{"", "*", "arn:aws:execute-api:*", "a1b2c3d4e5/live/POST" + route, "arn:aws:execute-api:r:a:api/*/POST" + route, "arn:aws:execute-api:r:a:*/live/POST" + route, "arn:aws:execute-api:r:a:api/live"} {
		e := asks(route, "Bearer "+f.token("mcp"))
		e.MethodArn = arn
		if answer, err := f.Authorize(t.Context(), e); !errors.Is(err, errUndecided) || len(answer.PolicyDocument.Statement) > 0 {
			t.Errorf("%q: %+v, %v", arn, answer, err)
		}
	}
}

func TestNothingOfATokenIsLoggedOrAnswered(t *testing.T) {
	f := newFixture(t)
	var said strings.Builder
	signed, of := f.token("mcp"), f.token("other")
	forged := signed[:strings.LastIndex(signed, ".")] + of[strings.LastIndex(of, "."):]
	for _, token := range []string{signed, of, forged, "canary.canary.canary"} {
		for _, path := range []string{route, "/mcp/prod/jira", "/canary"} {
			answer, err := f.Authorize(t.Context(), asks(path, "Bearer "+token))
			for _, statement := range answer.PolicyDocument.Statement {
				said.WriteString(strings.Join(statement.Resource, " "))
			}
			if err != nil {
				said.WriteString(err.Error())
			}
			said.WriteString(answer.PrincipalID)
			for _, part := range strings.Split(token, ".") {
				if all := said.String() + f.log.String(); strings.Contains(all, part) || strings.Contains(all, "alice") {
					t.Fatalf("said or logged: %s", all)
				}
			}
		}
	}
	if !strings.Contains(f.log.String(), `"cause":"signature_wrong"`) || strings.Contains(f.log.String(), "canary") {
		t.Errorf("log: %s", f.log)
	}
}

type broken struct{}

func (broken) Verify(context.Context, *http.Request, broker.Route) (broker.Principal, error) {
	panic("canary")
}

func (broken) Challenge(broker.Route, error) string { return "" }

func TestPanicAllowsNothingAndSaysNothing(t *testing.T) {
	f := newFixture(t)
	f.verifier = broken{}
	answer, err := f.Authorize(t.Context(), asks(route, "Bearer x"))
	if !errors.Is(err, errUndecided) || len(answer.PolicyDocument.Statement) > 0 || !strings.Contains(f.log.String(), "panicked") || strings.Contains(f.log.String(), "canary") {
		t.Errorf("%+v, %v, %s", answer, err, f.log)
	}
}
