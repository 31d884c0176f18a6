package memory

import (
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
	var passed error
	err = s.do(ctx, op, func() error {
		now := s.now()
		for at, v := range s.sessions {
			if of(at) && now.Before(v.Expires) && token(v) > after {
				found = append(found, v)
			}
		}
		found, next, passed = firstOf(op, found, limit, token, func(v broker.LiveSession) bool {
			return s.spoilt[sessionKey{v.Environment, v.Principal, v.Digest}]
		})
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, passed
}

// ScanGrants implements broker.GrantScanner.
func (s *DB) ScanGrants(ctx context.Context, environment, after string, limit int) (found []broker.Grant, next string, err error) {
	if err := broker.CheckScan(environment, after, limit); err != nil {
		return nil, "", err
	}
	token := func(g broker.Grant) string { return url.QueryEscape(g.Principal) + " " + g.Token() }
	return s.grantsAfter(ctx, ScanGrants, after, limit, token, func(k broker.GrantKey) bool { return k.Environment == environment })
}

// grantsAfter gives those of a list whose tokens come after one.
func (s *DB) grantsAfter(ctx context.Context, op Op, after string, limit int, token func(broker.Grant) string, of func(broker.GrantKey) bool) (
	found []broker.Grant, next string, err error,
) {
	var passed error
	err = s.do(ctx, op, func() error {
		for k, g := range s.grants {
			if of(k) && g.State != broker.Deleted && token(g.Grant) > after {
				found = append(found, g.Grant)
			}
		}
		found, next, passed = firstOf(op, found, limit, token, func(g broker.Grant) bool { return s.spoilt[g.GrantKey] })
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, passed
}
