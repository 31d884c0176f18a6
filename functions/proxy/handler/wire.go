package handler

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/connect"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/session"
	"bindery/shared/wire"
)

// upstreamPools is how many distinct sets of opened networks are kept warm.
const upstreamPools = 64

// New builds the handler from settings.
func New(c config.Config, a aws.Config, log *slog.Logger) (*Handler, error) {
	document, err := identity.Parse(c.Issuers, c.Local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Issuers, err)
	}
	p := wire.Join(c, a, wire.HotPath())
	verifier, err := p.Verifier(c, document, log)
	if err != nil {
		return nil, err
	}
	p.Grant(c, log)
	return &Handler{
		environment: c.Environment,
		issuers:     document.Digest(),
		broker: broker.New(broker.Parts{Catalogue: p.DB, Markers: p.DB, Audit: p.DB, Sources: p.Sources, Rules: p.Rules,
			Now: time.Now, Nonce: rand.Text, Status: statusOf,
			Quotas: p.DB, Allowances: broker.Allowances(c.Limits), StreamTime: c.StreamTimeout + deadlineMargin}),
		verifier:  verifier,
		upstreams: wire.NewUpstreams(c, upstreamPools),
		sessions:  session.New(p.DB, p.Sealer, c.Environment, time.Now),
		live:      p.DB,
		asking: asking{handles: p.DB, life: connect.TicketLife - time.Minute,
			tickets: links{&connect.Desk{Handles: p.DB, Environment: c.Environment, PublicURL: c.PublicURL, Now: time.Now}}},
		door:    door{c.Hosts, c.Origins, c.Local},
		timeout: c.CallTimeout, streamTimeout: c.StreamTimeout, maxAnswer: maxAnswer(c),
		now: time.Now, log: log,
	}, nil
}

// links are the tickets of the connect page.
type links struct{ *connect.Desk }

// Waits implements Tickets. What cannot be read does not wait: another link costs
// little.
func (l links) Waits(ctx context.Context, link string) bool {
	_, err := l.Ticket(ctx, link[strings.LastIndexByte(link, '/')+1:])
	return err == nil
}

// maxAnswer is the configured limit, or what a buffered answer can hold.
func maxAnswer(c config.Config) int64 {
	if c.Stream {
		return c.MaxAnswerBytes
	}
	return min(c.MaxAnswerBytes, lambdahttp.MaxBufferedBytes/2) // a masked answer may be longer than it came
}
