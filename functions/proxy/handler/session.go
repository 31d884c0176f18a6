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
	x.forget(ctx, response.StatusCode)
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
	digest := broker.Digest("session", id)
	if upstream != "" {
		if err := x.enter(ctx, owner, digest, id); err != nil {
			return &failure{undecided, broker.SessionUnkept}
		}
	}
	x.w.Header().Set(sessionHeader, id)
	x.result.Session = digest
	return nil
}

// enter keeps that the upstream has a session, before anybody has its id: what is
// not known cannot be ended when somebody is revoked.
func (x *exchange) enter(ctx context.Context, o session.Owner, digest, id string) error {
	d := x.release.Decision
	p := d.Call.Principal
	return x.live.AddSession(ctx, broker.LiveSession{Environment: d.Call.Route.Environment, Digest: digest, Server: o.Server, Origin: o.Origin,
		Principal: o.Principal, Agent: o.Agent, Issuer: p.Issuer, Groups: p.Groups, Binding: d.Binding.Name, Wrapped: id, Expires: x.now().Add(session.Life)})
}

// forget drops a session that its owner has ended. One that could not be dropped
// is asked after once more when somebody is revoked, and else goes by itself.
func (x *exchange) forget(ctx context.Context, status int) {
	if x.message.Kind != mcp.End || x.session.Upstream == "" || status >= 300 && status != http.StatusNotFound {
		return
	}
	d := x.release.Decision
	if err := x.live.EndSession(ctx, d.Call.Route.Environment, d.Call.Principal.ID, d.Call.Session); err != nil {
		x.log.Warn("session not forgotten", "receipt", d.Call.Receipt, "cause", err.Error())
	}
}
