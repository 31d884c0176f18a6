package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/events"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// shelf is a bus that keeps what it takes, and fails as it is told.
type shelf struct {
	taken []events.Event
	asked int
	// fault answers for one event; nil: it is taken.
	fault func(asked int, e events.Event) error
	// lost are the requests, from 1, that are worked and whose answers are lost.
	lost map[int]bool
	down map[int]bool // are not worked
}

func (s *shelf) Send(_ context.Context, some []events.Event) ([]error, error) {
	s.asked++
	size := 0
	for _, e := range some {
		size += e.Size()
	}
	if len(some) == 0 || len(some) > MaxTogether || size > MaxBytes || s.down[s.asked] {
		return nil, fmt.Errorf("put %d events: %w", len(some), broker.ErrUnavailable)
	}
	faults := make([]error, len(some))
	for i, e := range some {
		if s.fault != nil {
			faults[i] = s.fault(s.asked, e)
		}
		if faults[i] == nil {
			s.taken = append(s.taken, e)
		}
	}
	if s.lost[s.asked] {
		return nil, fmt.Errorf("put events: %w: no answer", broker.ErrUnavailable)
	}
	return faults, nil
}

// ids are those of the events that were taken, in their order.
func (s *shelf) ids(t *testing.T) (ids []string) {
	t.Helper()
	for _, e := range s.taken {
		var d events.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	return ids
}

// newHandler is the handler over a shelf, and its log without times.
func newHandler(bus Bus) (*Handler, *strings.Builder) {
	log := &strings.Builder{}
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return &Handler{bus: bus, log: slog.New(slog.NewJSONHandler(log, plain))}, log
}

// fact is the record of one.
func fact(n int, detail string) broker.Record {
	return broker.Record{Schema: broker.RecordSchema, Receipt: fmt.Sprintf("%s%016d", broker.FirstReceipt(noon), n), Phase: broker.Outcome, Nonce: "n", At: noon,
		Environment: "prod", Server: "github", Principal: "p-alice", Method: string(broker.RotationPromoted), Action: broker.ActOfItself,
		Object: "reference/aws-sm:prod/github", References: []string{"=aws-sm:prod/github"}, After: detail}
}

func facts(n int) []broker.Record {
	var all []broker.Record
	for i := range n {
		all = append(all, fact(i, `{"version":"v2"}`))
	}
	return all
}

// inserted is the event of some records, each with its place in the stream.
func inserted(t *testing.T, records ...broker.Record) json.RawMessage {
	t.Helper()
	batch := []any{}
	for i, r := range records {
		item, err := attributevalue.MarshalMapWithOptions(r, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
		if err != nil {
			t.Fatal(err)
		}
		image := map[string]any{"pk": map[string]string{"S": r.Receipt}, "sk": map[string]string{"S": string(r.Phase)}}
		for name, v := range item {
			image[name] = member(t, v)
		}
		batch = append(batch, map[string]any{"eventName": "INSERT", "dynamodb": map[string]any{"SequenceNumber": fmt.Sprintf("s%d", i), "NewImage": image}})
	}
	text, err := json.Marshal(map[string]any{"Records": batch})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// member is an attribute as a stream's event carries it.
func member(t *testing.T, v types.AttributeValue) any {
	t.Helper()
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]string{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]string{"N": v.Value}
	case *types.AttributeValueMemberL:
		list := []any{}
		for _, one := range v.Value {
			list = append(list, member(t, one))
		}
		return map[string]any{"L": list}
	}
	t.Fatalf("a record has a %T", v)
	return nil
}
