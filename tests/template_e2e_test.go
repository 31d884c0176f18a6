//go:build e2e

package tests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTemplateExpanded looks at what CloudFormation will get, because the SAM
// translator says nothing when it does not understand a streaming setting.
func TestTemplateExpanded(t *testing.T) {
	expanded := expand(t, "../template.yaml")
	for _, finding := range append(unstreamed(expanded), notBuffered(expanded)...) {
		t.Error(finding)
	}
	roles := []string{}
	for _, resources := range []object{expanded, readFile(t, "infra/roles.yaml")} {
		for name := range resources.get(t, "Resources") {
			if resources.resource(t, name)["Type"] == "AWS::IAM::Role" {
				roles = append(roles, name)
			}
		}
	}
	for name := range expanded.get(t, "Resources") {
		r := expanded.resource(t, name)
		switch r["Type"] {
		case "AWS::Lambda::EventSourceMapping":
			mapping := r.get(t, "Properties")
			of, _, _ := strings.Cut(name, "Function")
			same(t, name+" after a fault", mapping["FunctionResponseTypes"], any([]any{"ReportBatchItemFailures"}))
			same(t, name+" in the end", mapping["DestinationConfig"], any(object{"OnFailure": object{"Destination": object{"Fn::GetAtt": []any{of + "Failures", "Arn"}}}}))
		case "AWS::ApiGateway::Stage":
			same(t, name, r.get(t, "Properties").text("StageName"), "live")
		}
	}
	same(t, "roles", sorted(roles), []string{"AdminRole", "AuthorizerRole", "CallbackRole", "CleanupRole", "CleanupScheduleRole", "CodeDeployServiceRole", "LedgerRole", "LedgerScheduleRole", "OutboxRole", "ProxyRole", "RevocationRole", "RotationRole", "RotationScheduleRole"})
	body := expanded.resource(t, "Api").get(t, "Properties", "Body")
	for path := range body.at("paths") {
		for method := range body.at("paths").at(path) {
			needs := method != "options" && strings.HasPrefix(path, "/mcp/")
			if asks := body.at("paths").at(path).at(method)["security"] != nil; asks != needs {
				t.Errorf("%s %s: the authorizer is asked: %t", method, path, asks)
			}
		}
	}
	if body.at("components")["securitySchemes"] == nil || len(body.at("x-amazon-apigateway-gateway-responses")) != len(answers(t)) {
		t.Error("authorizer or gateway responses were lost")
	}
	same(t, "bytes as they are", body["x-amazon-apigateway-binary-media-types"], any([]any{"*/*"}))
	same(t, "no second address", body["servers"], any([]any{object{"x-amazon-apigateway-endpoint-configuration": object{
		"disableExecuteApiEndpoint": object{"Fn::If": []any{"HasDomain", true, false}}}}}))
}

// TestTemplateExpandedFindsABufferedRoute: the two ways of writing it that look
// right and are silently buffered.
func TestTemplateExpandedFindsABufferedRoute(t *testing.T) {
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"STREAM", "!Ref ResponseMode"} {
		file := filepath.Join(t.TempDir(), "template.yaml")
		changed := strings.Replace(string(text), "ResponseTransferMode: RESPONSE_STREAM", "ResponseTransferMode: "+wrong, 1)
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if found := unstreamed(expand(t, file)); len(found) != 1 {
			t.Errorf("ResponseTransferMode: %s gives %d findings: %v", wrong, len(found), found)
		}
	}
}

// unstreamed lists the methods of the proxy that would not stream.
func unstreamed(expanded object) (findings []string) {
	proxy := integrations(expanded, "/mcp/")
	for name, integration := range proxy {
		uri := integration.at("uri").text("Fn::Sub")
		if integration["responseTransferMode"] != "STREAM" || !strings.HasSuffix(uri, "/functions/${ProxyFunctionAliaslive}/response-streaming-invocations") {
			findings = append(findings, name+" is buffered: "+uri)
		}
		if integration["timeoutInMillis"] != 900_000.0 {
			findings = append(findings, name+" ends early")
		}
	}
	if len(proxy) != 6 {
		findings = append(findings, "the proxy does not have its six methods")
	}
	return findings
}

// notBuffered lists the methods of the admin function that are no plain ones.
func notBuffered(expanded object) (findings []string) {
	admin := integrations(expanded, "/admin/v1")
	for name, integration := range admin {
		uri := integration.at("uri").text("Fn::Sub")
		if integration["responseTransferMode"] != nil || !strings.HasSuffix(uri, "/functions/${AdminFunctionAliaslive}/invocations") {
			findings = append(findings, name+" is not buffered: "+uri)
		}
	}
	if len(admin) != 5 {
		findings = append(findings, "the admin function does not have its five methods")
	}
	return findings
}

// integrations gives those of the paths that hold a text, by method and path.
func integrations(expanded object, holding string) map[string]object {
	paths := expanded.at("Resources").at("Api").at("Properties").at("Body").at("paths")
	found := map[string]object{}
	for path := range paths {
		for method := range paths.at(path) {
			if strings.Contains(path, holding) {
				found[method+" "+path] = paths.at(path).at(method).at("x-amazon-apigateway-integration")
			}
		}
	}
	return found
}

func expand(t *testing.T, file string) object {
	t.Helper()
	find := exec.Command("infra/tools/cfn/python")
	find.Dir, find.Stderr = "..", os.Stderr
	python, err := find.Output()
	if err != nil {
		t.Fatalf("finding a Python with cfn-lint: %v", err)
	}
	run := exec.Command(strings.TrimSpace(string(python)), "../infra/tools/cfn/expand.py", file, "Environment=dev", "Issuers={}")
	out, err := run.Output()
	if err != nil {
		t.Fatalf("expanding the template: %v", err)
	}
	var expanded any
	if err := json.Unmarshal(out, &expanded); err != nil {
		t.Fatalf("the expanded template: %v", err)
	}
	return objects(expanded).(object)
}
