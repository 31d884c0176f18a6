package checks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"bindery/shared/brokertest/template"
)

// plan is the template with the files it nests, read once.
type plan struct {
	root     *template.Stack
	document map[string]any
	given    map[string]any
}

func planned(t *testing.T) plan {
	t.Helper()
	given := map[string]any{"Environment": "prod", "Issuers": "{}", "DomainName": "mcp.example.com", "CertificateArn": "arn:aws:acm:1",
		"ReservedConcurrency": 40, "AdminConcurrency": 5, "RevocationSources": "com.example.hr", "AlarmTopicArn": topic}
	root, err := template.Read("../../../template.yaml", stackName, given)
	if err != nil {
		t.Fatal(err)
	}
	document, err := template.Parse("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return plan{root, document, given}
}

// property is a resource's, as a T by way of JSON.
func property[T any](t *testing.T, s *template.Stack, logical, name string) (value T) {
	t.Helper()
	found, err := s.Property(logical, name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(found)
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	if err != nil {
		t.Fatalf("%s.%s: %v", logical, name, err)
	}
	return value
}

// number is one that the template may write as text, as CloudFormation reads it.
func number(t *testing.T, value any) int64 {
	t.Helper()
	if value == nil {
		return 0
	}
	n, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
