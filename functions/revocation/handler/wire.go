package handler

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/identity"
	"bindery/shared/revoke"
)

// New joins the handler to the tables. Somebody waits for a stop, so the tables
// have the patience of a call.
func New(c config.Config, a aws.Config, log *slog.Logger) (*Handler, error) {
	document, err := identity.Parse(c.Issuers, c.Local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Issuers, err)
	}
	db := dynamo.New(dynamodb.NewFromConfig(a, dynamo.Configure), dynamo.Tables{Revocations: c.Tables.Revocations, Audit: c.Tables.Audit}, time.Now)
	r := &revoke.Revoker{Environment: c.Environment, Markers: db, Reader: db, Cases: db, Journal: broker.NewJournal(db, rand.Text), Now: time.Now}
	return &Handler{revoker: r, people: document, now: time.Now, log: log}, nil
}
