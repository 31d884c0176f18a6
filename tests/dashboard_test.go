package tests

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/telemetry"
)

// widget is what CloudWatch reads of one part of a dashboard.
type widget struct {
	Type                string
	X, Y, Width, Height int
	Properties          struct {
		Title, Region, View, Query, Markdown string
		Period                               int
		Metrics                              [][]any
	}
}

// TestDashboardShowsWhatThereIs renders the body as CloudFormation does and reads it
// as CloudWatch does.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	deployed := readTemplate(t)
	body := plainText(deployed.resource(t, "Screen").get(t, "Properties")["DashboardBody"])
	var board struct{ Widgets []widget }
	d := json.NewDecoder(strings.NewReader(body))
	if err := d.Decode(&board); err != nil || d.More() || len(board.Widgets) < 10 || len(body) > 40_000 {
		t.Fatalf("%v; %d widgets, %d bytes", err, len(board.Widgets), len(body))
	}
	shown := map[string]bool{}
	logs := named(deployed, "AWS::Logs::LogGroup", "LogGroupName")
	for _, w := range board.Widgets {
		p := w.Properties
		if w.Width < 1 || w.X+w.Width > 24 || w.Height < 1 {
			t.Errorf("%q does not fit", p.Title)
		}
		for _, m := range p.Metrics {
			metric := metricOf(t, m)
			shown[metric.metric] = true
			if !metric.known(t, deployed) {
				t.Errorf("%q shows %+v, which nothing tells", p.Title, metric)
			}
		}
		switch w.Type {
		case "text":
		case "log":
			for _, part := range strings.Split(p.Query, " | ") {
				group, ok := strings.CutPrefix(part, "SOURCE '")
				if ok && !slices.Contains(logs, strings.TrimSuffix(group, "'")) {
					t.Errorf("%q reads %s", p.Title, part)
				}
			}
		case "metric":
			if len(p.Metrics) == 0 || p.Period%60 != 0 || p.Region != "${AWS::Region}" {
				t.Errorf("%+v", w)
			}
		default:
			t.Errorf("a widget of type %q", w.Type)
		}
	}
	for _, m := range telemetry.Metrics() {
		if !shown[string(m.Name)] {
			t.Errorf("%s is shown nowhere", m.Name)
		}
	}
}

// metricOf reads [namespace, metric, dimension, value, ..., {options}].
func metricOf(t *testing.T, parts []any) watched {
	t.Helper()
	var texts []string
	for _, part := range parts {
		if text, ok := part.(string); ok {
			texts = append(texts, text)
		}
	}
	if len(texts) < 2 || len(texts)%2 != 0 {
		t.Fatalf("%v is no metric", parts)
	}
	w := watched{texts[0], texts[1], map[string]string{}}
	for i := 2; i < len(texts); i += 2 {
		w.dimensions[texts[i]] = texts[i+1]
	}
	return w
}

// TestEachMetricIsToldBySomebody: a metric of the table that no line has would be an
// alarm that never comes.
func TestEachMetricIsToldBySomebody(t *testing.T) {
	told := map[string]bool{"AWSThrottles": true, "AWSRetries": true} // by the package itself, on any line
	for _, f := range sources(t) {
		if !f.test && (under(f.pkg, "functions") || under(f.pkg, "shared")) {
			for _, m := range telemetry.Metrics() {
				told[string(m.Name)] = told[string(m.Name)] || strings.Contains(f.text, "telemetry."+string(m.Name))
			}
		}
	}
	for _, m := range telemetry.Metrics() {
		if !told[string(m.Name)] {
			t.Errorf("no line of the log tells %s", m.Name)
		}
	}
}

func TestTableOfMetricsIsTheirs(t *testing.T) {
	var want [][]string
	for _, m := range telemetry.Metrics() {
		want = append(want, []string{fmt.Sprintf("`%s`", m.Name), m.Unit, m.From, m.Says})
	}
	if diff := cmp.Diff(want, table(t, "docs/observability.md", "metric", "unit", "told by", "counts")); diff != "" {
		t.Errorf("docs/observability.md (-code +document):\n%s", diff)
	}
}
