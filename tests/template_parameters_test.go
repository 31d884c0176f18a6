package tests

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTemplateParameters: each says what it is for, is shown in one group of the
// console, and stands in the table of docs/parameters.md with its default.
func TestTemplateParameters(t *testing.T) {
	template := readTemplate(t)
	parameters := template.get(t, "Parameters")
	var grouped []string
	for _, group := range template.get(t, "Metadata", "AWS::CloudFormation::Interface").list("ParameterGroups") {
		grouped = append(grouped, group.(object).texts("Parameters")...)
	}
	same(t, "groups", sorted(grouped), parameters.keys())
	documented, want := map[string][]string{}, map[string][]string{}
	for _, row := range columns(table(t, "docs/parameters.md", "parameter", "default", "what it is"), 3) {
		documented[row[0]] = row[1:]
	}
	for name := range parameters {
		fallback, has := parameters.at(name)["Default"]
		if !has {
			fallback = "none"
		}
		want[name] = []string{textOf(fallback), strings.ReplaceAll(parameters.at(name).text("Description"), "`", "")}
		if len(want[name][1]) < 20 {
			t.Errorf("parameter %s says too little about itself", name)
		}
	}
	same(t, "docs/parameters.md", documented, want)
}

// TestTemplateParametersHaveSafeDefaults: what widens or weakens something is off
// unless the deployment says so.
func TestTemplateParametersHaveSafeDefaults(t *testing.T) {
	parameters := readTemplate(t).get(t, "Parameters")
	for name, safe := range map[string]any{
		"Origins": "", "Hosts": "", "PrivateNetworks": "", "RevocationSources": "", "SecretRotationFunctions": "", "FormerKeys": "", "SigningKeyArn": "",
		"ListSecretNames": "false", "Local": "false", "Production": "", "AwsEndpoint": "", "Authorizer": "request",
		"DeletionProtection": "true", "Tracing": "true", "ResponseMode": "stream", "WebAclArn": "", "SubnetIds": "", "SecurityGroupIds": "", "KeyAdministrators": "",
	} {
		same(t, name, parameters.at(name)["Default"], safe)
	}
	for _, name := range []string{"Environment", "Issuers"} {
		if fallback, has := parameters.at(name)["Default"]; has {
			t.Errorf("%s is %v where nobody says what it is", name, fallback)
		}
	}
	for name, bad := range map[string][]string{
		"KeyAdministrators": {"*", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:role/a,*", "arn:aws:iam::123456789012:role/a b"},
		"WebAclArn":         {"*", "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"},
		"SubnetIds":         {"*", "subnet", "sg-0123abcd"},
		"SecurityGroupIds":  {"*", "sg", "subnet-0123abcd"},
		"SecretsPath":       {"*", "prod/*", "prod"},
		"SecretsKeyArn":     {"*", "arn:aws:kms:us-east-1:123456789012:alias/x", "arn:aws:kms:us-east-1:123456789012:key/*"},
		"SigningKeyArn":     {"*", "arn:aws:kms:us-east-1:123456789012:alias/x", "arn:aws:kms:us-east-1:123456789012:key/*", "arn:aws:kms:*:*:key/a"},
		"FormerKeys":        {"*", "arn:aws:kms:a,*", "arn:aws:kms:us-east-1:123456789012:key/*", "arn:aws:iam::123456789012:role/a"},
		"AlarmTopicArn":     {"*", "arn:aws:sns:us-east-1:123456789012:*"},
		"SecretRotationFunctions": {"*", "arn:aws:lambda:us-east-1:123456789012:function:*", "rotator",
			"arn:aws:lambda:us-east-1:123456789012:function:a,*"},
		"Environment": {"*", "", "Prod", "a/b", "a#b"},
	} {
		pattern := regexp.MustCompile("^(?:" + parameters.at(name).text("AllowedPattern") + ")$")
		for _, value := range bad {
			if pattern.MatchString(value) {
				t.Errorf("%s may be %q", name, value)
			}
		}
	}
}

// TestTemplateParametersTakeWhatAWSNames: a bound that refuses what exists would be
// taken away.
func TestTemplateParametersTakeWhatAWSNames(t *testing.T) {
	parameters := readTemplate(t).get(t, "Parameters")
	const key = "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	for name, good := range map[string][]string{
		"SecretsKeyArn": {"", key}, "SigningKeyArn": {"", key}, "FormerKeys": {"", key, key + "," + key},
		"SecretRotationFunctions": {"", "arn:aws:lambda:eu-central-1:123456789012:function:SecretsManager_rotator-1"},
		"KeyAdministrators":       {"", "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Admin_1,arn:aws:iam::123456789012:user/eve@example.com"},
		"AlarmTopicArn":           {"", "arn:aws-cn:sns:cn-north-1:123456789012:on-call_1"},
		"SecretsPath":             {"", "prod/", "/prod/team.a/"},
	} {
		pattern := regexp.MustCompile("^(?:" + parameters.at(name).text("AllowedPattern") + ")$")
		for _, value := range good {
			if !pattern.MatchString(value) {
				t.Errorf("%s may not be %q", name, value)
			}
		}
	}
}

// TestTemplateRules: what is for one machine is refused where CloudFormation
// deploys, and nothing that Bindery tells can ask it to revoke.
func TestTemplateRules(t *testing.T) {
	asserted := func(name string) (all []any) {
		for _, one := range readTemplate(t).get(t, "Rules", name).list("Assertions") {
			all = append(all, one.(object)["Assert"])
		}
		return all
	}
	equal := func(parameter, value string) any { return object{"Fn::Equals": []any{object{"Ref": parameter}, value}} }
	same(t, "on AWS", asserted("OnAWS"), []any{equal("Local", "false"), equal("AwsEndpoint", ""), equal("ResponseMode", "stream")})
	same(t, "revocations", asserted("RevocationsComeFromElsewhere"), []any{object{"Fn::Not": []any{object{"Fn::Contains": []any{object{"Ref": "RevocationSources"}, "bindery"}}}}})
}

// samples gives what samconfig.toml tells SAM, by environment and command.
func samples(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile("../samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]string{}
	for _, part := range regexp.MustCompile(`(?m)^\[`).Split(string(text), -1)[1:] {
		name, rest, _ := strings.Cut(part, ".parameters]\n")
		found[name] = map[string]string{}
		for _, pair := range regexp.MustCompile(`(?ms)^(\w+) = (?:"""(.*?)"""|"([^"\n]*)"|(\w+))$`).FindAllStringSubmatch(rest, -1) {
			found[name][pair[1]] = pair[2] + pair[3] + pair[4]
		}
	}
	return found
}

// overrides are the parameters that a section gives.
func overrides(t *testing.T, section map[string]string) map[string]string {
	t.Helper()
	given := map[string]string{}
	for _, pair := range strings.Fields(section["parameter_overrides"]) {
		name, value, ok := strings.Cut(pair, "=")
		if _, twice := given[name]; !ok || twice {
			t.Errorf("samconfig.toml: %s", pair)
		}
		given[name] = value
	}
	return given
}

// TestTemplateSamples: samconfig.toml has all commands for all environments, names
// only parameters that exist, deploys nothing that is meant for one machine, and
// its production protects what is kept.
func TestTemplateSamples(t *testing.T) {
	sections := samples(t)
	var names []string
	for name := range sections {
		names = append(names, name)
	}
	same(t, "sections", sorted(names), []string{"default.build", "default.validate", "dev.build", "dev.deploy", "dev.validate", "local.build", "local.global",
		"local.local_invoke", "local.local_start_api", "local.local_start_lambda", "local.validate", "prod.build", "prod.deploy", "prod.validate"})
	parameters := readTemplate(t).get(t, "Parameters")
	for name, section := range sections {
		for parameter, value := range overrides(t, section) {
			declared := parameters.at(parameter)
			if declared == nil {
				t.Errorf("%s sets %s, which is no parameter", name, parameter)
			} else if allowed := declared.texts("AllowedValues"); declared["AllowedValues"] != nil && !slices.Contains(allowed, value) {
				t.Errorf("%s: %s may not be %s", name, parameter, value)
			}
		}
	}
	for name, want := range map[string]map[string]string{
		"local.global": {"Local": "true", "ResponseMode": "buffered", "Authorizer": "none"}, // SAM cannot stream, and speaks http
		"dev.deploy":   {"Environment": "dev", "Local": "", "ResponseMode": "", "AwsEndpoint": "", "Production": ""},
		"prod.deploy": {"Environment": "prod", "Local": "", "ResponseMode": "", "AwsEndpoint": "", "Production": "",
			"DeletionProtection": "true", "LogRetentionDays": "400", "Deployment": "Canary10Percent5Minutes", "Tracing": "", "Authorizer": ""},
	} {
		given := overrides(t, sections[name])
		for parameter, value := range want {
			same(t, name+" "+parameter, given[parameter], value)
		}
	}
	same(t, "a person confirms", sections["prod.deploy"]["confirm_changeset"], "true")
	same(t, "goes back after a fault", sections["prod.deploy"]["disable_rollback"], "false")
	for _, name := range []string{"dev.deploy", "prod.deploy"} {
		same(t, name+" names no role", sections[name]["capabilities"], "CAPABILITY_IAM")
		same(t, name+" tag", sections[name]["tags"], "bindery-environment="+overrides(t, sections[name])["Environment"])
	}
}
