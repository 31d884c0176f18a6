package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/revoke"
)

// sampleNoon is when the records of the samples were made.
func sampleNoon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// seedLedger has a row that is no record, and after it records of two calls.
func seedLedger(ctx context.Context, s *stage) error {
	_, err := dynamodb.NewFromConfig(s.AWS).PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(s.Config.Tables.Audit), Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "01KJMMA2G10000000000000009"}, "sk": &types.AttributeValueMemberS{Value: "intent"}}})
	if err != nil {
		return fmt.Errorf("put a row that is no record: %w", err)
	}
	for i := range 2 {
		receipt := fmt.Sprintf("%s%016d", broker.FirstReceipt(sampleNoon().Add(time.Duration(i)*time.Millisecond)), i)
		for _, phase := range []broker.Phase{broker.Intent, broker.Outcome} {
			err := s.DB.Append(ctx, broker.Record{Schema: broker.RecordSchema, Receipt: receipt, Phase: phase, Nonce: "n", At: sampleNoon(),
				Environment: sampleEnvironment, Server: "github", Principal: "p-alice", Kind: broker.User})
			if err != nil {
				return fmt.Errorf("append a record: %w", err)
			}
		}
	}
	return nil
}

func (s *stage) revoker() *revoke.Revoker {
	return &revoke.Revoker{Environment: sampleEnvironment, Markers: s.DB, Reader: s.DB, Cases: s.DB, Journal: broker.NewJournal(s.DB, rand.Text), Now: time.Now}
}

// seedRevocation has a server that was revoked before.
func seedRevocation(ctx context.Context, s *stage) error {
	_, err := s.revoker().Revoke(ctx, revoke.Order{ID: "01KJMMA2G00000000000000000", Kind: broker.ServerMarker, Subject: "github", By: "p-admin", Reason: "taken over"})
	return err
}

// seedCleanup has somebody who was revoked, and a marker whose case was never
// stored.
func seedCleanup(ctx context.Context, s *stage) error {
	person := broker.PrincipalID("https://issuer.example", "person-1")
	_, err := s.revoker().Revoke(ctx, revoke.Order{ID: "01KJMMA2G07000000000000000", Kind: broker.PrincipalMarker, Subject: person,
		By: "p-aaaaaaaaaaaaaaaaaaaaaaaaaa", Reason: "left the company"})
	if err != nil {
		return err
	}
	return s.DB.PutMarker(ctx, broker.Marker{Environment: sampleEnvironment, Kind: broker.ServerMarker, ID: "github", Epoch: 1, Revoked: true,
		At: time.Now().UTC(), By: "event/made-up/1", Reason: "taken over", Revocation: "01KJMMA2G07000000000000001"})
}
