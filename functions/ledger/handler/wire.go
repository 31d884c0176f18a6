package handler

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
)

// attemptTime is how long one request to DynamoDB may take. Nobody waits for it
// but the next records.
const attemptTime = 5 * time.Second

// New joins the handler to the tables.
func New(c config.Config, a aws.Config, log *slog.Logger) *Handler {
	client := dynamodb.NewFromConfig(a, dynamo.Configure, func(o *dynamodb.Options) {
		o.HTTPClient = awsclient.Within(o.HTTPClient, attemptTime)
	})
	db := dynamo.New(client, dynamo.Tables{Audit: c.Tables.Audit, AuditIndex: c.Tables.AuditIndex}, time.Now)
	return &Handler{environment: c.Environment, index: db, audit: db, evidence: db, intents: db, journal: broker.NewJournal(db, rand.Text), log: log, now: time.Now}
}
