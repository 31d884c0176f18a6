package apigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/brokertest/apigateway"
	"bindery/shared/brokertest/runtimeapi"
)

// invoked is a function that a test writes.
type invoked func(event []byte) (*runtimeapi.Response, error)

func (f invoked) Invoke(_ context.Context, event []byte) (*runtimeapi.Response, error) {
	return f(event)
}

// echo answers with the event it got.
func echo(event []byte) (*runtimeapi.Response, error) {
	return &runtimeapi.Response{StatusCode: 200, Header: http.Header{"Www-Authenticate": {"Bearer"}, "Mcp-Session-Id": {"s"}},
		Body: io.NopCloser(bytes.NewReader(event))}, nil
}

// says is an authorizer that gives one effect on one path.
func says(effect, path string, asked *int) invoked {
	return func(event []byte) (*runtimeapi.Response, error) {
		*asked++
		if effect == "" {
			return nil, &runtimeapi.FunctionError{Payload: []byte(`{"errorMessage":"Unauthorized","errorType":"errorString"}`)}
		}
		var e events.APIGatewayCustomAuthorizerRequestTypeRequest
		if err := json.Unmarshal(event, &e); err != nil {
			return nil, err
		}
		api, _, _ := strings.Cut(e.MethodArn, "/")
		raw, err := json.Marshal(events.APIGatewayCustomAuthorizerResponse{PrincipalID: "p", Context: map[string]any{"challenge": `Bearer scope="a b"`},
			PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{
				{Effect: effect, Action: []string{"execute-api:Invoke"}, Resource: []string{api + "/live/*" + path}}}}})
		return &runtimeapi.Response{Raw: raw, Body: http.NoBody}, err
	}
}

func gateway(t *testing.T, with string, asked apigateway.Function) *apigateway.Gateway {
	t.Helper()
	template, err := os.ReadFile("testdata/template.json")
	if err != nil {
		t.Fatal(err)
	}
	g, err := apigateway.New(template, map[string]string{"Authorizer": with}, invoked(echo), asked)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func get(g http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://mcp.example.com"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestEventOfARequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp/prod/a?x=1&x=2", strings.NewReader("\xff{"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	gateway(t, "none", nil).ServeHTTP(w, r)
	var e events.APIGatewayProxyRequest
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if e.Path != "/mcp/prod/a" || e.Body != "/3s=" || !e.IsBase64Encoded || e.PathParameters["server"] != "a" || e.Headers["Host"] != "mcp.example.com" {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff([]string{"1", "2"}, e.MultiValueQueryStringParameters["x"]); diff != "" {
		t.Error(diff)
	}
}

func TestWWWAuthenticateOfAFunctionIsRenamed(t *testing.T) {
	w := get(gateway(t, "none", nil), "/mcp/prod/a", "")
	if w.Header().Get("WWW-Authenticate") != "" || w.Header().Get("X-Amzn-Remapped-Www-Authenticate") != "Bearer" || w.Header().Get("Mcp-Session-Id") != "s" {
		t.Errorf("%v", w.Header())
	}
}

func TestPathThatIsNoRoute(t *testing.T) {
	for _, path := range []string{"/", "/mcp/prod", "/mcp/prod/a/b", "/mcp/prod/", "/other/prod/a"} {
		if w := get(gateway(t, "none", nil), path, ""); w.Code != http.StatusNotFound || w.Body.String() != `{"no":"route"}` {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAuthorizer(t *testing.T) {
	failing := invoked(func([]byte) (*runtimeapi.Response, error) { return nil, errors.New("Unauthorized, or so") })
	var asked int
	for name, test := range map[string]struct {
		authorizer apigateway.Function
		token      string
		status     int
		challenge  string
		times      int
	}{
		"no token: nobody is asked":     {says("Allow", "/mcp/prod/a", &asked), "", 401, "Bearer", 0},
		"allowed, and remembered":       {says("Allow", "/mcp/prod/a", &asked), "t", 200, "", 1},
		"denied, and remembered":        {says("Deny", "/mcp/prod/a", &asked), "t", 403, `Bearer scope="a b"`, 1},
		"a policy for another path":     {says("Allow", "/mcp/prod/b", &asked), "t", 403, `Bearer scope="a b"`, 1},
		"the word, never remembered":    {says("", "", &asked), "t", 401, "Bearer", 2},
		"another error, not remembered": {failing, "t", 503, "", 0},
	} {
		asked = 0
		g := gateway(t, "request", test.authorizer)
		for range 2 {
			w := get(g, "/mcp/prod/a", test.token)
			if w.Code != test.status || w.Header().Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
		}
		if asked != test.times {
			t.Errorf("%s: asked %d times, want %d", name, asked, test.times)
		}
	}
}

// TestAnswersAreRememberedForPathAndToken: neither alone.
func TestAnswersAreRememberedForPathAndToken(t *testing.T) {
	var asked int
	g := gateway(t, "request", says("Allow", "*", &asked))
	for _, request := range [][2]string{{"/mcp/prod/a", "t"}, {"/mcp/prod/b", "t"}, {"/mcp/prod/a", "u"}, {"/mcp/prod/a", "t"}} {
		get(g, request[0], request[1])
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

func TestTemplateThatDoesNotStreamIsRefused(t *testing.T) {
	template, err := os.ReadFile("testdata/template.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "{}", strings.Replace(string(template), "STREAM", "BUFFERED", 1), strings.Replace(string(template), `"Timeout"`, `"Time"`, 1)} {
		if _, err := apigateway.New([]byte(wrong), nil, nil, nil); err == nil {
			t.Errorf("accepted %.80s", wrong)
		}
	}
}
