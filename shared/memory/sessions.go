package memory

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	"bindery/shared/broker"
)

// AddSession implements broker.LiveSessions.
func (s *DB) AddSession(ctx context.Context, v broker.LiveSession) error {
	if err := v.Check(); err != nil {
		return err
	}
	v.Groups, v.Expires = clone(v.Groups), plain(v.Expires)
	at := sessionKey{v.Environment, v.Principal, v.Digest}
	return s.do(ctx, AddSession, func() error {
		if there, taken := s.sessions[at]; taken {
			sameRow := there.Wrapped == v.Wrapped && there.Binding == v.Binding && there.Expires.Equal(v.Expires) && slices.Equal(there.Groups, v.Groups)
			if !sameRow {
				return broker.ErrConflict
			}
		}
		s.sessions[at] = v
		return nil
	})
}

// EndSession implements broker.LiveSessions.
func (s *DB) EndSession(ctx context.Context, environment, principal, digest string) error {
	if err := broker.CheckSession(environment, principal, digest); err != nil {
		return err
	}
	return s.do(ctx, EndSession, func() error {
		delete(s.sessions, sessionKey{environment, principal, digest})
		return nil
	})
}

// SessionsOf implements broker.LiveSessions.
func (s *DB) SessionsOf(ctx context.Context, environment, principal, after string, limit int) (found []broker.LiveSession, next string, err error) {
	if err := broker.CheckSessionsOf(environment, principal, after, limit); err != nil {
		return nil, "", err
	}
	token := func(v broker.LiveSession) string { return v.Digest }
	return s.sessionsAfter(ctx, ListSessions, after, limit, token, func(at sessionKey) bool {
		return at.environment == environment && at.principal == principal
	})
}

// ScanSessions implements broker.LiveSessions.
func (s *DB) ScanSessions(ctx context.Context, environment, after string, limit int) (found []broker.LiveSession, next string, err error) {
	if err := broker.CheckScan(environment, after, limit); err != nil {
		return nil, "", err
	}
	token := func(v broker.LiveSession) string { return url.QueryEscape(v.Principal) + " " + v.Digest }
	return s.sessionsAfter(ctx, ScanSessions, after, limit, token, func(at sessionKey) bool { return at.environment == environment })
}

// sessionsAfter gives those of a list whose tokens come after one.
func (s *DB) sessionsAfter(ctx context.Context, op Op, after string, limit int, token func(broker.LiveSession) string, of func(sessionKey) bool) (
	found []broker.LiveSession, next string, err error,
) {
	err = s.do(ctx, op, func() error {
		now := s.now()
		for at, v := range s.sessions {
			if of(at) && now.Before(v.Expires) && token(v) > after {
				found = append(found, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	found, next = firstOf(found, limit, token)
	return found, next, nil
}

// ScanGrants implements broker.GrantScanner.
func (s *DB) ScanGrants(ctx context.Context, environment, after string, limit int) (found []broker.Grant, next string, err error) {
	if err := broker.CheckScan(environment, after, limit); err != nil {
		return nil, "", err
	}
	token := func(g broker.Grant) string { return url.QueryEscape(g.Principal) + " " + g.Token() }
	err = s.do(ctx, ScanGrants, func() error {
		for k, g := range s.grants {
			if k.Environment == environment && g.State != broker.Deleted && token(g.Grant) > after {
				found = append(found, g.Grant)
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	found, next = firstOf(found, limit, token)
	return found, next, nil
}

// firstOf gives the first page of what a list holds, and the token to go on after.
func firstOf[V any](all []V, limit int, token func(V) string) (page []V, next string) {
	slices.SortFunc(all, func(a, b V) int { return cmp.Compare(token(a), token(b)) })
	if len(all) > limit {
		all = all[:limit]
		next = token(all[limit-1])
	}
	return all, next
}
