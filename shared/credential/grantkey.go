package credential

import (
	"context"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// typedIn gives what the person typed in: all the server's fields, or none.
func (g *Grants) typedIn(ctx context.Context, w *wanted) (broker.Credential, error) {
	names, err := broker.Fields(w.server.Attach)
	if err != nil {
		return broker.Credential{}, fmt.Errorf("%w: the server's attachments", broker.ErrSecretMalformed)
	}
	view, err := g.read(ctx, w)
	if err != nil {
		return broker.Credential{}, err
	}
	members, err := openFields(ctx, g.parts.Sealer, w.key, view.Grant.Sealed)
	if err != nil {
		return broker.Credential{}, err
	}
	c := broker.Credential{
		Fields: make(map[string]secret.Value, len(names)),
		Access: []broker.Access{{Reference: "grant:personal-key", Version: fmt.Sprintf("%d.%d", view.Grant.Generation, view.Grant.Version)}},
	}
	for _, name := range names {
		if members[name].IsZero() { // the server has got a field since
			return broker.Credential{}, w.lacks(broker.ConsentNone)
		}
		c.Fields[name] = members[name]
	}
	if err := maskable(c.Fields, g.parts.Check); err != nil {
		return broker.Credential{}, err
	}
	return c, nil
}
