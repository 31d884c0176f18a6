//go:build e2e

package stack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/wire"
)

// TestTheAuditStreamOfMotoFillsTheIndex, as that of DynamoDB Local does.
func TestTheAuditStreamOfMotoFillsTheIndex(t *testing.T) { streamFillsIndex(t, parts.Moto) }

// streamFillsIndex: what is appended is found a moment later, and a rebuild from
// the table alone finds the same.
func streamFillsIndex(t *testing.T, start func(context.Context, parts.Progress) (*parts.Process, error)) {
	t.Parallel()
	p, err := start(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	d := &stack.Deployment{AWS: stack.AWS(p.URL), Config: config.Config{Tables: config.Tables{Catalogue: "catalogue", Revocations: "revocations",
		Grants: "grants", Transient: "transient", Audit: "audit", AuditIndex: "audit-index"}}}
	create(t, d)
	streamed := follow(t, d)
	again := *d
	again.Config.Tables.AuditIndex = "audit-index-anew"
	create(t, &again)
	if diff := cmp.Diff(streamed, rebuilt(t, &again)); diff != "" {
		t.Errorf("a rebuild finds (-stream +rebuild):\n%s", diff)
	}
}

func create(t *testing.T, d *stack.Deployment) {
	t.Helper()
	if err := dynamo.Create(t.Context(), dynamodb.NewFromConfig(d.AWS), wire.TableNames(d.Config.Tables)); err != nil {
		t.Fatal(err)
	}
	d.Administer()
}

const calls = 300

// follow appends the records of many calls and a row that is none, and waits for
// the index to have them all.
func follow(t *testing.T, d *stack.Deployment) []broker.Entry {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.FollowAudit(ctx, slog.New(slog.DiscardHandler))
	}()
	defer func() { stop(); <-ended }()
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range calls {
		r := broker.Record{Schema: broker.RecordSchema, Receipt: fmt.Sprintf("%s%016d", broker.FirstReceipt(now), i), Nonce: "n", Phase: broker.Intent,
			At: now, Environment: "dev", Server: "github", Binding: "team", Principal: "p-alice", Kind: broker.User, References: []string{"token=aws-sm:dev/github#token"}}
		if err := d.DB.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		r.Phase, r.At, r.Status, r.Accesses = broker.Outcome, now.Add(time.Second), 200, []broker.Access{{Reference: "aws-sm:dev/github", Version: "v1"}}
		if i == calls/2 {
			putNoRecord(t, d)
		}
		if err := d.DB.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for range 600 {
		found := entries(t, d)
		open := 0
		for _, e := range found {
			if e.Phase != broker.Outcome {
				open++
			}
		}
		if len(found) == calls && open == 0 {
			lag, err := d.DB.Lag(t.Context(), "dev")
			if err != nil || !lag.Newest.Equal(now.Add(time.Second)) {
				t.Fatalf("lag %+v, %v", lag, err)
			}
			return found
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the index was not filled")
	return nil
}

func putNoRecord(t *testing.T, d *stack.Deployment) {
	t.Helper()
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	_, err := dynamodb.NewFromConfig(d.AWS).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(d.Config.Tables.Audit),
		Item: map[string]types.AttributeValue{"pk": text("no receipt"), "sk": text("intent"), "schema": text("none")}})
	if err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, d *stack.Deployment) []broker.Entry {
	t.Helper()
	f := broker.AuditFilter{Environment: "dev", From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Server: "github"}
	var all []broker.Entry
	for after := ""; ; {
		page, err := d.DB.Entries(t.Context(), f, after, broker.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Entries...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

// rebuilt fills an empty index from the table, in segments.
func rebuilt(t *testing.T, d *stack.Deployment) []broker.Entry {
	t.Helper()
	ledger := d.Ledger(slog.New(slog.DiscardHandler))
	records, unreadable := 0, 0
	for segment := range 4 {
		event := fmt.Sprintf(`{"rebuild":{"segment":%d,"segments":4}}`, segment)
		for done := false; !done; {
			answer, err := ledger.Handle(t.Context(), json.RawMessage(event))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			var said struct {
				Rebuild             json.RawMessage
				Records, Unreadable int
				Done                bool
			}
			if err := json.Unmarshal(text, &said); err != nil {
				t.Fatal(err)
			}
			records, unreadable, done = records+said.Records, unreadable+said.Unreadable, said.Done
			event = `{"rebuild":` + string(said.Rebuild) + `}`
		}
	}
	if records != 2*calls || unreadable != 1 {
		t.Errorf("the rebuild read %d records and %d that are none", records, unreadable)
	}
	return entries(t, d)
}
