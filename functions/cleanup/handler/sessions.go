package handler

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/session"
)

// endTime is how long the upstream of one session may take.
const endTime = 10 * time.Second

// Words for why something was not ended.
const (
	faultRevoked   = "credential_revoked" // what would end it is itself revoked
	faultGone      = "server_gone"        // its server is closed, deleted or elsewhere now
	faultUnknown   = "id_unknown"         // nothing opens its id any more
	faultCaller    = "callers_token"      // only a caller's own token ends it
	faultRecord    = "not_recorded"
	faultStore     = "credential_not_obtained"
	faultUnread    = "not_read"
	faultRefused   = "refused"
	faultUnreached = "unreached"
)

// liveSession is a legacy session that an upstream keeps.
type liveSession struct{ broker.LiveSession }

func (s *liveSession) place() string { return "server " + s.Server }

func (s *liveSession) forget(ctx context.Context, r *run) error {
	return r.Sessions.EndSession(ctx, r.Environment, s.Principal, s.Digest)
}

func (s *liveSession) unreached(fault string) broker.Unreached {
	return broker.Unreached{What: "session", ID: s.Digest, Server: s.Server, Fault: fault, Until: s.Expires}
}

// end ends the session at its upstream as its owner would: by a DELETE with the
// credential of its binding.
func (s *liveSession) end(ctx context.Context, r *run) result {
	later := func(fault string) result { return result{Unreached: s.unreached(fault)} }
	never := func(fault string) result { return result{givenUp: true, Unreached: s.unreached(fault)} }
	at, err := r.Catalogue.Snapshot(ctx, broker.Lookup{Route: s.route(), Principal: s.Principal})
	if err != nil {
		return later(faultUnread)
	}
	binding, err := r.Catalogue.Binding(ctx, s.route(), s.Binding)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return later(faultUnread)
	}
	if at.Server == nil || at.Server.State != broker.Active || err != nil || binding.State == broker.Deleted || binding.Origin != s.Origin || !standsAt(at.Server, s.Origin) {
		return never(faultGone)
	}
	a := broker.Ask{Binding: binding, Stores: at.Stores, Server: *at.Server, Principal: s.owner(),
		Recorded: func(context.Context) error { return nil }} // it is asked when that is so
	switch revoked, err := r.revoked(ctx, s, a); {
	case err != nil:
		return later(faultUnread)
	case revoked:
		return never(faultRevoked)
	case binding.Source == broker.TokenExchange:
		return never(faultCaller)
	}
	opened, err := r.Wrapped.Unwrap(ctx, session.Owner{Server: s.Server, Origin: s.Origin, Principal: s.Principal, Agent: s.Agent}, s.Wrapped)
	switch {
	case errors.Is(err, session.ErrUnknown):
		return never(faultUnknown)
	case err != nil:
		return later(faultUnread)
	}
	return s.delete(ctx, r, a, opened)
}

func (s *liveSession) owner() broker.Principal {
	return broker.Principal{ID: s.Principal, Kind: broker.User, Issuer: s.Issuer, Groups: s.Groups, Agent: s.Agent}
}

func (s *liveSession) route() broker.Route {
	return broker.Route{Environment: s.Environment, Server: s.Server}
}

// standsAt reports whether a server is where the session was begun: no credential
// goes elsewhere.
func standsAt(server *broker.Server, origin string) bool {
	digest, err := broker.OriginDigest(server.URL)
	return err == nil && digest == origin
}

// revoked reports whether the credential of a session's binding is itself
// revoked: its server, a secret or store that it rests on, or the person's grant.
// A card that is revoked is used by nobody any more, and its sessions are what is
// to be ended.
func (r *run) revoked(ctx context.Context, s *liveSession, a broker.Ask) (bool, error) {
	keys := []broker.MarkerKey{{Kind: broker.ServerMarker, ID: s.Server}}
	for _, f := range a.Binding.Fields {
		keys = append(keys, broker.MarkerKey{Kind: broker.StoreMarker, ID: f.Reference.Scheme()})
		for _, v := range a.Stores { // and the store of what Bindery signs in with
			if v.Name == f.Reference.Scheme() && !v.Auth.Credential.IsZero() {
				keys = append(keys, broker.MarkerKey{Kind: broker.StoreMarker, ID: v.Auth.Credential.Scheme()})
			}
		}
	}
	for some := range slices.Chunk(append(keys, broker.RestsOn(a)...), broker.MaxMarkers) {
		found, err := r.Markers.Markers(ctx, r.Environment, some)
		if err != nil || slices.ContainsFunc(found, func(m broker.Marker) bool { return m.Revoked }) {
			return err == nil, err
		}
	}
	return false, nil
}

// delete records, obtains the credential, and asks the upstream, in this order.
func (s *liveSession) delete(ctx context.Context, r *run, ask broker.Ask, opened session.Session) result {
	b := ask.Binding
	a, err := r.access(ctx, broker.Record{Server: s.Server, Origin: s.Origin, Session: s.Digest, Binding: b.Name, BindingVersion: b.Version,
		Mode: b.Mode, Source: b.Source, References: referencesOf(b)})
	if err != nil {
		return result{Unreached: s.unreached(faultRecord)}
	}
	end := func(e result, status int, reason broker.Reason) result {
		a.over(ctx, status, reason)
		return e
	}
	source := r.Sources[b.Source]
	if source == nil {
		return end(result{givenUp: true, Unreached: s.unreached(faultRefused)}, 0, broker.ModeUnknown)
	}
	ask.Receipt = a.record.Receipt
	c, err := source.Obtain(ctx, ask)
	a.record.Accesses = c.Access
	var consent *broker.ConsentNeeded
	switch {
	case errors.As(err, &consent): // the person's grant is gone
		return end(result{givenUp: true, Unreached: s.unreached(faultRevoked)}, 0, broker.ReasonOf(err))
	case err != nil:
		return end(result{Unreached: s.unreached(faultStore)}, 0, broker.ReasonOf(err))
	}
	status, reason := s.ask(ctx, r, ask, opened.Upstream, c)
	switch {
	case reason != "":
		return end(result{Unreached: s.unreached(faultUnreached)}, status, reason)
	case status < 300, status == http.StatusNotFound, status == http.StatusMethodNotAllowed: // over, unknown, or ended by nobody but the upstream
		return end(result{done: true}, status, "")
	case status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusRequestTimeout &&
		status != http.StatusTooEarly && status != http.StatusTooManyRequests:
		return end(result{givenUp: true, Unreached: s.unreached(faultRefused)}, status, broker.UpstreamMalformed)
	}
	return end(result{Unreached: s.unreached(faultRefused)}, status, broker.UpstreamFailed)
}

func referencesOf(b broker.Binding) (names []string) {
	for _, f := range b.Fields {
		names = append(names, f.Name+"="+f.Reference.String())
	}
	return names
}

// ask makes the request. Nothing of the answer is kept but its status.
func (s *liveSession) ask(ctx context.Context, r *run, a broker.Ask, id string, c broker.Credential) (int, broker.Reason) {
	client, err := r.Upstreams.For(&a.Server)
	if err != nil {
		return 0, broker.UpstreamAddress
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, a.Server.URL, nil)
	if err != nil {
		return 0, broker.UpstreamAddress
	}
	request.Header.Set("User-Agent", "Bindery")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("Mcp-Session-Id", id)
	if credential.Propagate(request.Header, &a.Server, &a.Principal, a.Receipt, a.Binding.Mode) != nil || credential.Attach(request, &a.Server, c.Fields) != nil {
		return 0, broker.FieldsIncomplete
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, broker.UpstreamUnreached
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // so that the connection can serve the next
	return response.StatusCode, ""
}
