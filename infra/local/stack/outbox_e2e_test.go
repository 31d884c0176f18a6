//go:build e2e

package stack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/events"
)

// queue is one of the endpoint's, behind a rule for Bindery's events.
type queue struct{ endpoint, url string }

func newQueue(t *testing.T, a aws.Config, endpoint string) queue {
	t.Helper()
	q := queue{endpoint: endpoint}
	var made struct{ QueueUrl string }
	q.ask(t, "CreateQueue", map[string]any{"QueueName": "listener"}, &made)
	q.url = made.QueueUrl
	bus := eventbridge.NewFromConfig(a)
	_, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("all"), EventPattern: aws.String(`{"source":["bindery"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("all"),
		Targets: []types.Target{{Id: aws.String("listener"), Arn: aws.String("arn:aws:sqs:" + stack.Region + ":123456789012:listener")}}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// ask speaks to the queue's service.
func (q queue) ask(t *testing.T, action string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, q.endpoint, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260301/"+stack.Region+"/sqs/aws4_request, SignedHeaders=host, Signature=none")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(text, out) != nil {
		t.Fatalf("%s: %d, %v", action, answer.StatusCode, err)
	}
}

// arrived takes what is in the queue.
func (q queue) arrived(t *testing.T) (found []json.RawMessage) {
	t.Helper()
	var got struct {
		Messages []struct{ Body, ReceiptHandle string }
	}
	q.ask(t, "ReceiveMessage", map[string]any{"QueueUrl": q.url, "MaxNumberOfMessages": 10}, &got)
	for _, m := range got.Messages {
		found = append(found, json.RawMessage(m.Body))
		q.ask(t, "DeleteMessage", map[string]any{"QueueUrl": q.url, "ReceiptHandle": m.ReceiptHandle}, &struct{}{})
	}
	return found
}

// catalogued is a file of the catalogue.
func catalogued(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../events/catalogue", name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(name, err)
	}
}

// sampleRecord is the record of which a sample was made.
func sampleRecord(t *testing.T, k events.Kind, n int) (broker.Record, events.Detail) {
	t.Helper()
	var sample struct{ Detail events.Detail }
	catalogued(t, k.Type+".sample.json", &sample)
	d := sample.Detail
	d.Detail = compact(t, d.Detail)
	d.ID = fmt.Sprintf("%s%016d", broker.FirstReceipt(d.Time), n)
	r := broker.Record{Schema: broker.RecordSchema, Receipt: d.ID, Phase: broker.Outcome, At: d.Time, Environment: d.Environment, RequestID: d.RequestID,
		Server: d.Server, Principal: d.By, Binding: d.Binding, Object: d.Object, Reason: broker.Reason(d.Reason), Method: d.Operation, Action: broker.Administer}
	for _, reference := range d.References {
		r.References = append(r.References, "="+reference)
	}
	switch {
	case k.Fact != "":
		r.Action, r.Method, r.After = broker.ActOfItself, string(k.Fact), string(d.Detail)
	case k.Operation == "":
		r.Phase = broker.Refused
	}
	return r, d
}

// TestEachTypeOfEventArrives at a queue behind a rule, made of records of the
// audit table, as the catalogue describes it; and of calls nothing does.
func TestEachTypeOfEventArrives(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	a := stack.AWS(moto.URL)
	d, err := stack.Provision(t.Context(), a, "prod", "http://127.0.0.1:1", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	q := newQueue(t, a, moto.URL)
	want, seen := map[string]events.Detail{}, map[string]bool{}
	journal := broker.NewJournal(d.DB, rand.Text)
	for i, k := range events.Kinds() {
		r, detail := sampleRecord(t, k, i)
		want[k.Type] = detail
		call := r
		call.Receipt, call.Action, call.Method = fmt.Sprintf("%s%016d", broker.FirstReceipt(r.At.Add(time.Second)), i), broker.CallTool, "tools/call"
		for _, one := range []broker.Record{r, call} {
			if err := journal.Append(t.Context(), one); err != nil {
				t.Fatal(k.Type, err)
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.FollowAudit(ctx, slog.New(slog.DiscardHandler)) }()
	defer func() { stop(); <-ended }()
	for range 1800 { // a busy machine is slow
		for _, message := range q.arrived(t) {
			typ, detail := valid(t, message)
			expected, known := want[typ]
			if diff := cmp.Diff(expected, detail); !known || diff != "" {
				t.Fatalf("%s, expected %t: %s", typ, known, diff)
			}
			seen[typ] = true // or seen again: once at least
		}
		if len(seen) == len(want) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d types never arrived", len(want)-len(seen))
}

// valid reads what arrived and holds it to the schema of its type.
func valid(t *testing.T, message json.RawMessage) (string, events.Detail) {
	t.Helper()
	var event struct {
		Type   string `json:"detail-type"`
		Detail events.Detail
	}
	var whole any
	if json.Unmarshal(message, &event) != nil || json.Unmarshal(message, &whole) != nil {
		t.Fatalf("no event: %s", message)
	}
	var schema jsonschema.Schema
	catalogued(t, event.Type+".schema.json", &schema)
	resolved, err := schema.Resolve(nil)
	if err == nil {
		err = resolved.Validate(whole)
	}
	if err != nil {
		t.Errorf("%s: %v", event.Type, err)
	}
	event.Detail.Detail = compact(t, event.Detail.Detail)
	return event.Type, event.Detail
}

// compact leaves out what stands between the members.
func compact(t *testing.T, text json.RawMessage) json.RawMessage {
	t.Helper()
	if text == nil {
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
