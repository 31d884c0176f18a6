package handler

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/seal"
)

// keyLimit is how long KMS may take, as for the proxy.
const keyLimit = 3 * time.Second

// New builds the handler from the settings of config.LoadAuthorizer. The
// verifier is the proxy's, on the same shared issuer keys.
func New(c config.Config, a aws.Config, log *slog.Logger) (*Handler, error) {
	document, err := identity.Parse(c.Issuers, c.Local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Issuers, err)
	}
	policy := egress.Policy{Loopback: c.Local, Networks: c.PrivateNetworks}
	verifier, err := identity.New(identity.Config{
		Document: document, Environment: c.Environment, PublicURL: c.PublicURL, HTTP: egress.New(policy).HTTP(),
		KeySets: dynamo.New(dynamodb.NewFromConfig(a, dynamo.Configure), dynamo.Tables{Transient: c.Tables.Transient}, time.Now),
		Sealer:  seal.New(kms.NewFromConfig(a), c.ValuesKey, keyLimit, c.FormerKeys...), Now: time.Now,
		Report: func(issuer string, err error) { log.Warn("issuer keys", "issuer", issuer, "cause", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	return &Handler{verifier: verifier, log: log}, nil
}
