package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

const (
	entryQueries = 48  // that one page may take: steps back by a month at most, in every shard
	entryReads   = 100 // items of each shard that a step reads where the first, which reads about a page, was not enough
)

// Entries implements broker.AuditReader. A page walks backwards in time along
// the filter's lead, a bounded number of steps, and ends with the receipt it
// came to. That is all a page's end says: the rest is asked anew each time.
func (s *DB) Entries(ctx context.Context, f broker.AuditFilter, after string, limit int) (broker.AuditPage, error) {
	if err := cmp.Or(f.Check(), f.CheckAfter(after), broker.CheckLimit(limit)); err != nil {
		return broker.AuditPage{}, err
	}
	w := walk{DB: s, filter: f, lead: f.Lead(), first: padded(broker.FirstReceipt(f.From))}
	upper := cmp.Or(after, padded(broker.FirstReceipt(f.To)))
	var page broker.AuditPage
	shards := shardsOf(w.lead.By)
	reads := int32(2*limit/shards + 4)
	for range entryQueries / shards {
		if upper <= w.first {
			return page, nil
		}
		entries, reached, err := w.step(ctx, upper, reads)
		if err != nil {
			return broker.AuditPage{}, err
		}
		for _, e := range entries {
			if !f.Holds(e) {
				continue
			}
			page.Entries = append(page.Entries, e)
			if len(page.Entries) == limit {
				page.Next = e.Receipt
				return page, nil
			}
		}
		upper, reads = reached, entryReads
	}
	if upper > w.first {
		page.Next = upper
	}
	return page, nil
}

// padded is the least receipt of a time.
func padded(prefix string) string {
	return prefix + strings.Repeat("0", receiptLength-len(prefix))
}

const receiptLength = 26

// walk is one question on its way back.
type walk struct {
	*DB
	filter broker.AuditFilter
	lead   broker.Lead
	first  string // the least receipt that is asked for
}

// step reads the newest entries before upper, at most back to the beginning of
// a month. It gives all of those from reached on, newest first.
func (w walk) step(ctx context.Context, upper string, reads int32) (entries []broker.Entry, reached string, err error) {
	month, err := monthBefore(upper)
	if err != nil {
		return nil, "", err
	}
	lower := max(w.first, padded(broker.FirstReceipt(month)))
	shards := make([]shardRead, shardsOf(w.lead.By))
	err = inTurns(ctx, len(shards), func(ctx context.Context, i int) (err error) {
		shards[i], err = w.shard(ctx, entriesPartition(w.filter.Environment, w.lead, month, i), lower, upper, reads)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	for _, s := range shards {
		reached = max(reached, s.reached)
	}
	for _, s := range shards {
		for _, e := range s.entries {
			if e.Receipt >= reached {
				entries = append(entries, e)
			}
		}
	}
	slices.SortFunc(entries, func(a, b broker.Entry) int { return cmp.Compare(b.Receipt, a.Receipt) })
	return entries, reached, nil
}

// monthBefore is the beginning of the month that the newest receipt before upper
// can be of.
func monthBefore(upper string) (time.Time, error) {
	at, err := broker.ReceiptTime(upper)
	if err != nil {
		return time.Time{}, err
	}
	if upper == padded(broker.FirstReceipt(at)) {
		at = at.Add(-time.Millisecond)
	}
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC), nil
}

// shardRead is what one partition has, newest first, all of it from reached on.
type shardRead struct {
	entries []broker.Entry
	reached string
}

// shard reads one partition backwards. Of a receipt's items the first says most;
// the others are passed over, also where a step ends between them.
func (w walk) shard(ctx context.Context, partition, lower, upper string, reads int32) (shardRead, error) {
	const doing = "read the audit index"
	out, err := w.client.Query(ctx, &dynamodb.QueryInput{
		TableName:              aws.String(w.tables.AuditIndex),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :lower AND :upper"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: partition},
			":lower": &types.AttributeValueMemberS{Value: lower}, ":upper": &types.AttributeValueMemberS{Value: upper}},
		ScanIndexForward: aws.Bool(false), ConsistentRead: aws.Bool(true), Limit: aws.Int32(reads),
	})
	if err != nil {
		return shardRead{}, fault(doing, err)
	}
	read := shardRead{reached: lower}
	for _, a := range out.Items {
		e, err := decodeEntry(a, w.lead)
		switch {
		case err != nil:
			return shardRead{}, fmt.Errorf("%s: %w", doing, err)
		case keyOf(a).pk != partition:
			return shardRead{}, fmt.Errorf("%s: %w: it belongs to another key", doing, errRow)
		}
		if n := len(read.entries); n == 0 || read.entries[n-1].Receipt != e.Receipt {
			read.entries = append(read.entries, e)
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		read.reached = receiptOf(keyOf(out.LastEvaluatedKey).sk)
	}
	return read, nil
}
