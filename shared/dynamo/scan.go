package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

// Segment is a part of the audit table that is scanned by itself, and where its
// scan has come to.
type Segment struct {
	Segment  int        `json:"segment"`
	Segments int        `json:"segments"`
	After    *ScanPlace `json:"after,omitempty"` // nil: at the beginning
}

// ScanPlace names the last record that was read.
type ScanPlace struct {
	Receipt string       `json:"receipt"`
	Phase   broker.Phase `json:"phase"`
}

// ScanPage is a part of a segment.
type ScanPage struct {
	Records    []broker.Record
	Unreadable []ScanPlace // rows that are no records, by their keys, which may be anything
	Next       *ScanPlace  // nil: the segment is done
}

// ScanRecords reads the next rows of a segment of the audit table. It is how the
// index is made anew.
func (s *DB) ScanRecords(ctx context.Context, of Segment, limit int) (ScanPage, error) {
	in := &dynamodb.ScanInput{
		TableName: aws.String(s.tables.Audit), ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(limit)),
		Segment: aws.Int32(int32(of.Segment)), TotalSegments: aws.Int32(int32(of.Segments)),
	}
	if of.After != nil {
		in.ExclusiveStartKey = key{of.After.Receipt, string(of.After.Phase)}.attributes()
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return ScanPage{}, fault("scan the audit table", err)
	}
	var page ScanPage
	for _, item := range out.Items {
		r, err := DecodeRecord(item)
		if err != nil {
			k := keyOf(item)
			page.Unreadable = append(page.Unreadable, ScanPlace{k.pk, broker.Phase(k.sk)})
			continue
		}
		page.Records = append(page.Records, r)
	}
	if len(out.LastEvaluatedKey) > 0 {
		k := keyOf(out.LastEvaluatedKey)
		page.Next = &ScanPlace{k.pk, broker.Phase(k.sk)}
	}
	return page, nil
}
