package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	ledger "bindery/functions/ledger/handler"
	outbox "bindery/functions/outbox/handler"
)

// No local endpoint calls a function for a table's stream, so the stack does
// what Lambda does: it reads a table's stream and hands what is new to the very
// handler that a deployment runs.

// Ledger is the ledger function of the deployment.
func (d *Deployment) Ledger(log *slog.Logger) *ledger.Handler {
	return ledger.New(d.Config, d.as("ledger"), log)
}

// Outbox is the outbox function of the deployment.
func (d *Deployment) Outbox(log *slog.Logger) *outbox.Handler {
	return outbox.New(d.Config, d.as("outbox"), log)
}

const (
	streamPause = 200 * time.Millisecond // between looks at the stream
	streamBatch = 500
)

// FollowAudit fills the audit index and sends events, from the beginning of the
// stream until ctx ends. The two do not wait for each other.
func (d *Deployment) FollowAudit(ctx context.Context, log *slog.Logger) {
	var both sync.WaitGroup
	both.Go(func() { d.Follow(ctx, log, d.Config.Tables.Audit, d.Ledger(log).Handle) })
	both.Go(func() {
		tell := d.Outbox(log)
		d.Follow(ctx, log, d.Config.Tables.Audit, func(ctx context.Context, event json.RawMessage) (any, error) { return tell.Handle(ctx, event) })
	})
	both.Wait()
}

// Follow hands everything of a table's stream to a function, from the beginning
// until ctx ends. What fails is tried again at the next look.
func (d *Deployment) Follow(ctx context.Context, log *slog.Logger, table string, handle func(context.Context, json.RawMessage) (any, error)) {
	f := follower{client: dynamodbstreams.NewFromConfig(d.AWS), tables: dynamodb.NewFromConfig(d.AWS),
		table: table, handle: handle, iterators: map[string]*string{}}
	for ctx.Err() == nil {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			log.Warn("a table's stream could not be followed", "table", table, "cause", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(streamPause):
		}
	}
}

// follower is where one reader of a stream stands.
type follower struct {
	client    *dynamodbstreams.Client
	tables    *dynamodb.Client
	table     string
	handle    func(context.Context, json.RawMessage) (any, error)
	iterators map[string]*string // by shard; nil: it has ended
}

// look hands on what is new in every shard.
func (f follower) look(ctx context.Context) error {
	table, err := f.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &f.table})
	if err != nil {
		return fmt.Errorf("describe the table: %w", err)
	}
	arn := table.Table.LatestStreamArn
	if arn == nil {
		return errors.New("the table has no stream")
	}
	stream, err := f.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: arn})
	if err != nil {
		return fmt.Errorf("describe the stream: %w", err)
	}
	for _, shard := range stream.StreamDescription.Shards {
		id := aws.ToString(shard.ShardId)
		if _, known := f.iterators[id]; !known {
			begin, err := f.client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
				StreamArn: arn, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
			if err != nil {
				return fmt.Errorf("begin a shard: %w", err)
			}
			f.iterators[id] = begin.ShardIterator
		}
		if err := f.read(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// read goes on in one shard as long as there is something new. It moves on only
// when everything has been taken: what fails is read again.
func (f follower) read(ctx context.Context, shard string) error {
	for f.iterators[shard] != nil {
		page, err := f.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: f.iterators[shard], Limit: aws.Int32(streamBatch)})
		if err != nil {
			delete(f.iterators, shard) // an iterator dies of age: begin again, which is harmless
			return fmt.Errorf("read the stream: %w", err)
		}
		if len(page.Records) > 0 {
			if err := f.hand(ctx, page.Records); err != nil {
				return err
			}
		}
		f.iterators[shard] = page.NextShardIterator
		if len(page.Records) == 0 {
			return nil
		}
	}
	return nil
}

// hand gives records to the function as Lambda does.
func (f follower) hand(ctx context.Context, records []types.Record) error {
	batch := make([]any, len(records))
	for i, r := range records {
		batch[i] = map[string]any{"eventName": r.EventName, "eventSource": "aws:dynamodb", "dynamodb": map[string]any{
			"Keys": members(r.Dynamodb.Keys), "NewImage": members(r.Dynamodb.NewImage),
			"SequenceNumber": aws.ToString(r.Dynamodb.SequenceNumber), "StreamViewType": r.Dynamodb.StreamViewType}}
	}
	event, err := json.Marshal(map[string]any{"Records": batch})
	if err != nil {
		return fmt.Errorf("write the event: %w", err)
	}
	answer, err := f.handle(ctx, event)
	if err != nil {
		return err
	}
	if said, ok := answer.(events.DynamoDBEventResponse); !ok || len(said.BatchItemFailures) > 0 {
		return errors.New("the function wants records again")
	}
	return nil
}

// members writes attributes as an event carries them: {"name": {"S": "text"}}.
func members(of map[string]types.AttributeValue) map[string]any {
	all := make(map[string]any, len(of))
	for name, v := range of {
		all[name] = member(v)
	}
	return all
}

func member(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, one := range v.Value {
			list[i] = member(one)
		}
		return map[string]any{"L": list}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": members(v.Value)}
	}
	return map[string]any{"NULL": true}
}
