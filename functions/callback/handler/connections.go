package handler

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/lambdahttp"
	"bindery/shared/telemetry"
)

// Connection is one grant as its person sees it.
type Connection struct {
	Server    string    `json:"server"`
	Provider  string    `json:"provider,omitempty"` // none: a key that was typed in
	Scopes    []string  `json:"scopes,omitempty"`
	Consented time.Time `json:"consented"`
	Until     time.Time `json:"until,omitzero"`
	State     string    `json:"state"` // active, dead, expired, revoked
}

type connections struct {
	Connections []Connection `json:"connections"`
	Next        string       `json:"next,omitempty"`
	Unreadable  int          `json:"unreadable,omitempty"` // of this page: they do not decode, and no call uses them
}

// Ended is the answer to a disconnection.
type Ended struct {
	Server string `json:"server"`
	// Provider says what became of the tokens there: revoked, not_revoked (it
	// cannot be asked, or did not answer), or none.
	Provider string `json:"provider"`
	// Unreadable counts the person's connections that do not decode: one of them may
	// be at this server, and was not ended.
	Unreadable int `json:"unreadable,omitempty"`
}

// own serves the API of a person's connections. A bearer token is the only way
// to say who one is, so that no page can make a browser do anything here.
func (h *Handler) own(serve func(http.ResponseWriter, *http.Request, admin.Caller) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := admin.Caller{Receipt: h.newReceipt(), RequestID: lambdahttp.RequestID(r.Context())}
		w.Header().Set("Bindery-Receipt", c.Receipt)
		var err error
		if len(r.Header["Cookie"]) > 0 {
			err = errCookie
		} else if c.Principal, err = h.verifier.VerifyConnections(r.Context(), r); err == nil {
			err = h.admitted(r, c)
		}
		if err == nil {
			err = serve(w, r, c)
		}
		if err != nil {
			h.problem(w, c.Receipt, err)
		}
	}
}

// admitted turns away who is revoked.
func (h *Handler) admitted(r *http.Request, c admin.Caller) error {
	err := h.desk.Admit(r.Context(), c, r.Method)
	if errors.Is(err, admin.ErrForbidden) {
		return errors.Join(errStopped, err)
	}
	return err
}

func (h *Handler) problem(w http.ResponseWriter, receipt string, err error) {
	f := faultOf(err)
	switch f.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if challenge := h.verifier.ConnectionsChallenge(err); challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	if f.Status >= http.StatusInternalServerError {
		h.log.Error("request failed", failureLine(receipt, f, err)...)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:bindery:problem:" + f.Name, "title": f.Title, "status": f.Status})
}

func writeJSON(w http.ResponseWriter, body any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(body)
}

const pageSize = 50

// list gives a page of one's own connections.
func (h *Handler) list(w http.ResponseWriter, r *http.Request, c admin.Caller) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	limit := pageSize
	if err == nil && query.Get("limit") != "" {
		limit, err = strconv.Atoi(query.Get("limit"))
	}
	if err != nil || limit < 1 || limit > broker.MaxPage {
		return broker.ErrInvalid
	}
	if err := h.desk.Read(r.Context(), c, about("list-connections", "list", c.Principal.ID, "")); err != nil {
		return err
	}
	grants, next, err := h.grants.GrantsOf(r.Context(), h.environment, c.Principal.ID, query.Get("after"), limit)
	unreadable, err := h.passedOver(c, err)
	if err != nil {
		return err
	}
	answer := connections{Connections: []Connection{}, Next: next, Unreadable: unreadable}
	for _, g := range grants {
		answer.Connections = append(answer.Connections, Connection{g.Server, g.Provider, g.Scopes, g.Consented, g.Until, h.stateOf(&g)})
	}
	return writeJSON(w, answer)
}

func (h *Handler) stateOf(g *broker.Grant) string {
	switch {
	case g.State != broker.Active:
		return string(g.State)
	case !g.Dead.IsZero():
		return "dead"
	case !g.Until.IsZero() && !h.now().Before(g.Until):
		return "expired"
	}
	return "active"
}

// end disconnects one's own grants at a server, whatever origin it had when they
// were given: first here, so that no call uses them any more, then at the
// provider.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, c admin.Caller) error {
	server := r.PathValue("server")
	if broker.CheckName("server", server) != nil {
		return broker.ErrNotFound
	}
	found, unreadable, err := h.at(r.Context(), c, server)
	if err != nil {
		return err
	}
	answer := Ended{Server: server, Provider: "none", Unreadable: unreadable}
	change := admin.Change{Apply: func(ctx context.Context) error {
		switch {
		case len(found) == 0 && unreadable > 0: // it may be one of those
			return broker.ErrUndecodable
		case len(found) == 0:
			return broker.ErrNotFound
		}
		var ended []broker.Grant
		var fault error
		for _, k := range found { // all of them, before a slow provider is asked about the first
			was, err := h.ended(ctx, k)
			if err != nil {
				fault = errors.Join(fault, err)
				continue
			}
			ended = append(ended, was)
		}
		for _, was := range ended { // also where others could not be ended: of these nothing is left to try again
			at, err := h.revoke(ctx, was)
			fault = errors.Join(fault, err)
			answer.Provider = worse(answer.Provider, at)
		}
		return fault
	}}
	if err := h.desk.Change(r.Context(), c, about("end-connection", "end", c.Principal.ID, server), change); err != nil {
		return err
	}
	return writeJSON(w, answer)
}

func worse(one, other string) string {
	if one == "not_revoked" || other == "none" {
		return one
	}
	return other
}

// at finds a person's grants at a server, and how many of theirs do not decode.
func (h *Handler) at(ctx context.Context, c admin.Caller, server string) (found []broker.GrantKey, unreadable int, err error) {
	for after := ""; ; {
		grants, next, err := h.grants.GrantsOf(ctx, h.environment, c.Principal.ID, after, broker.MaxPage)
		rows, err := h.passedOver(c, err)
		if err != nil {
			return nil, 0, err
		}
		unreadable += rows
		for _, g := range grants {
			if g.Server == server {
				found = append(found, g.GrantKey)
			}
		}
		if next == "" {
			return found, unreadable, nil
		}
		after = next
	}
}

// passedOver takes out of a list's fault how many rows it passed over, which the
// person is told beside the others.
func (h *Handler) passedOver(c admin.Caller, err error) (rows int, rest error) {
	if rows = broker.Unread(err); rows == 0 {
		return 0, err
	}
	h.log.Error("grants do not decode: an answer lacks them and says so", "receipt", c.Receipt, string(telemetry.RowsUnreadable), rows)
	return rows, nil
}

// ended ends a grant here. An attempt that nobody was heard of again in is told of
// before its trace is gone.
func (h *Handler) ended(ctx context.Context, k broker.GrantKey) (was broker.Grant, err error) {
	view, err := h.grants.Grant(ctx, k)
	if err == nil && view.Abandoned(h.now()) {
		err = credential.TellUnknown(ctx, h.desk.Journal, view.Grant, h.now())
	}
	if err != nil {
		return view.Grant, err
	}
	for range 3 { // to end what has ended succeeds
		if was, err = h.grants.EndGrant(ctx, k, broker.Deleted, h.now().UTC()); err == nil || errors.Is(err, broker.ErrNotFound) {
			break
		}
	}
	return was, err
}

// revoke ends a grant's tokens at the provider (RFC 7009). That it cannot does
// not bring the grant back: it is gone here. It fails only where nobody could be
// told that it cannot.
func (h *Handler) revoke(ctx context.Context, was broker.Grant) (string, error) {
	if was.Provider == "" || len(was.Sealed) == 0 {
		return "none", nil
	}
	set, err := credential.OpenTokens(ctx, h.sealer, was.GrantKey, was.Sealed)
	if err == nil {
		err = h.revokeAt(ctx, was, set)
	}
	if err != nil {
		h.log.Warn("tokens not revoked at the provider", "provider", was.Provider, "cause", causeOf(err))
		return "not_revoked", h.tellNotRevoked(ctx, was.GrantKey, credential.GrantFact{Provider: was.Provider, Generation: was.Generation})
	}
	return "revoked", nil
}

// tellNotRevoked records that a provider may still take what is of no use here.
func (h *Handler) tellNotRevoked(ctx context.Context, k broker.GrantKey, detail credential.GrantFact) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	fact := credential.FactOf(broker.GrantNotRevoked, k, detail)
	fact.Receipt, fact.By = h.newReceipt(), k.Principal
	err := h.desk.Journal.Tell(ctx, fact, h.now())
	if err != nil {
		h.log.Error("a fact could not be recorded", "fact", string(fact.Kind), "cause", causeOf(err), string(telemetry.AuditFailures), 1)
	}
	return err
}

func (h *Handler) revokeAt(ctx context.Context, was broker.Grant, set credential.TokenSet) error {
	row, err := h.reads.Providers.Provider(ctx, h.environment, was.Provider)
	if err != nil {
		return err
	}
	s, err := h.reads.Catalogue.Snapshot(ctx, broker.Lookup{Route: broker.Route{Environment: h.environment, Server: was.Server}, Principal: was.Principal})
	if err != nil {
		return err
	}
	row, same := row.Of(was)
	if !same {
		return errOther
	}
	party, err := h.known.Find(ctx, row, broker.Server{}, s.Stores, false) // nobody else has a say in where the tokens go
	if err != nil {
		return err
	}
	return party.RevokeAll(ctx, set.Access, set.Refresh)
}
