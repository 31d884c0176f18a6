package identity

import (
	"context"
	"net/http"

	"bindery/shared/broker"
)

// VerifyConnections tells who asks for their own connections, by the rules and
// with the errors of Verify. A client's own token is refused: nobody stands
// behind it.
func (v *Verifier) VerifyConnections(ctx context.Context, r *http.Request) (broker.Principal, error) {
	p, err := v.verify(ctx, r, v.connections())
	if err != nil {
		return broker.Principal{}, err
	}
	if p.Kind != broker.User || p.AgentOnly {
		return broker.Principal{}, invalid(PersonRequired)
	}
	return p, nil
}

// ConnectionsMetadata is the protected resource metadata of that API.
func (v *Verifier) ConnectionsMetadata() []byte { return v.metadata(v.connections()) }

// ConnectionsChallenge is Challenge for an error of VerifyConnections.
func (v *Verifier) ConnectionsChallenge(err error) string { return v.challenge(v.connections(), err) }
