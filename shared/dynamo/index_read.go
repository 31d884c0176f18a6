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
// came to. That is all a page's end says: the rest is asked anew each time. What
// does not decode is counted on the page that its receipt is of.
func (s *DB) Entries(ctx context.Context, f broker.AuditFilter, after string, limit int) (broker.AuditPage, error) {
	const doing = "read the audit index"
	if err := cmp.Or(f.Check(), f.CheckAfter(after), broker.CheckLimit(limit)); err != nil {
		return broker.AuditPage{}, err
	}
	w := walk{DB: s, filter: f, lead: f.Lead(), first: padded(broker.FirstReceipt(f.From))}
	upper := cmp.Or(after, padded(broker.FirstReceipt(f.To)))
	var page broker.AuditPage
	var passed unread
	shards := shardsOf(w.lead.By)
	reads := int32(2*limit/shards + 4)
	for range entryQueries / shards {
		if upper <= w.first {
			break
		}
		found, reached, err := w.step(ctx, upper, reads)
		if err != nil {
			return broker.AuditPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		for _, e := range found {
			switch {
			case e.err != nil:
				passed.add(e.err)
			case f.Holds(e.Entry):
				page.Entries = append(page.Entries, e.Entry)
			}
			if len(page.Entries) == limit {
				page.Next = e.Receipt
				return page, passed.err(doing)
			}
		}
		upper, reads = reached, entryReads
	}
	if upper > w.first {
		page.Next = upper
	}
	return page, passed.err(doing)
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

// placed is an entry, or, by its receipt, what is no entry in the place of one.
type placed struct {
	broker.Entry
	err error
}

// step reads the newest entries before upper, at most back to the beginning of
// a month. It gives all of those from reached on, newest first.
func (w walk) step(ctx context.Context, upper string, reads int32) (entries []placed, reached string, err error) {
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
	slices.SortStableFunc(entries, func(a, b placed) int { return cmp.Compare(b.Receipt, a.Receipt) })
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
	entries []placed
	reached string
}

// shard reads one partition backwards. Of a receipt's items the first that decodes
// says most; the others are passed over, also where a step ends between them.
func (w walk) shard(ctx context.Context, partition, lower, upper string, reads int32) (shardRead, error) {
	out, err := w.client.Query(ctx, &dynamodb.QueryInput{
		TableName:              aws.String(w.tables.AuditIndex),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :lower AND :upper"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: partition},
			":lower": &types.AttributeValueMemberS{Value: lower}, ":upper": &types.AttributeValueMemberS{Value: upper}},
		ScanIndexForward: aws.Bool(false), ConsistentRead: aws.Bool(true), Limit: aws.Int32(reads),
	})
	if err != nil {
		return shardRead{}, fault("ask for a part of it", err)
	}
	read := shardRead{reached: lower}
	for _, a := range out.Items {
		receipt := receiptOf(keyOf(a).sk)
		if n := len(read.entries); n > 0 && read.entries[n-1].err == nil && read.entries[n-1].Receipt == receipt {
			continue
		}
		e, err := decodeEntry(a, w.lead)
		if err == nil && keyOf(a).pk != partition {
			err = fmt.Errorf("%w: it belongs to another key", broker.ErrUndecodable)
		}
		e.Receipt = receipt
		read.entries = append(read.entries, placed{e, err})
	}
	if len(out.LastEvaluatedKey) == 0 {
		return read, nil
	}
	return read, read.ends(upper)
}

// ends has a part that is not all end with an entry: what stands behind it comes
// again, so that a receipt is not cut in two where its first item does not decode.
// Where there is no entry, it ends with what has a receipt at least. A key that
// somebody made up is no place to go on from.
func (r *shardRead) ends(upper string) error {
	for _, decodes := range []bool{true, false} {
		for _, e := range slices.Backward(r.entries) {
			if _, err := broker.ReceiptTime(e.Receipt); err == nil && e.Receipt < upper && (e.err == nil || !decodes) {
				r.reached = e.Receipt
				return nil
			}
		}
	}
	return fmt.Errorf("%w: a whole part of the index has no receipts", broker.ErrUndecodable)
}
