package cost_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bindery/infra/cost"
	"bindery/shared/brokertest/template"
)

// minutes in a month, as prices count it.
const minutes = 730 * 60

var (
	schedule = regexp.MustCompile(`^rate\((\d+) (minute|hour|day)s?\)$`)
	variable = regexp.MustCompile(`\$context\.[A-Za-z.]+`)
)

// readStack counts in the template and the files it nests, as it is by default and
// with whatever depends on a condition.
func readStack(file string) (s cost.Stack, err error) {
	whole, err := template.Read(file, "bindery", map[string]any{"Environment": "prod", "Issuers": "{}"})
	if err != nil {
		return s, err
	}
	stacks, err := whole.Stacks()
	if err != nil {
		return s, err
	}
	for _, one := range stacks {
		s.Keys += len(one.Resources("AWS::KMS::Key"))
		s.Alarms += len(one.Resources("AWS::CloudWatch::Alarm")) + len(one.Resources("AWS::CloudWatch::CompositeAlarm"))
		s.Dashboards += len(one.Resources("AWS::CloudWatch::Dashboard"))
	}
	for _, function := range whole.Resources("AWS::Serverless::Function") {
		if err := addEvents(&s, whole, function); err != nil {
			return s, err
		}
	}
	var api struct {
		AccessLogSetting struct{ Format string }
		MethodSettings   []struct{ MetricsEnabled bool }
	}
	for name, to := range map[string]any{"AccessLogSetting": &api.AccessLogSetting, "MethodSettings": &api.MethodSettings} {
		if err := property(whole, "Api", name, to); err != nil {
			return s, err
		}
	}
	s.AccessLog = len(variable.ReplaceAllStringFunc(api.AccessLogSetting.Format, sample))
	for _, settings := range api.MethodSettings {
		s.Detailed = s.Detailed || settings.MetricsEnabled
	}
	if s.AccessLog == 0 || s.Keys == 0 || s.Methods == 0 || s.Runs == 0 || s.Window == 0 || s.Lanes == 0 {
		return s, fmt.Errorf("read the template: its form is not known: %+v", s)
	}
	return s, nil
}

// addEvents counts what invokes a function: routes of the API, schedules, and for
// the ledger its stream.
func addEvents(s *cost.Stack, whole *template.Stack, function string) error {
	var events map[string]struct {
		Type       string
		Properties struct {
			ScheduleExpression             string
			MaximumBatchingWindowInSeconds int
			ParallelizationFactor          int
		}
	}
	if err := property(whole, function, "Events", &events); err != nil {
		return err
	}
	var tracing any // nothing where it is as for all
	if err := property(whole, function, "Tracing", &tracing); err != nil {
		return err
	}
	if (tracing == "PassThrough") != (function == "LedgerFunction") {
		return fmt.Errorf("read the template: the bill knows the ledger alone as not traced, %s is %v", function, tracing)
	}
	for name, e := range events {
		switch e.Type {
		case "Api":
			s.Methods++
		case "ScheduleV2":
			rate := schedule.FindStringSubmatch(e.Properties.ScheduleExpression)
			if rate == nil {
				return fmt.Errorf("read the template: how often %s of %s runs is not known", name, function)
			}
			every, _ := strconv.Atoi(rate[1]) // digits
			runs := minutes / (every * map[string]int{"minute": 1, "hour": 60, "day": 1440}[rate[2]])
			s.Runs += runs
			if tracing != "PassThrough" {
				s.TracedRuns += runs
			}
		case "DynamoDB":
			if function == "LedgerFunction" {
				s.Window, s.Lanes = time.Duration(e.Properties.MaximumBatchingWindowInSeconds)*time.Second, e.Properties.ParallelizationFactor
			}
		}
	}
	return nil
}

// property reads a resource's property into a value; what it lacks stays as it is.
func property(of *template.Stack, resource, name string, into any) error {
	value, err := of.Property(resource, name)
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s of %s in the template: %w", name, resource, err)
	}
	return nil
}

// sample is a value of usual length.
func sample(variable string) string {
	long := map[string]int{"$context.requestTime": 26, "$context.requestId": 36, "$context.identity.sourceIp": 13, "$context.httpMethod": 4,
		"$context.path": 24, "$context.xrayTraceId": 35, "$context.error.responseType": 1}
	if n, known := long[variable]; known {
		return strings.Repeat("x", n)
	}
	return "200"
}
