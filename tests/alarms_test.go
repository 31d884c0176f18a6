package tests

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/telemetry"
)

// ofAWS are the metrics of AWS that alarms and the dashboard may name, as AWS
// documents them.
func ofAWS() map[string][]string {
	return map[string][]string{
		"AWS/ApiGateway": {"4XXError", "5XXError", "Count"},
		"AWS/DynamoDB":   {"ReadThrottleEvents", "WriteThrottleEvents"},
		"AWS/Events":     {"FailedInvocations"},
		"AWS/Lambda":     {"ConcurrentExecutions", "Errors", "IteratorAge", "Throttles"},
		"AWS/SQS":        {"ApproximateNumberOfMessagesVisible"},
	}
}

// watched is one metric that an alarm or a widget names, with its dimensions by
// name.
type watched struct {
	namespace, metric string
	dimensions        map[string]string
}

// known reports whether there is such a metric, of something that is deployed.
func (w watched) known(t *testing.T, deployed object) bool {
	t.Helper()
	names := map[string]string{"FunctionName": "AWS::Serverless::Function", "QueueName": "AWS::SQS::Queue", "TableName": "AWS::DynamoDB::Table"}
	for dimension, value := range w.dimensions {
		if kind := names[dimension]; kind != "" && !slices.Contains(named(deployed, kind, dimension), value) {
			return false
		}
	}
	switch w.namespace {
	case telemetry.Namespace:
		return slices.ContainsFunc(telemetry.Metrics(), func(m telemetry.Metric) bool { return string(m.Name) == w.metric }) &&
			cmp.Equal(w.dimensions, map[string]string{telemetry.Dimension: "${Environment}"})
	case "Bindery/${AWS::StackName}": // counted in the access log
		filter := deployed.resource(t, "ApiThrottledLines").at("Properties").list("MetricTransformations")[0].(object)
		return filter.text("MetricName") == w.metric
	}
	return slices.Contains(ofAWS()[w.namespace], w.metric)
}

// named gives the names of the resources of a kind.
func named(deployed object, kind, property string) (list []string) {
	for _, r := range deployed.at("Resources") {
		if r := r.(object); r.text("Type") == kind {
			list = append(list, plainText(r.at("Properties")[property]))
		}
	}
	return list
}

// plainText is a text, or the text of a !Sub or !Ref as a !Sub would have it.
func plainText(value any) string {
	o, ok := value.(object)
	switch {
	case !ok:
		return textOf(value)
	case o["Ref"] != nil:
		return "${" + o.text("Ref") + "}"
	}
	return o.text("Fn::Sub")
}

// alarms gives every alarm by its logical id.
func alarms(t *testing.T, deployed object) map[string]object {
	t.Helper()
	found := map[string]object{}
	for id, r := range deployed.at("Resources") {
		if r := r.(object); r.text("Type") == "AWS::CloudWatch::Alarm" {
			found[id] = r.get(t, "Properties")
		}
	}
	if len(found) < 40 {
		t.Fatalf("only %d alarms were found", len(found))
	}
	return found
}

// watches gives the metrics of an alarm.
func watches(alarm object) (all []watched) {
	one := func(metric object) watched {
		w := watched{plainText(metric["Namespace"]), metric.text("MetricName"), map[string]string{}}
		for _, d := range metric.list("Dimensions") {
			if d, ok := d.(object); ok {
				w.dimensions[d.text("Name")] = plainText(d["Value"])
			}
		}
		return w
	}
	if alarm["Metrics"] == nil {
		return []watched{one(alarm)}
	}
	for _, m := range alarm.list("Metrics") {
		if stat := m.(object).at("MetricStat"); stat != nil {
			all = append(all, one(stat.at("Metric")))
		}
	}
	return all
}

func TestEveryAlarmWatchesWhatThereIs(t *testing.T) {
	deployed := readTemplate(t)
	topic := any(object{"Fn::If": []any{"HasTopic", []any{object{"Ref": "AlarmTopicArn"}}, object{"Ref": "AWS::NoValue"}}}) // if there is one
	for id, alarm := range alarms(t, deployed) {
		all := watches(alarm)
		if len(all) == 0 || len(all) > 9 { // ten with the expression, which is what an alarm can have
			t.Errorf("%s watches %d metrics", id, len(all))
		}
		for _, w := range all {
			if !w.known(t, deployed) {
				t.Errorf("%s watches %+v, which nothing tells", id, w)
			}
		}
		same(t, id+" begins", alarm["AlarmActions"], topic)
		same(t, id+" is over", alarm["OKActions"], topic)
	}
}

// TestMissingDataIsJudgedOnPurpose: silence is good news of everything but of what
// runs on a schedule.
func TestMissingDataIsJudgedOnPurpose(t *testing.T) {
	for id, alarm := range alarms(t, readTemplate(t)) {
		runs := strings.HasSuffix(alarm.text("MetricName"), "Runs")
		want := map[bool][]string{true: {"breaching", "LessThanThreshold"}, false: {"notBreaching", "GreaterThanOrEqualToThreshold"}}[runs]
		if got := []string{alarm.text("TreatMissingData"), alarm.text("ComparisonOperator")}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
}

// TestNothingIsLeftUnwatched: what is deployed has the alarms of its kind.
func TestNothingIsLeftUnwatched(t *testing.T) {
	deployed := readTemplate(t)
	seen := map[string]bool{}
	for _, alarm := range alarms(t, deployed) {
		for _, w := range watches(alarm) {
			seen[w.metric] = true
			for _, value := range w.dimensions {
				seen[w.metric+" "+value] = true
			}
		}
	}
	want := []string{"Refusals", "AuditFailures", "IntentsWithoutOutcome", "AuditChanged", "GrantsDead", "NoticesOpened", "AWSThrottles", "DecideTime", "5XXError",
		"StopsNotAcknowledged", "FailedInvocations", "WideMarkers", "ApiThrottled"}
	for _, kind := range [][]string{{"AWS::SQS::Queue", "QueueName", "ApproximateNumberOfMessagesVisible"}, {"AWS::DynamoDB::Table", "TableName", "ReadThrottleEvents", "WriteThrottleEvents"},
		{"AWS::Serverless::Function", "FunctionName", "Errors", "Throttles"}} {
		for _, name := range named(deployed, kind[0], kind[1]) {
			for _, metric := range kind[2:] {
				want = append(want, metric+" "+name)
			}
		}
	}
	for id, r := range deployed.at("Resources") {
		for _, event := range r.(object).at("Properties").at("Events") {
			name := plainText(r.(object).at("Properties")["FunctionName"])
			switch event := event.(object); event.text("Type") {
			case "DynamoDB":
				want = append(want, "IteratorAge "+name)
			case "ScheduleV2":
				var input struct{ Task string }
				if err := json.Unmarshal([]byte(event.at("Properties").text("Input")), &input); err != nil {
					t.Fatal(id, err)
				}
				runs := map[string]string{"refresh": "RefreshRuns", "rotate": "RotationRuns", "drift": "DriftRuns", "intents": "IntentRuns", "continue": "CleanupRuns"}
				want = append(want, runs[input.Task])
			}
		}
	}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("no alarm watches %q", w)
		}
	}
}

// TestACanaryIsTakenBack: what is wrong with a new version ends its deployment.
func TestACanaryIsTakenBack(t *testing.T) {
	same(t, "alarms of the deployment", readTemplate(t).resource(t, "ProxyFunction").get(t, "Properties", "DeploymentPreference")["Alarms"],
		any([]any{object{"Ref": "ProxyErrors"}, object{"Ref": "ApiFaults"}}))
}

// TestWhatEndangersTheKeyIsTold: also that its alias, which functions know it by, is
// made to mean another key. CloudTrail names that other one then, and the alias.
func TestWhatEndangersTheKeyIsTold(t *testing.T) {
	detail := readTemplate(t).resource(t, "KeyInDanger").get(t, "Properties", "EventPattern", "detail")
	same(t, "what", sorted(detail.texts("eventName")), []string{"DeleteAlias", "DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion", "UpdateAlias"})
	var of []string
	for _, arn := range detail.at("resources").list("ARN") {
		of = append(of, plainText(arn))
	}
	alias := readTemplate(t).resource(t, "ProxyFunction").get(t, "Properties", "Environment", "Variables")["BINDERY_VALUES_KEY"]
	if len(of) != 2 || of[1] != plainText(alias) {
		t.Errorf("of %q", of)
	}
}

var runbook = regexp.MustCompile(`docs/runbooks/([a-z0-9-]+)\.md\b`)

// TestEachAlarmHasItsPage and each page its alarm, and the headings that somebody
// reads in a hurry.
func TestEachAlarmHasItsPage(t *testing.T) {
	deployed := readTemplate(t)
	said := map[string]string{"KeyInDanger": deployed.resource(t, "KeyInDanger").get(t, "Properties").text("Description")}
	for id, alarm := range alarms(t, deployed) {
		said[id] = alarm.text("AlarmDescription")
		name := plainText(alarm["AlarmName"])
		if page := strings.Join(runbook.FindStringSubmatch(said[id])[1:], ""); page == "" || !strings.Contains(document(t, "docs/runbooks/"+page+".md").text, "`"+strings.TrimPrefix(name, "${AWS::StackName}-")+"`") {
			t.Errorf("the page of %s does not name the alarm %s", id, name)
		}
	}
	used := map[string]bool{}
	for id, text := range said {
		pages := runbook.FindAllStringSubmatch(text, -1)
		if len(pages) != 1 {
			t.Errorf("%s names %d pages: %q", id, len(pages), text)
			continue
		}
		used[pages[0][1]] = true
	}
	files, err := os.ReadDir("../docs/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	headings := []string{"What it means", "What users see", "Look here first", "What to do", "When it is over"}
	for _, f := range files {
		page := document(t, path.Join("docs/runbooks", f.Name()))
		if !used[strings.TrimSuffix(f.Name(), ".md")] {
			t.Errorf("%s is the page of no alarm", f.Name())
		}
		var got []string
		for line := range strings.Lines(page.text) {
			if h, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
				got = append(got, h)
			}
		}
		if !slices.Equal(got, headings) {
			t.Errorf("%s has the parts %q, want %q", f.Name(), got, headings)
		}
	}
}
