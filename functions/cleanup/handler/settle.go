package handler

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"bindery/shared/broker"
)

// What Counted names: the row of a session, or a grant in the very version whose
// tokens were dealt with.

func words(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func (s *liveSession) key() string { return words("session", s.Principal, s.Digest) }

func (g *grant) key() string {
	return words("grant", g.GrantKey.Principal, g.GrantKey.Server, g.GrantKey.Origin, versionOf(g.seen))
}

func versionOf(g broker.Grant) string { return fmt.Sprintf("%d.%d", g.Generation, g.Version) }

// settle forgets what a run that died had counted and not forgotten. A grant that
// holds other tokens by now is left to the pass.
func (r *run) settle(ctx context.Context) error {
	faults := make([]error, len(r.c.Counted))
	r.together(len(r.c.Counted), func(i int) {
		faults[i] = errors.New("it was not settled")
		faults[i] = r.settleOne(ctx, r.c.Counted[i])
	})
	return errors.Join(faults...)
}

func (r *run) settleOne(ctx context.Context, named string) error {
	parts := strings.Split(named, "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return fmt.Errorf("%w case: what it has counted has no name", broker.ErrInvalid)
		}
	}
	switch {
	case len(parts) == 3 && parts[0] == "session":
		return again(func() error { return r.Sessions.EndSession(ctx, r.Environment, parts[1], parts[2]) })
	case len(parts) == 5 && parts[0] == "grant":
		k := broker.GrantKey{Environment: r.Environment, Principal: parts[1], Server: parts[2], Origin: parts[3]}
		view, err := r.Grants.Grant(ctx, k)
		if errors.Is(err, broker.ErrNotFound) || err == nil && (view.Grant.State != broker.Active || versionOf(view.Grant) != parts[4]) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a grant: %w", err)
		}
		g := &grant{GrantKey: k, seen: view.Grant}
		return again(func() error { return g.forget(ctx, r) })
	}
	return fmt.Errorf("%w case: what it has counted has no name", broker.ErrInvalid)
}
