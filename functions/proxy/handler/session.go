package handler

import (
	"context"
	"errors"
	"net/http"

	"bindery/shared/broker"
	"bindery/shared/mcp"
	"bindery/shared/session"
)

const sessionHeader = "Mcp-Session-Id"

// ownerOf is whom a legacy session of this call belongs to. All of it comes
// from the token and the catalogue.
func ownerOf(d *broker.Decision) (session.Owner, error) {
	origin, err := broker.OriginDigest(d.Server.URL)
	return session.Owner{Server: d.Call.Route.Server, Origin: origin,
		Principal: d.Call.Principal.ID, Agent: d.Call.Principal.Agent}, err
}

var (
	// errSessionElsewhere: the session is the caller's, but was opened under
	// another binding than the one that serves this call. One session at an
	// upstream never sees what two bindings hold.
	errSessionElsewhere = errors.New("the session belongs to another binding")
	// errSessionUnread: whose session it is could not be found out.
	errSessionUnread = errors.New("the session could not be opened")
)

// unwrap opens the session that the caller named. No session is the zero
// Session.
func (h *Handler) unwrap(ctx context.Context, d *broker.Decision, message *mcp.Message) (session.Session, error) {
	if message.Session == "" {
		if message.Method == "initialize" {
			if err := h.sessions.Ready(ctx); err != nil {
				return session.Session{}, errors.Join(errSessionUnread, err)
			}
		}
		return session.Session{}, nil
	}
	owner, err := ownerOf(d)
	if err != nil {
		return session.Session{}, err
	}
	opened, err := h.sessions.Unwrap(ctx, owner, message.Session)
	switch {
	case errors.Is(err, session.ErrUnknown):
		return session.Session{}, err
	case err != nil:
		return session.Session{}, errors.Join(errSessionUnread, err)
	case opened.Binding != d.Binding.Name:
		return session.Session{}, errSessionElsewhere
	}
	return opened, nil
}

// sessionReason is the word for the record.
func sessionReason(err error) broker.Reason {
	switch {
	case errors.Is(err, session.ErrUnknown):
		return broker.SessionUnknown
	case errors.Is(err, errSessionElsewhere):
		return broker.SessionElsewhere
	case errors.Is(err, broker.ErrUnavailable):
		return broker.SessionUnread
	}
	return broker.KeyUnavailable
}

// keepSession gives the caller the session that an answer begins or repeats:
// never the upstream's own id. Every initialize answered with a 2xx begins one, also
// at an upstream that has none, because what the client can do is said there
// and nowhere else in the legacy era.
func (x *exchange) keepSession(ctx context.Context, response *http.Response) *failure {
	if x.message.Modern {
		return nil
	}
	upstream, ok := mcp.SessionID(response.Header)
	begins := x.message.Method == "initialize" && response.StatusCode < 300
	if begins && !ok {
		return &failure{notMCP, broker.UpstreamMalformed}
	}
	if _, n := x.masker.String(upstream); n > 0 {
		return &failure{wouldLeak, broker.AnswerWouldLeak}
	}
	switch {
	case upstream != "" && upstream == x.session.Upstream: // also to a second initialize: one session, one id
		x.w.Header().Set(sessionHeader, x.message.Session)
		return nil
	case upstream == "" && !begins:
		return nil
	}
	d := x.release.Decision
	owner, err := ownerOf(d)
	if err != nil {
		return &failure{internal, broker.Internal}
	}
	begun := session.Session{Upstream: upstream, Binding: d.Binding.Name, Version: x.message.Version, Capabilities: x.message.Capabilities}
	if !begins {
		begun.Capabilities = x.session.Capabilities
	}
	id, err := x.sessions.Wrap(ctx, owner, begun)
	if err != nil {
		return &failure{undecided, sessionReason(err)}
	}
	x.w.Header().Set(sessionHeader, id)
	x.result.Session = broker.Digest("session", id)
	return nil
}
