package tests

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// value resolves what the template says of this deployment.
func value(t *testing.T, v any) any {
	t.Helper()
	switch v := v.(type) {
	case object:
		if parts, ok := v["Fn::Sub"].([]any); ok {
			text := parts[0].(string)
			for name, part := range parts[1].(object) {
				text = strings.ReplaceAll(text, "${"+name+"}", value(t, part).(string))
			}
			return value(t, object{"Fn::Sub": text})
		}
		if text, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", "eu-central-1", "${AWS::AccountId}", "111122223333",
				"${Environment}", "prod").Replace(text)
		}
		if choice, ok := v["Fn::If"].([]any); ok {
			return value(t, choice[2]) // no SecretsPath is given
		}
		if name, ok := v["Ref"].(string); ok {
			return value(t, object{"Fn::Sub": "${" + name + "}"})
		}
		found := object{}
		for name, part := range v {
			found[name] = value(t, part)
		}
		return found
	case []any:
		var found []any
		for _, part := range v {
			found = append(found, value(t, part))
		}
		return found
	}
	return v
}

// matches reports whether an event matches a pattern, in those forms of
// EventBridge that the template uses.
func matches(pattern object, event map[string]any) bool {
	for name, want := range pattern {
		if name == "$or" {
			one := false
			for _, p := range want.([]any) {
				one = one || matches(p.(object), event)
			}
			if !one {
				return false
			}
			continue
		}
		got, there := event[name]
		if inner, ok := want.(object); ok {
			below, ok := got.(map[string]any)
			if !ok || !matches(inner, below) {
				return false
			}
			continue
		}
		one := false
		for _, w := range want.([]any) {
			if rule, ok := w.(object); ok {
				text, isText := got.(string)
				prefix, isPrefix := rule["prefix"].(string)
				one = one || isPrefix && isText && strings.HasPrefix(text, prefix) || rule["exists"] == false && !there
			} else {
				one = one || w == got
			}
		}
		if !one {
			return false
		}
	}
	return true
}

// TestTemplateHearsOfSecretsOfItsEnvironment: those events of the samples that
// lead to something, and of the others as few as a rule can tell.
func TestTemplateHearsOfSecretsOfItsEnvironment(t *testing.T) {
	rule := readTemplate(t).events(t, "RotationFunction")["StoreChange"]
	pattern := value(t, rule["Pattern"]).(object)
	for name, want := range map[string]bool{
		"put-secret-value": true, "update-version-stage": true, "update-secret": true, "rotation-succeeded": true, "delete-secret": true,
		"restore-secret": true, "cancel-rotation": true, "secret-by-name-alone": true, "secret-that-nobody-uses": true,
		"foreign-secret":   true, // the caller's name for it is one of ours; the function looks closer
		"call-that-failed": false, "foreign-account": false, "another-service": false,
	} {
		text, err := os.ReadFile("../events/rotation/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var event map[string]any
		if err := json.Unmarshal(text, &event); err != nil {
			t.Fatal(err)
		}
		if got := matches(pattern, event); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "prod/", "dev/")), &event); err != nil {
			t.Fatal(err)
		}
		if matches(pattern, event) {
			t.Errorf("%s of a secret outside of the environment's path", name)
		}
	}
}

// TestTemplateSearchesForDriftEachHour, by the event that the handler is tested with.
func TestTemplateSearchesForDriftEachHour(t *testing.T) {
	events := readTemplate(t).events(t, "RotationFunction")
	drift, refresh := events["Drift"], events["Refresh"]
	same(t, "how often", drift["ScheduleExpression"], any("rate(1 hour)"))
	for _, property := range []string{"RoleArn", "RetryPolicy", "DeadLetterConfig"} {
		same(t, property, drift[property], refresh[property])
	}
	sameAsSample(t, drift, "rotation/drift")
}
