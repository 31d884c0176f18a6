package handler

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/lambdahttp"
	"bindery/shared/mcp"
)

// event is one invocation as Lambda decodes it, before anything is known of it.
type event map[string]any

func (e event) set(name string, value any) event { e[name] = value; return e }

// headers are the values of one header, or of a name that is none.
func (e event) headers(name string, values ...any) event {
	e["multiValueHeaders"].(map[string]any)[name] = values
	return e
}

func (e event) drop(name string) event {
	delete(e["multiValueHeaders"].(map[string]any), name)
	return e
}

// valid is a call that somebody may make.
func (f *fixture) valid(t *testing.T, who string) event {
	t.Helper()
	now := time.Now()
	token := f.issuer.Sign("rsa", nil, map[string]any{"iss": f.issuer.Issuer(), "sub": who, "aud": publicURL + route,
		"groups": []string{"g1"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	e := event{"httpMethod": "POST", "path": route, "body": callBody, "isBase64Encoded": false, "multiValueHeaders": map[string]any{}}
	return e.headers("Host", "mcp.example.com").headers("Authorization", "Bearer "+token).
		headers("Content-Type", "application/json").headers("MCP-Protocol-Version", "2025-11-25")
}

func (e event) token() string {
	return e["multiValueHeaders"].(map[string]any)["Authorization"].([]any)[0].(string)
}

// hostileEvent is a lie in an event, and what has to come of it.
type hostileEvent struct {
	lie    func(event)
	status int
	code   int // 0: no request could be made of it
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// hostileBodies lie about how the body is encoded.
func hostileBodies() map[string]hostileEvent {
	encoded := func(body string) func(event) {
		return func(e event) { e.set("body", body).set("isBase64Encoded", true) }
	}
	plain := func(body any) func(event) { return func(e event) { e.set("body", body) } }
	return map[string]hostileEvent{
		"plain text said to be base64":    {encoded(callBody), 400, 0},
		"base64 said to be plain":         {plain(base64Of(callBody)), 400, -32700},
		"base64 in base64":                {encoded(base64Of(base64Of(callBody))), 400, -32700},
		"base64 of URLs":                  {encoded(strings.NewReplacer("+", "-", "/", "_").Replace(base64Of(callBody + " >>>???"))), 400, 0},
		"base64 without padding":          {encoded("e30"), 400, 0},
		"base64 with stray bits":          {encoded("e31=" + base64Of(callBody)), 400, 0},
		"base64 behind its end":           {encoded(base64Of("{}") + "e30="), 400, 0},
		"a compressed body":               {encoded(base64Of("\x1f\x8b\x08\x00\x00\x00\x00\x00")), 400, -32700},
		"a byte order mark in base64":     {encoded(base64Of("\ufeff" + callBody)), 400, -32700},
		"UTF-16 in base64":                {encoded(base64Of("{\x00}\x00")), 400, -32700},
		"invalid UTF-8 in base64":         {encoded(base64Of(strings.Replace(callBody, "A bug", "A \xc0\xaf", 1))), 400, -32700},
		"a batch in base64":               {encoded(base64Of("[" + callBody + "]")), 400, -32600},
		"no body":                         {plain(nil), 400, -32700},
		"an empty body in base64":         {encoded(""), 400, -32700},
		"one byte more than 4 MiB":        {plain(callBody + strings.Repeat(" ", mcp.MaxRequest+1-len(callBody))), 413, 14130},
		"one byte more in base64":         {encoded(base64Of(callBody + strings.Repeat(" ", mcp.MaxRequest+1-len(callBody)))), 413, 14130},
		"more than an invocation carries": {plain(strings.Repeat(" ", lambdahttp.MaxBodyBytes+1)), 413, 0},
		"more than that in base64":        {encoded(strings.Repeat("ICAg", lambdahttp.MaxBodyBytes/3+2)), 413, 0},
	}
}

// hostileLists say one thing in headers and another in multiValueHeaders, or
// name one header in two ways.
func hostileLists() map[string]hostileEvent {
	headers := func(name string, values ...any) func(event) {
		return func(e event) { e.headers(name, values...) }
	}
	single := func(drop, name, value string) func(event) {
		return func(e event) { e.drop(drop).set("headers", map[string]any{name: value}) }
	}
	return map[string]hostileEvent{
		"two tokens":                {headers("authorization", "Bearer smuggled"), 401, 14011},
		"two tokens under one name": {func(e event) { e.headers("Authorization", e.token(), "Bearer smuggled") }, 401, 14011},
		"another token in the single headers": {func(e event) {
			e.set("headers", map[string]any{"Authorization": e.token()}).headers("Authorization", "Basic x")
		}, 401, 14010},
		"two media types": {headers("content-type", "text/plain"), 415, -32600},
		"another media type in the lists": {func(e event) {
			e.headers("Content-Type", "text/plain").set("headers", map[string]any{"Content-Type": "application/json"})
		}, 415, -32600},
		"two versions":                         {headers("mcp-protocol-version", "2026-07-28"), 400, -32020},
		"two methods to mirror":                {headers("Mcp-Method", "tools/call", "tools/list"), 400, -32020},
		"two methods by case":                  {func(e event) { e.headers("Mcp-Method", "tools/call").headers("MCP-METHOD", "tools/list") }, 400, -32020},
		"two hosts":                            {headers("Host", "mcp.example.com", "evil.example"), 400, 0},
		"two hosts by case":                    {headers("host", "evil.example"), 400, 0},
		"a foreign host":                       {headers("Host", "evil.example"), 403, 14034},
		"a foreign host in the single headers": {single("Host", "host", "evil.example"), 403, 14034},
		"no host":                              {func(e event) { e.drop("Host") }, 403, 14034},
		"a host in the context alone":          {func(e event) { e.drop("Host").set("requestContext", map[string]any{"domainName": "mcp.example.com"}) }, 403, 14034},
		"a foreign page":                       {headers("Origin", "https://evil.example"), 403, 14035},
		"a foreign page beside an allowed one": {headers("Origin", "https://app.example.com", "https://evil.example"), 403, 14035},
		"a line break in a value":              {headers("X-Smuggled", "a\r\nAuthorization: b"), 400, 0},
		"a NUL in a value":                     {headers("X-Smuggled", "a\x00"), 400, 0},
		"a line break in a single value":       {func(e event) { e.set("headers", map[string]any{"X-Smuggled": "a\nb"}) }, 400, 0},
		"a colon in a name":                    {headers("Mcp-Method: tools/list", "x"), 400, 0},
		"a line break in a name":               {headers("X\r\nMcp-Method", "x"), 400, 0},
		"a space behind a name":                {headers("Mcp-Method ", "x"), 400, 0},
		"a name of nothing":                    {headers("", "x"), 400, 0},
		"a name not ASCII":                     {headers("Mcp-M\u00e9thod", "x"), 400, 0},
		"identity that the gateway never checked": {func(e event) {
			e.drop("Authorization").set("requestContext", map[string]any{"authorizer": map[string]any{"principalId": "alice", "claims": map[string]any{"sub": "alice"}}})
		}, 401, 14010},
	}
}

// hostileTargets lie about the method, the path and the query.
func hostileTargets() map[string]hostileEvent {
	with := func(name string, value any) func(event) { return func(e event) { e.set(name, value) } }
	return map[string]hostileEvent{
		"no event at all":            {func(e event) { clear(e) }, 400, 0},
		"an event of another source": {func(e event) { clear(e); e.set("version", "2.0").set("rawPath", route).set("body", callBody) }, 400, 0},
		"no method":                  {with("httpMethod", ""), 400, 0},
		"a method and more":          {with("httpMethod", "POST "+route), 400, 0},
		"a method in lower case":     {func(e event) { e.set("httpMethod", "post").set("body", "") }, 405, 14050},
		"another method in the context": {func(e event) {
			e.set("httpMethod", "PUT").set("body", "").set("requestContext", map[string]any{"httpMethod": "POST"})
		}, 405, 14050},
		"a body of a GET":               {with("httpMethod", "GET"), 400, 14001},
		"a body of a DELETE":            {with("httpMethod", "DELETE"), 400, 14001},
		"no path":                       {with("path", ""), 400, 0},
		"a path without a slash":        {with("path", route[1:]), 400, 0},
		"a whole URL as the path":       {with("path", publicURL+route), 400, 0},
		"a query in the path":           {with("path", route+"?access_token=x"), 400, 0},
		"a fragment in the path":        {with("path", route+"#x"), 400, 0},
		"a broken escape in the path":   {with("path", route+"%zz"), 400, 0},
		"the path in the context alone": {func(e event) { e.set("path", "/other").set("requestContext", map[string]any{"path": route}) }, 404, 14040},
		"the path in a parameter alone": {func(e event) { e.set("path", "/other").set("pathParameters", map[string]any{"proxy": route[1:]}) }, 404, 14040},
		"the stage in the path":         {with("path", "/live"+route), 404, 14040},
		"two slashes in the path":       {with("path", "/mcp//prod/github"), 404, 14040},
		"a step up in the path":         {with("path", "/mcp/prod/../prod/github"), 404, 14040},
		"a NUL in the path":             {with("path", route+"%00"), 404, 14040},
		"a line break in the path":      {with("path", route+"\r\n"), 404, 14040},
		"another environment":           {with("path", "/mcp/dev/github"), 404, 14040},
		"a token in the query":          {with("queryStringParameters", map[string]any{"access_token": "x"}), 401, 14011},
		"a token in the query's lists":  {with("multiValueQueryStringParameters", map[string]any{"access_token": []any{"x", "y"}}), 401, 14011},
		"a token in one of two queries": {func(e event) {
			e.set("queryStringParameters", map[string]any{"a": "b"}).set("multiValueQueryStringParameters", map[string]any{"Access_Token": []any{"x"}})
		}, 401, 14011},
	}
}

// invocation gives the answer in one of the two modes.
func (f *fixture) invocation(t *testing.T, e events.APIGatewayProxyRequest, mode lambdahttp.Mode) (status int, body, receipt string) {
	t.Helper()
	if mode == lambdahttp.Buffered {
		a, err := lambdahttp.BufferedHandler(f, slog.New(slog.DiscardHandler))(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, a.Body, http.Header(a.MultiValueHeaders).Get("Bindery-Receipt")
	}
	a, err := lambdahttp.StreamHandler(f, slog.New(slog.DiscardHandler))(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text), http.Header(a.MultiValueHeaders).Get("Bindery-Receipt")
}

// TestHostileEventsAreRefusedAndReachNobody, streamed and buffered: what an
// event says of itself is believed in one place each.
func TestHostileEventsAreRefusedAndReachNobody(t *testing.T) {
	t.Parallel()
	reached := 0
	f := newFixture(t, transport(func(r *http.Request) (*http.Response, error) {
		reached++
		return respond(http.StatusOK, "application/json", smallAnswer)(r)
	}), true)
	for _, cases := range []map[string]hostileEvent{hostileBodies(), hostileLists(), hostileTargets()} {
		for name, c := range cases {
			for mode, said := range map[lambdahttp.Mode]string{lambdahttp.Stream: "streamed", lambdahttp.Buffered: "buffered"} {
				t.Run(name+", "+said, func(t *testing.T) {
					lie := f.valid(t, name+said)
					c.lie(lie)
					f.refuses(t, lie, mode, c)
				})
			}
		}
	}
	if reached != 0 {
		t.Errorf("%d requests reached the upstream", reached)
	}
	status, body, _ := f.invocation(t, f.valid(t, "friend").decoded(t), lambdahttp.Stream)
	if status != http.StatusOK || body != smallAnswer || reached != 1 {
		t.Errorf("the call without a lie got %d %s, and reached the upstream %d times", status, body, reached)
	}
}

// decoded is the event as aws-lambda-go hands it over.
func (e event) decoded(t *testing.T) (out events.APIGatewayProxyRequest) {
	t.Helper()
	text, err := json.Marshal(e)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refuses requires the one right refusal, with a record where somebody known
// is to blame.
func (f *fixture) refuses(t *testing.T, lie event, mode lambdahttp.Mode, c hostileEvent) {
	t.Helper()
	status, body, receipt := f.invocation(t, lie.decoded(t), mode)
	var fault struct{ Error json.RawMessage }
	if err := json.Unmarshal([]byte(body), &fault); err != nil {
		t.Fatalf("answered %d %q: %v", status, body, err)
	}
	var problem struct{ Code int }
	_ = json.Unmarshal(fault.Error, &problem) // the platform's own errors are a text
	if status != c.status || problem.Code != c.code {
		t.Errorf("answered %d %s, want %d with code %d", status, body, c.status, c.code)
	}
	switch c.code {
	case 0, notRoute.Code, foreignHost.Code, foreignOrigin.Code, noToken.Code, badToken.Code:
		if receipt != "" {
			t.Error("there is a receipt of nobody's")
		}
		return
	}
	if records := f.tables.Records(receipt); len(records) != 1 || records[0].Reason != broker.MessageRefused || records[0].Status != status {
		t.Errorf("records %+v", records)
	}
}
