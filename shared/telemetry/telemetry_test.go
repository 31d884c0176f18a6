package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/brokertest/emf"
	"bindery/shared/telemetry"
)

func logged(t *testing.T, b *bytes.Buffer) []emf.Line {
	t.Helper()
	lines, err := emf.ReadAll(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestAnAttributeThatIsAMetricIsOne(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(telemetry.New(slog.NewJSONHandler(&b, nil), "prod"))
	log.Info("nothing", "server", "github", "Unknown", 3)
	log.Info("call", "server", "github", telemetry.Calls.Is(1), telemetry.CallTime.Took(1500*time.Millisecond))
	lines := logged(t, &b)
	if len(lines) != 1 {
		t.Fatalf("%d lines with metrics in %s", len(lines), b.String())
	}
	want := emf.Line{Time: lines[0].Time, Namespace: "Bindery", Dimensions: map[string]string{"Environment": "prod"},
		Units: map[string]string{"Calls": "Count", "CallTime": "Milliseconds"}, Values: map[string]float64{"Calls": 1, "CallTime": 1500}}
	if diff := cmp.Diff(want, lines[0]); diff != "" {
		t.Error(diff)
	}
	if age := time.Since(lines[0].Time); age < 0 || age > 2*time.Minute || lines[0].Time.Second() != 0 {
		t.Errorf("the metric is of %s", lines[0].Time)
	}
	if !strings.Contains(b.String(), `"msg":"call"`) || !strings.Contains(b.String(), `"server":"github"`) {
		t.Error("the line has lost what it says besides", b.String())
	}
}

func TestEachMinuteAndShapeHasItsOwnConstantPart(t *testing.T) {
	var b bytes.Buffer
	h := telemetry.New(slog.NewJSONHandler(&b, nil), "prod")
	begin := time.Date(2026, 3, 1, 12, 0, 59, 0, time.UTC)
	say := func(at time.Time, attrs ...slog.Attr) {
		r := slog.NewRecord(at, slog.LevelInfo, "x", 0)
		r.AddAttrs(attrs...)
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	say(begin, telemetry.Calls.Is(1))
	say(begin, telemetry.Refusals.Is(2))
	say(begin.Add(time.Second), telemetry.Calls.Is(3))
	var got []string
	for _, l := range logged(t, &b) {
		for name := range l.Values {
			got = append(got, l.Time.UTC().Format("15:04:05 ")+name)
		}
	}
	if diff := cmp.Diff([]string{"12:00:00 Calls", "12:00:00 Refusals", "12:01:00 Calls"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsAreTheirTable(t *testing.T) {
	all := telemetry.Metrics()
	seen := map[telemetry.Name]bool{}
	for _, m := range all {
		if seen[m.Name] || m.Name == "" || m.Name[0] < 'A' || m.Name[0] > 'Z' || m.Says == "" || m.From == "" {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
	}
	if len(all) > 64 {
		t.Errorf("a shape has 64 bits, and there are %d metrics", len(all))
	}
}

func TestNoMetricInsideAGroup(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(telemetry.New(slog.NewJSONHandler(&b, nil), "prod"))
	log.WithGroup("g").Info("x", telemetry.Calls.Is(1))
	log.With("server", "github").Info("y", telemetry.Calls.Is(1))
	if lines := logged(t, &b); len(lines) != 1 || !strings.Contains(b.String(), `"server":"github"`) {
		t.Errorf("%d lines of metrics: %s", len(lines), b.String())
	}
}

// throttling answers as KMS does that is asked too often, and then as it does.
type throttling struct{ times int }

func (u *throttling) Do(*http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	if u.times--; u.times >= 0 {
		return answer(http.StatusBadRequest, `{"__type":"ThrottlingException"}`)
	}
	return answer(http.StatusOK, `{"KeyId":"k"}`)
}

func TestThrottlesOfAWSAreCountedOnTheNextLine(t *testing.T) {
	for name, c := range map[string]struct {
		throttled          int
		throttles, retries float64
	}{"none": {}, "twice and then taken": {2, 2, 2}, "to the end": {9, 3, 2}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			h := telemetry.New(slog.NewJSONHandler(&b, nil), "prod")
			client := kms.NewFromConfig(h.Watch(aws.Config{Region: "eu-central-1", HTTPClient: &throttling{c.throttled},
				Credentials: credentials.NewStaticCredentialsProvider("made-up", "made-up", ""),
				Retryer: func() aws.Retryer {
					return retry.NewStandard(func(o *retry.StandardOptions) {
						o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
					})
				}}))
			_, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")})
			if (err != nil) != (c.throttled > 2) {
				t.Fatal(err)
			}
			slog.New(h).Info("whatever comes next")
			slog.New(h).Info("and no more than once")
			lines := logged(t, &b)
			if emf.Sum(lines, "AWSThrottles") != c.throttles || emf.Sum(lines, "AWSRetries") != c.retries {
				t.Errorf("%+v", lines)
			}
		})
	}
}

// BenchmarkLine is the line of a call, without and with metrics.
func BenchmarkLine(b *testing.B) {
	words := []slog.Attr{slog.String("receipt", "01JZ0000000000000000000000"), slog.String("server", "github"), slog.Int("status", 200),
		slog.Int("upstream", 200), slog.String("reason", ""), slog.Int64("ms", 12)}
	measured := append([]slog.Attr{telemetry.AdmitTime.Took(1e6), telemetry.DecideTime.Took(5e6), telemetry.ObtainTime.Took(9e6),
		telemetry.SettleTime.Took(5e6), telemetry.UpstreamTime.Took(9e7), telemetry.CallTime.Took(1e8), telemetry.Calls.Is(1)}, words...)
	plain := slog.NewJSONHandler(io.Discard, nil)
	for name, c := range map[string]struct {
		h     slog.Handler
		attrs []slog.Attr
	}{"plain": {plain, words}, "metrics": {telemetry.New(plain, "prod"), measured}} {
		b.Run(name, func(b *testing.B) {
			log := slog.New(c.h)
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(context.Background(), slog.LevelInfo, "call", c.attrs...)
			}
		})
	}
}
