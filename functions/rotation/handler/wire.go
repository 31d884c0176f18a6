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
	"bindery/shared/wire"
)

// patience is how long one request to AWS may take. No caller waits for it.
const patience = 5 * time.Second

// New joins the handler to tables, key, stores and providers.
func New(c config.Config, a aws.Config, log *slog.Logger) *Handler {
	p := wire.Join(c, a, wire.Limits{Secrets: patience, Keys: patience, Tables: func(o *dynamodb.Options) {
		dynamo.Configure(o)
		o.HTTPClient = awsclient.Within(o.HTTPClient, patience)
	}})
	journal := broker.NewJournal(p.DB, rand.Text)
	engine := p.Rotation(c, a, patience, journal, log)
	return &Handler{grants: p.Grant(c, log), drift: newDrift(p, c.Environment, journal), rotations: engine, incidents: p.DB, journal: journal, sealed: reencryption{p.DB, p.Sealer},
		managed: newManaged(a, engine), account: accountOf(c.ValuesKey), environment: c.Environment, log: log, now: time.Now}
}
