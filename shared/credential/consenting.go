package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Lacks implements broker.Consenting.
func (g *Grants) Lacks(ctx context.Context, a broker.Ask, refused string) error {
	w := wantOf(&a)
	view, err := g.read(ctx, w)
	generation, _, _ := strings.Cut(refused, ".")
	if err == nil && refused != "" && generation == strconv.FormatInt(view.Grant.Generation, 10) {
		return w.lacks(broker.ConsentDead)
	}
	return err
}

// How long a call whose token was refused waits for somebody else's refresh.
const (
	refusedTurns = 8
	refusedPause = 500 * time.Millisecond
)

// Refused implements broker.Refusable: a token that the upstream did not accept
// is replaced although its time is not over. Whoever finds it replaced already
// uses that one. Where nothing can replace it, the person has to consent anew.
func (g *Grants) Refused(ctx context.Context, a broker.Ask, refused []broker.Access) (broker.Credential, error) {
	w := wantOf(&a)
	if a.Binding.Source != broker.AuthorizationCode || len(refused) != 1 {
		return broker.Credential{}, w.lacks(broker.ConsentDead)
	}
	fields, err := broker.Fields(a.Server.Attach)
	if err != nil || len(fields) != 1 {
		return broker.Credential{}, fmt.Errorf("%w: a token fills one field", broker.ErrSecretMalformed)
	}
	now := *w
	for n := 0; ; n++ {
		view, err := g.read(ctx, w)
		switch {
		case err != nil:
			return broker.Credential{}, err
		case versionOf(&view.Grant) != refused[0].Version:
			return g.Obtain(ctx, a)
		case !view.Grant.Refreshes, view.Grant.Expires.IsZero():
			return broker.Credential{}, w.lacks(broker.ConsentDead)
		}
		now.due = view.Grant.Expires.Add(time.Nanosecond) // so it counts as stale
		t, err := g.current(ctx, &now)
		switch {
		case err == nil && !t.Access.IsZero() && t.generation == view.Grant.Generation: // for which the agent's consent was looked at
			return g.credential(fields[0], w, t)
		case err == nil: // somebody replaced it between two reads, or the person agreed anew
			return g.Obtain(ctx, a)
		case !errors.Is(err, broker.ErrProviderUnavailable), n == refusedTurns, g.parts.Pause(ctx, refusedPause) != nil:
			return broker.Credential{}, err
		}
	}
}

func versionOf(g *broker.Grant) string { return fmt.Sprintf("%d.%d", g.Generation, g.Version) }

// Refused implements broker.Refusable: the secrets are read once more from their
// stores, in case one was rotated between read and use.
func (s *Static) Refused(ctx context.Context, a broker.Ask, refused []broker.Access) (broker.Credential, error) {
	c, err := s.obtain(ctx, a, true)
	if err != nil {
		return broker.Credential{}, err
	}
	if slices.EqualFunc(c.Access, refused, func(x, y broker.Access) bool { return x.Reference == y.Reference && x.Version == y.Version }) {
		return broker.Credential{Access: c.Access}, broker.ErrNothingBetter
	}
	return c, nil
}
