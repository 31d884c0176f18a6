package tests

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/config"
)

// TestTemplateSetsEverySetting holds the template and shared/config to each
// other: the same names, and the same defaults where a parameter has one.
func TestTemplateSetsEverySetting(t *testing.T) {
	template := readTemplate(t)
	parameters := template.get(t, "Parameters")
	unrelayed := []string{config.ResponseMode, config.CallTimeout, config.StreamTimeout, config.MaxAnswerBytes, config.UseLimits, config.Origins}
	for function, reads := range map[string]string{"ProxyFunction": "proxy", "AdminFunction": "proxy", "CallbackFunction": "proxy",
		"AuthorizerFunction": "authorizer", "LedgerFunction": "ledger", "RotationFunction": "rotation", "OutboxFunction": "outbox", "RevocationFunction": "revocation", "CleanupFunction": "cleanup"} {
		variables := template.resource(t, function).get(t, "Properties", "Environment", "Variables")
		want := []string{"AWS_ENDPOINT_URL"} // the AWS SDK's own
		for _, s := range config.Settings() {
			if !s.For(reads) && !(function == "AdminFunction" && s.For("admin")) || reads == "proxy" && function != "ProxyFunction" && slices.Contains(unrelayed, s.Name) {
				continue
			}
			want = append(want, s.Name)
			parameter := parameters.at(variables.at(s.Name).text("Ref"))
			if fallback, has := parameter["Default"]; has && !s.Required && textOf(fallback) != s.Default {
				t.Errorf("%s: the template's default is %q, the function's %q", s.Name, textOf(fallback), s.Default)
			}
			if fallback, has := parameter["Default"]; has && s.Required && fallback == "" {
				t.Errorf("%s is required, and the template deploys without it", s.Name)
			}
		}
		same(t, "environment variables of "+function, variables.keys(), sorted(want))
	}
}

// TestTemplateFunctionsJudgeTokensAlike: what both read has one value.
func TestTemplateFunctionsJudgeTokensAlike(t *testing.T) {
	template := readTemplate(t)
	proxy := template.resource(t, "ProxyFunction").get(t, "Properties", "Environment", "Variables")
	for _, function := range []string{"AuthorizerFunction", "AdminFunction", "CallbackFunction", "LedgerFunction", "RotationFunction", "OutboxFunction", "RevocationFunction", "CleanupFunction"} {
		for name, value := range template.resource(t, function).get(t, "Properties", "Environment", "Variables") {
			if shared, both := proxy[name]; both {
				same(t, function+" "+name, value, shared)
			}
		}
	}
}

// TestTemplateOutlivesTheUpstreamCall: the outcome of a call or stream that took
// all its time is recorded after it, so the function must not end first, nor the API.
func TestTemplateOutlivesTheUpstreamCall(t *testing.T) {
	template := readTemplate(t)
	function := template.get(t, "Parameters", "FunctionTimeout")
	for _, name := range []string{"CallTimeout", "StreamTimeout"} {
		longest, err := time.ParseDuration(template.get(t, "Parameters", name).text("Default"))
		if err != nil {
			t.Fatal(err)
		}
		if seconds, _ := function["Default"].(int); time.Duration(seconds)*time.Second < longest+10*time.Second {
			t.Errorf("a function of %d s leaves no time to record what took the %s of %s", seconds, name, longest)
		}
	}
	for name, event := range template.events(t, "ProxyFunction") {
		if api, _ := event["TimeoutInMillis"].(int); api != 900_000 || function["MaxValue"] != 900 {
			t.Errorf("%s: the API waits %d ms, the function may take %v s", name, api, function["MaxValue"])
		}
	}
}

func TestTemplateRoutes(t *testing.T) {
	var routes []string
	for name, event := range readTemplate(t).events(t, "ProxyFunction") {
		routes = append(routes, event.text("Method")+" "+event.text("Path"))
		if event["ResponseTransferMode"] != "RESPONSE_STREAM" {
			t.Errorf("%s: ResponseTransferMode is %v; only the literal RESPONSE_STREAM streams", name, event["ResponseTransferMode"])
		}
	}
	same(t, "routes", sorted(routes), []string{
		"DELETE /mcp/{environment}/{server}",
		"GET /.well-known/oauth-protected-resource/mcp/{environment}/{server}",
		"GET /mcp/{environment}/{server}",
		"OPTIONS /.well-known/oauth-protected-resource/mcp/{environment}/{server}",
		"OPTIONS /mcp/{environment}/{server}",
		"POST /mcp/{environment}/{server}",
	})
}

// TestTemplateAdminRoutes: each method by name, and none of them streams. API
// Gateway waits 29 seconds for a whole answer; the function ends no later.
func TestTemplateAdminRoutes(t *testing.T) {
	var routes []string
	for name, event := range readTemplate(t).events(t, "AdminFunction") {
		routes = append(routes, event.text("Method")+" "+event.text("Path"))
		if event["ResponseTransferMode"] != nil || event["TimeoutInMillis"] != nil || event["Auth"] != nil {
			t.Errorf("%s is no plain route: %v", name, event)
		}
	}
	same(t, "routes", sorted(routes), []string{
		"DELETE /admin/v1/{proxy+}",
		"GET /.well-known/oauth-protected-resource/admin/v1",
		"GET /admin/v1/{proxy+}",
		"POST /admin/v1/{proxy+}",
		"PUT /admin/v1/{proxy+}",
	})
	same(t, "timeout", readTemplate(t).resource(t, "AdminFunction").get(t, "Properties")["Timeout"], any(29))
}

// TestTemplateConnectRoutes: as with the admin API, each method by name and none
// that streams.
func TestTemplateConnectRoutes(t *testing.T) {
	var routes []string
	for name, event := range readTemplate(t).events(t, "CallbackFunction") {
		routes = append(routes, event.text("Method")+" "+event.text("Path"))
		if event["ResponseTransferMode"] != nil || event["TimeoutInMillis"] != nil || event["Auth"] != nil {
			t.Errorf("%s is no plain route: %v", name, event)
		}
	}
	same(t, "routes", sorted(routes), []string{
		"DELETE /connections/{server}",
		"GET /.well-known/oauth-protected-resource/connections",
		"GET /connect/{proxy+}",
		"GET /connections",
		"POST /connect/{proxy+}",
	})
	same(t, "timeout", readTemplate(t).resource(t, "CallbackFunction").get(t, "Properties")["Timeout"], any(29))
}

// TestTemplateApiKeepsSecretsOutOfLogs also holds what else the API must be.
func TestTemplateApiKeepsSecretsOutOfLogs(t *testing.T) {
	template := readTemplate(t)
	api := template.resource(t, "Api").get(t, "Properties")
	settings := api["MethodSettings"].([]any)[0].(object)
	for name, pair := range map[string][2]any{
		"bodies in the log":      {settings["DataTraceEnabled"], false},
		"execution log":          {settings["LoggingLevel"], "OFF"},
		"for every method":       {settings["HttpMethod"].(string) + settings["ResourcePath"].(string), "*/*"},
		"rate":                   {settings["ThrottlingRateLimit"], object{"Ref": "ThrottleRate"}},
		"burst":                  {settings["ThrottlingBurstLimit"], object{"Ref": "ThrottleBurst"}},
		"endpoint":               {api["EndpointConfiguration"], object{"Type": "REGIONAL"}},
		"bytes as they are":      {api["BinaryMediaTypes"], []any{"*~1*"}},
		"one stage only":         {api["OpenApiVersion"], "3.0.1"},
		"no second address":      {api["DisableExecuteApiEndpoint"], object{"Fn::If": []any{"HasDomain", true, false}}},
		"well-known at the root": {template.resource(t, "DomainMapping").get(t, "Properties")["BasePath"], nil},
		"TLS":                    {template.resource(t, "Domain").get(t, "Properties")["SecurityPolicy"], "TLS_1_2"},
	} {
		same(t, name, pair[0], pair[1])
	}
	format := api.get(t, "AccessLogSetting").text("Format")
	if !json.Valid([]byte(format)) {
		t.Errorf("the access log's format is not JSON: %s", format)
	}
	for _, variable := range regexp.MustCompile(`\$[A-Za-z.]+`).FindAllString(format, -1) {
		if regexp.MustCompile(`(?i)header|input|userAgent|authorizer|querystring|body|apiKey`).MatchString(variable) {
			t.Errorf("the access log holds %s, which a client fills", variable)
		}
	}
}

func TestTemplateFunctions(t *testing.T) {
	template := readTemplate(t)
	for _, name := range []string{"Proxy", "Authorizer", "Admin", "Callback", "Ledger", "Rotation", "Outbox", "Revocation", "Cleanup"} {
		function := template.resource(t, name+"Function")
		same(t, "build", function.get(t, "Metadata")["BuildMethod"], any("makefile"))
		properties := function.get(t, "Properties")
		traced := map[string]any{"Ledger": "PassThrough"}[name] // nobody reads traces of batches
		if traced == nil {
			traced = object{"Fn::If": []any{"IsTraced", "Active", "PassThrough"}}
		}
		for property, want := range map[string]any{
			"FunctionName":  object{"Fn::Sub": "${AWS::StackName}-" + strings.ToLower(name)},
			"Runtime":       "provided.al2023",
			"Handler":       "bootstrap",
			"Architectures": []any{object{"Ref": "Architecture"}},
			"Tracing":       traced,
			"LoggingConfig": object{"LogFormat": "JSON", "LogGroup": object{"Ref": name + "Log"}},
			"Role":          object{"Fn::GetAtt": []any{name + "Role", "Arn"}},
		} {
			same(t, name+" "+property, properties[property], want)
		}
	}
	for _, name := range []string{"ProxyFunction", "AdminFunction", "CallbackFunction"} {
		properties := template.resource(t, name).get(t, "Properties")
		same(t, name+" alias", properties["AutoPublishAlias"], any("live"))
		same(t, name+" a setting is a version", properties["AutoPublishAliasAllProperties"], any(true))
	}
	for _, log := range []string{"ProxyLog", "AuthorizerLog", "AdminLog", "CallbackLog", "LedgerLog", "RotationLog", "OutboxLog", "RevocationLog", "CleanupLog", "AccessLog"} {
		same(t, log, template.resource(t, log).get(t, "Properties"), object{"RetentionInDays": object{"Ref": "LogRetentionDays"},
			"LogGroupName": object{"Fn::Sub": "${AWS::StackName}-" + strings.ToLower(strings.TrimSuffix(log, "Log"))}})
	}
}

// queueOf is a queue of what a function could not do: kept as long as SQS keeps anything.
func queueOf(function string) object {
	return object{"QueueName": object{"Fn::Sub": "${AWS::StackName}-" + function + "-failures"}, "MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": true}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// sameAsSample holds what a schedule sends to the sample that the handler is
// tested with.
func sameAsSample(t *testing.T, schedule object, name string) {
	t.Helper()
	sample, err := os.ReadFile("../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var sent, tested any
	for text, into := range map[string]*any{schedule.text("Input"): &sent, string(sample): &tested} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "event", sent, tested)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
