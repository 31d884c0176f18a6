package cost

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Stack is what the template says that costs money whether or not anybody calls.
type Stack struct {
	Keys, Alarms, Dashboards int
	Metrics                  int // that the functions tell
	Methods                  int // of the API, each with metrics of its own where Detailed
	Detailed                 bool
	Runs                     int           // of functions by schedules, a month
	AccessLog                int           // bytes of one line
	Window                   time.Duration // for which the ledger's batches wait
	Lanes                    int           // in which the ledger reads a shard at once
}

var (
	kinds     = regexp.MustCompile(`(?m)^\s+Type: (AWS::KMS::Key|AWS::CloudWatch::Alarm|AWS::CloudWatch::CompositeAlarm|AWS::CloudWatch::Dashboard)\s*$`)
	methods   = regexp.MustCompile(`Type: Api\s+Properties: \{ ?RestApiId`)
	schedules = regexp.MustCompile(`ScheduleExpression: rate\((\d+) (minute|hour|day)s?\)`)
	logFormat = regexp.MustCompile(`(?s)Format: >-\n(.*?)\n\s+MethodSettings`)
	ledger    = regexp.MustCompile(`(?s)\n  LedgerFunction:.*?MaximumBatchingWindowInSeconds: (\d+)\s+ParallelizationFactor: (\d+)`)
	variables = regexp.MustCompile(`\$context\.[A-Za-z.]+`)
)

// minutes in a month, as prices count it.
const minutes = 730 * 60

// ReadStack counts in the texts of the template and of its nested files.
func ReadStack(template string, nested ...string) (Stack, error) {
	var s Stack
	for _, text := range append(nested, template) {
		for _, found := range kinds.FindAllStringSubmatch(text, -1) {
			switch found[1] {
			case "AWS::KMS::Key":
				s.Keys++
			case "AWS::CloudWatch::Dashboard":
				s.Dashboards++
			default:
				s.Alarms++
			}
		}
	}
	s.Detailed = strings.Contains(template, "MetricsEnabled: true")
	s.Methods = len(methods.FindAllString(template, -1))
	for _, found := range schedules.FindAllStringSubmatch(template, -1) {
		every, _ := strconv.Atoi(found[1])
		s.Runs += minutes / (every * map[string]int{"minute": 1, "hour": 60, "day": 1440}[found[2]])
	}
	batches := ledger.FindStringSubmatch(template)
	if batches == nil {
		return s, errors.New("read the template: how the ledger takes batches is not known")
	}
	seconds, _ := strconv.Atoi(batches[1])
	s.Window = time.Duration(seconds) * time.Second
	s.Lanes, _ = strconv.Atoi(batches[2])
	format := logFormat.FindStringSubmatch(template)
	if format == nil || s.Keys == 0 || s.Methods == 0 || s.Runs == 0 || s.Window == 0 || s.Lanes == 0 {
		return s, fmt.Errorf("read the template: its form is not known: %+v", s)
	}
	line := strings.Join(strings.Fields(format[1]), " ")
	s.AccessLog = len(variables.ReplaceAllStringFunc(line, sample))
	return s, nil
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
