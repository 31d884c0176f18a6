package wire

import (
	"fmt"
	"regexp"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/egress"
)

// signingKey is a key by its ARN: an alias could be made to mean another key.
var signingKey = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)

// CheckProvider is what a provider must meet to be registered in this
// deployment.
func CheckProvider(c config.Config) func(broker.Provider) error {
	return func(p broker.Provider) error {
		for _, address := range []string{p.Issuer, p.Endpoints.Authorization, p.Endpoints.Token, p.Endpoints.Revocation} {
			if address == "" {
				continue
			}
			if _, err := egress.ParseURL(address, egress.Policy{Loopback: c.Local, Networks: p.Networks}); err != nil {
				return fmt.Errorf("%w provider address: %w", broker.ErrInvalid, err)
			}
		}
		if strings.ContainsAny(p.Issuer, "?#") {
			return fmt.Errorf("%w provider: an issuer has no query and no fragment", broker.ErrInvalid)
		}
		if p.SigningKey != "" && !signingKey.MatchString(p.SigningKey) {
			return fmt.Errorf("%w provider: its signing key must be the ARN of a KMS key, not of an alias", broker.ErrInvalid)
		}
		return nil
	}
}
