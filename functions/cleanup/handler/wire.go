package handler

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/session"
	"bindery/shared/wire"
)

const (
	// patience is how long one request to AWS may take. No caller waits for it.
	patience = 5 * time.Second
	// upstreamPools is how many distinct sets of opened networks are kept warm.
	upstreamPools = 16
)

// New joins the handler to tables, key, stores, upstreams and providers.
func New(c config.Config, a aws.Config, log *slog.Logger) *Handler {
	p := wire.Join(c, a, wire.Limits{Secrets: patience, Keys: patience, Tables: func(o *dynamodb.Options) {
		dynamo.Configure(o)
		o.HTTPClient = awsclient.Within(o.HTTPClient, patience)
	}})
	p.Grant(c, log)
	return &Handler{Parts{
		Environment: c.Environment, Cases: p.DB, Markers: p.DB, Catalogue: p.DB, Uses: p.DB, Sessions: p.DB, Grants: p.DB, Scanner: p.DB,
		Values: p.Sealed, Sources: p.Sources, Sealer: p.Sealer, Wrapped: session.New(p.DB, p.Sealer, c.Environment, time.Now),
		Upstreams: wire.NewUpstreams(c, upstreamPools),
		Providers: &Parties{Now: time.Now, Find: FindParty(p.Known(c))},
		Journal:   broker.NewJournal(p.DB, rand.Text), Now: time.Now, Fresh: fresh, Log: log,
	}}
}

// fresh makes a receipt.
func fresh() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }
