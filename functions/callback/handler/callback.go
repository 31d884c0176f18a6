package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/credential"
	"bindery/shared/oauth"
)

// returning is the way back from a provider.
type returning struct {
	*Handler
	*visit
	browser connect.Browser
	flow    connect.Flow
	query   url.Values
	stands  connect.Question
}

// authorized takes the provider's answer. It counts only in the browser in which
// the person agreed, once, and at the address of the provider that was asked:
// with an address for each, an answer that another provider gave is told apart
// even where that one does not name itself (RFC 9700, 4.4.2).
func (h *Handler) authorized(w http.ResponseWriter, v *visit) error {
	b, p, err := h.person(v, "")
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(v.URL.RawQuery)
	if err != nil || len(query["state"]) != 1 {
		return connect.ErrGone
	}
	f, verifier, err := h.under.EndFlow(v.Context(), b, query.Get("state"))
	if err != nil {
		return err
	}
	if f.Ticket.Provider != v.PathValue("provider") || !f.Person.Is(p) {
		return errOther
	}
	q, err := h.reads.Question(v.Context(), h.environment, f.Ticket, h.now())
	if err != nil {
		return err
	}
	if q.Grant.Generation != f.Generation || !q.Grant.Ended.Equal(f.Ended) {
		return connect.ErrStale
	}
	r := &returning{h, v, b, f, query, q}
	change := admin.Change{
		After: agreed{f.Ticket.Agent, f.Ticket.Provider, f.Ticket.Binding, f.Scopes, f.Until},
		Apply: func(ctx context.Context) error {
			party, err := h.known.Find(ctx, q.Provider, q.Server, q.Stores, false)
			if err != nil {
				return err
			}
			if party.Same() != f.Party {
				return errOther
			}
			code, err := oauth.ReadCallback(party.Provider, query)
			if err != nil {
				return err
			}
			return r.redeem(ctx, party, oauth.Code{Code: code, Verifier: verifier,
				RedirectURL: h.known.Redirect(q.Provider.Name), Resource: party.Resource, Scopes: f.Scopes})
		},
	}
	operation := about("finish-consent", "finish", f.Ticket.Principal, f.Ticket.Server)
	if err := h.desk.Change(v.Context(), v.caller(p), operation, change); err != nil {
		return err
	}
	return h.pages.connected(w, q.Server.Name)
}

// redeem gets the tokens and stores them. Tokens that are not stored are taken
// back at the provider.
func (r *returning) redeem(ctx context.Context, party oauth.Party, code oauth.Code) error {
	token, err := party.ExchangeCode(ctx, party.Provider, party.Client, code)
	if err == nil {
		err = r.store(ctx, party, token)
	}
	if err == nil || token.Access.IsZero() {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
	defer cancel()
	if party.RevokeAll(ctx, token.Access, token.Refresh) != nil {
		t := r.flow.Ticket
		r.log.Warn("tokens not taken back", "receipt", r.receipt, "provider", t.Provider)
		err = errors.Join(err, r.tellNotRevoked(ctx, t.Key(r.environment), credential.GrantFact{Provider: t.Provider}))
	}
	return err
}

func (r *returning) store(ctx context.Context, party oauth.Party, token oauth.Token) error {
	t := r.flow.Ticket
	if err := r.sameSubject(ctx, party, token); err != nil {
		return err
	}
	switch {
	case len(oauth.Lacking(r.flow.Scopes, token.Scopes)) > 0:
		return errScopes
	case r.check(token.Access) != nil:
		return errUnmaskable
	}
	set := credential.TokenSet{Access: token.Access, Refresh: token.Refresh, Expires: party.Lives(token, r.now()).UTC(), Scopes: r.flow.Scopes}
	sealed, err := credential.SealTokens(ctx, r.sealer, t.Key(r.environment), set, r.flow.Scopes)
	if err != nil {
		return err
	}
	return r.begin(ctx, &r.stands, broker.Grant{Sealed: sealed.Sealed, Expires: sealed.Expires, Scopes: sealed.Scopes, Refreshes: sealed.Refreshes,
		Authority: party.Authority, Resource: party.Resource,
		Until: r.flow.Until, Consented: r.flow.Agreed, Generation: r.flow.Generation}, t)
}

// sameSubject refuses tokens for somebody else, where that can be told: when the
// provider is the issuer at which the person logs in, and says whose tokens they
// are.
func (r *returning) sameSubject(ctx context.Context, party oauth.Party, token oauth.Token) error {
	if token.ID.IsZero() || party.Provider.Issuer != r.flow.Ticket.Issuer {
		return nil
	}
	who, err := r.verifier.VerifyLogin(ctx, r.flow.Ticket.Issuer, party.Client.ID, token.ID, "")
	if err != nil {
		return errors.Join(errSomebody, err)
	}
	if who.ID != r.flow.Ticket.Principal {
		return errSomebody
	}
	return nil
}

// client is the metadata document by which a provider knows Bindery as a client:
// the document's own address is the client's identifier. It tells nobody which
// providers there are: only the row of one that has such a client with a key says
// more than the name that was asked for.
func (h *Handler) client(w http.ResponseWriter, v *visit) error {
	name, ok := strings.CutSuffix(v.PathValue("document"), ".json")
	if !ok || broker.CheckName("provider", name) != nil {
		return errNoPage
	}
	row, err := h.reads.Providers.Provider(v.Context(), h.environment, name)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return fmt.Errorf("read the provider: %w", err)
	}
	if err != nil || row.State != broker.Active || row.Registration != broker.MetadataDocument {
		row = broker.Provider{Name: name, ClientAuth: broker.ClientNone}
	}
	document, err := h.known.Describe(v.Context(), row)
	if errors.Is(err, oauth.ErrInvalid) { // Bindery's own address is none for a client
		return errNoPage
	} else if err != nil {
		return err
	}
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(slices.Concat(body, []byte("\n")))
	return err
}
