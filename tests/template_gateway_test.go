package tests

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"bindery/functions/proxy/handler"
)

// TestTemplateAsksTheAuthorizer on every method that needs a token, about
// header and path together: an answer remembered for the header alone would let
// a token for one server pass at another. CORS and metadata need no token.
func TestTemplateAsksTheAuthorizer(t *testing.T) {
	template := readTemplate(t)
	body := template.resource(t, "Api").get(t, "Properties", "DefinitionBody")
	asked := object{"security": object{"Fn::If": []any{"HasAuthorizer", []any{object{"token": []any{}}}, []any{}}}}
	same(t, "paths", body["paths"], any(object{"/mcp/{environment}/{server}": object{"delete": asked, "get": asked, "post": asked}}))
	choice := body.get(t, "components", "securitySchemes")["Fn::If"].([]any)
	same(t, "condition", choice[0], any("HasAuthorizer"))
	same(t, "without", choice[2], any(object{}))
	same(t, "with", choice[1], any(object{"token": object{
		"type": "apiKey", "name": "Unused", "in": "header", "x-amazon-apigateway-authtype": "custom",
		"x-amazon-apigateway-authorizer": object{
			"type": "request", "identitySource": "method.request.header.Authorization, context.path",
			"authorizerResultTtlInSeconds": object{"Ref": "AuthorizerTtl"},
			"authorizerUri":                object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${AuthorizerFunction.Arn}/invocations"},
		},
	}}))
	// Without this the parameter changes and the stage does not.
	same(t, "deployed each time", template.resource(t, "Api").get(t, "Properties")["AlwaysDeploy"], any(true))
	for name := range template.get(t, "Resources") {
		if needs := strings.HasPrefix(name, "Authorizer"); needs != (template.resource(t, name)["Condition"] == "HasAuthorizer") {
			t.Errorf("%s: its condition is %v", name, template.resource(t, name)["Condition"])
		}
	}
}

// answers gives what API Gateway says itself, by the kind of its cause.
func answers(t *testing.T) object {
	t.Helper()
	return readTemplate(t).resource(t, "Api").get(t, "Properties", "GatewayResponses")
}

// TestTemplateGatewayAnswersAsTheProxyDoes: a client cannot tell which of them
// answered, and gets a challenge from the one whose header is not renamed.
func TestTemplateGatewayAnswersAsTheProxyDoes(t *testing.T) {
	rows := map[int]handler.Problem{}
	for _, p := range handler.Problems() {
		rows[p.Code] = p
	}
	for kind := range answers(t) {
		answer := answers(t).at(kind)
		var body struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   struct {
				Code    int
				Message string
			} `json:"error"`
		}
		text := answer.at("ResponseTemplates").text("application/json")
		if err := json.Unmarshal([]byte(text), &body); err != nil || body.Version != "2.0" || string(body.ID) != "null" {
			t.Errorf("%s: %s, %v", kind, text, err)
		}
		row, known := rows[body.Error.Code]
		status, _ := strconv.Atoi(answer.text("StatusCode"))
		if known && (row.Text != body.Error.Message || status != 0 && status != row.Status) {
			t.Errorf("%s: %s with status %d; the proxy says %+v", kind, text, status, row)
		}
		if !known && kind != "DEFAULT_4XX" {
			t.Errorf("%s: the proxy has no row %d", kind, body.Error.Code)
		}
		header := answer.get(t, "ResponseParameters", "Headers")
		same(t, kind+": any page may read it", header.text("Access-Control-Allow-Origin"), "'*'")
		if exposes := header.text("Access-Control-Expose-Headers"); header["WWW-Authenticate"] != nil && exposes != "'WWW-Authenticate'" ||
			header["Retry-After"] != nil && exposes != "'Retry-After'" || (header["Retry-After"] != nil) != row.Retry {
			t.Errorf("%s: headers %v", kind, header)
		}
	}
	same(t, "401", answers(t).at("UNAUTHORIZED").at("ResponseParameters").at("Headers").text("WWW-Authenticate"), "'Bearer'")
	same(t, "403", answers(t).at("ACCESS_DENIED").at("ResponseParameters").at("Headers").text("WWW-Authenticate"), "context.authorizer.challenge")
	same(t, "outage", answers(t).at("AUTHORIZER_FAILURE").text("StatusCode"), "503")
}

// TestDiscoveryDocumentListsWhatTheGatewayAnswers compares it with the template.
func TestDiscoveryDocumentListsWhatTheGatewayAnswers(t *testing.T) {
	got := map[string][]string{}
	for _, row := range columns(table(t, "docs/discovery.md", "cause", "HTTP", "code", "headers"), 4) {
		got[row[0]] = row[1:]
	}
	want := map[string][]string{}
	for kind := range answers(t) {
		answer := answers(t).at(kind)
		_, code, _ := strings.Cut(answer.at("ResponseTemplates").text("application/json"), `"code":`)
		code, _, _ = strings.Cut(code, ",")
		header := answer.at("ResponseParameters").at("Headers").text("Access-Control-Expose-Headers")
		want[kind] = []string{answer.text("StatusCode"), code, strings.Trim(header, "'")}
	}
	same(t, "docs/discovery.md", got, want)
}
