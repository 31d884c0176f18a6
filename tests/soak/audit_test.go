//go:build e2e && !nojava

package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/dynamo"
)

// evidence is the whole audit table: records by receipt and phase.
type evidence map[string]map[broker.Phase]broker.Record

func (w *world) evidence() evidence {
	w.tb.Helper()
	all := evidence{}
	for at := (dynamo.Segment{Segments: 1}); ; {
		page, err := w.DB.ScanRecords(w.tb.Context(), at, 1000)
		must(w.tb, err)
		if len(page.Unreadable) > 0 {
			w.tb.Errorf("%d rows of the audit table do not decode", len(page.Unreadable))
		}
		for _, r := range page.Records {
			if all[r.Receipt] == nil {
				all[r.Receipt] = map[broker.Phase]broker.Record{}
			}
			all[r.Receipt][r.Phase] = r
		}
		if page.Next == nil {
			return all
		}
		at.After = page.Next
	}
}

// open are the receipts of intents without an outcome.
func (e evidence) open() (receipts []string) {
	for receipt, records := range e {
		_, begun := records[broker.Intent]
		if _, ended := records[broker.Outcome]; begun && !ended {
			receipts = append(receipts, receipt)
		}
	}
	slices.Sort(receipts)
	return receipts
}

// storedIntent asks the table itself whether an intent stands.
func (w *world) storedIntent(receipt string) bool {
	out, err := w.rows.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &w.Config.Tables.Audit, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: receipt}, "sk": &types.AttributeValueMemberS{Value: string(broker.Intent)}}})
	return err == nil && len(out.Item) > 0
}

// reached holds what reached the upstream against the records: each call once,
// each with an intent, and as many as outcomes say were answered or broken off.
func (w *world) reached(e evidence) {
	w.tb.Helper()
	u := w.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	for receipt, n := range u.arrived {
		if _, ok := e[receipt][broker.Intent]; !ok {
			w.tb.Errorf("the upstream got a call without an intent: %s", receipt)
		}
		if n != 1 {
			w.tb.Errorf("the upstream got one call %d times: %+v", n, e[receipt])
		}
	}
	for id, n := range u.calls {
		if n != 1 {
			w.tb.Errorf("the upstream got the message %s %d times", id, n)
		}
	}
	for _, receipt := range u.unrecorded {
		w.tb.Errorf("a call reached the upstream before its intent was stored: %s", receipt)
	}
	for receipt, records := range e {
		if r := records[broker.Outcome]; r.Upstream != 0 && u.arrived[receipt] == 0 {
			w.tb.Errorf("an outcome tells of an answer of the upstream, which got no such call: %+v", r)
		}
	}
}

// seen counts the canaries in a text, and says which.
func (w *world) seen(where string, text []byte, canaries ...string) (n int) {
	w.tb.Helper()
	for _, canary := range canaries {
		if forms := leak.Find(text, canary); len(forms) > 0 {
			n++
			w.tb.Errorf("%s shows %.24s... (%v)", where, canary, forms)
		}
	}
	return n
}

// inTables looks for all canaries in every row.
func (w *world) inTables() (n int) {
	w.tb.Helper()
	t := w.Config.Tables
	for _, table := range []string{t.Catalogue, t.Revocations, t.Grants, t.Transient, t.Audit, t.AuditIndex} {
		rows, err := leak.Tables(w.tb.Context(), w.rows, table)
		must(w.tb, err)
		n += w.seen("the table "+table, rows, w.canaries...)
	}
	return n
}

// byName writes counts as "3 of one, 2 of another".
func byName(counts map[string]int) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", counts[name], name)
	}
	return text
}
