package tests

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	operationIn = regexp.MustCompile("`(GET|POST|PUT|DELETE) (/[^`? ]*)")
	adminPathIn = regexp.MustCompile(`\$BASE/admin/v1(/[^?"]*)`)
	partOfStack = regexp.MustCompile("<stack>-([a-z-]+[a-z])")
)

// TestRunbooksNameWhatThereIs: somebody copies from these pages in a hurry. Each
// operation of the admin API, log group, function, queue and table that they name is
// deployed under that name.
func TestRunbooksNameWhatThereIs(t *testing.T) {
	operations := map[string]bool{}
	for _, row := range columns(table(t, "docs/admin.md", "operation", "method", "path"), 3) {
		operations[row[1]+" "+anyPart(row[2])] = true
	}
	deployed := readTemplate(t)
	names := []string{"values"} // the key's alias
	for kind, property := range map[string]string{"AWS::Serverless::Function": "FunctionName", "AWS::SQS::Queue": "QueueName", "AWS::DynamoDB::Table": "TableName",
		"AWS::Logs::LogGroup": "LogGroupName", "AWS::Events::Rule": "Name"} {
		for _, name := range named(deployed, kind, property) {
			names = append(names, strings.TrimPrefix(name, "${AWS::StackName}-"))
		}
	}
	names = append(names, strings.TrimPrefix(plainText(deployed.resource(t, "RotationFunction").get(t, "Properties", "Events", "StoreChange", "Properties")["RuleName"]), "${AWS::StackName}-"))
	files, err := os.ReadDir("../docs/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		text := document(t, path.Join("docs/runbooks", f.Name())).text
		asked := operationIn.FindAllStringSubmatch(text, -1)
		for _, m := range adminPathIn.FindAllStringSubmatch(text, -1) {
			asked = append(asked, []string{"", "GET", m[1]})
		}
		for _, m := range asked {
			if found++; !operations[m[1]+" "+anyPart(m[2])] {
				t.Errorf("%s: there is no %s %s", f.Name(), m[1], m[2])
			}
		}
		for _, m := range partOfStack.FindAllStringSubmatch(text, -1) {
			if found++; !slices.Contains(names, m[1]) {
				t.Errorf("%s: nothing is called <stack>-%s", f.Name(), m[1])
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d names were found", found)
	}
}

var parts = regexp.MustCompile(`\{[^}]*\}|\$[A-Z]+`)

// anyPart is a path whatever its parts are called.
func anyPart(path string) string { return parts.ReplaceAllString(path, "*") }
