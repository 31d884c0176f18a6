package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/credential"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// ask shows the question behind a link to the person it is for.
func (h *Handler) ask(w http.ResponseWriter, v *visit) error {
	id := v.PathValue("ticket")
	if !isTicket(id) {
		return connect.ErrGone
	}
	t, err := h.under.Ticket(v.Context(), id)
	if err != nil {
		return err
	}
	b, p, err := h.person(v, t.Issuer)
	if errors.Is(err, connect.ErrGone) {
		return h.logIn(w, v, t.Issuer, id)
	}
	if err != nil {
		return err
	}
	if err := h.desk.Read(v.Context(), v.caller(p), about("open-consent", "open", t.Principal, t.Server)); err != nil {
		return err
	}
	q, err := h.reads.Question(v.Context(), h.environment, t, h.now())
	if err != nil {
		return err
	}
	return h.pages.question(w, &q, p, b.CSRF(id).Reveal())
}

// answer takes the person's yes or no.
func (h *Handler) answer(w http.ResponseWriter, v *visit) error {
	id := v.PathValue("ticket")
	if !isTicket(id) {
		return connect.ErrGone
	}
	b, p, err := h.person(v, "")
	if err != nil {
		return err
	}
	form, err := h.form(v, b, id)
	if err != nil {
		return err
	}
	t, err := h.under.Ticket(v.Context(), id)
	if err != nil {
		return err
	}
	a := &answering{Handler: h, visit: v, browser: b, person: p, ticket: t, id: id, form: form, at: h.now().UTC()}
	switch form.Get("decision") {
	case "deny":
		change := admin.Change{Apply: func(ctx context.Context) error { return h.under.Answer(ctx, id) }}
		if err := h.desk.Change(v.Context(), v.caller(p), about("deny-consent", "deny", t.Principal, t.Server), change); err != nil {
			return err
		}
		return h.pages.over(w, http.StatusOK, "You said no", "Nothing was stored. You can close this page.")
	case "allow":
		return a.allow(w)
	}
	return errForm
}

// maxForm is the longest form, in bytes.
const maxForm = 64 << 10

// form reads a form that this browser got from this page for this ticket. The
// origin of a form is hidden by the page's own referrer policy, so a browser
// that says anything of it may say "null".
func (h *Handler) form(v *visit, b connect.Browser, id string) (url.Values, error) {
	if site := v.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return nil, errForgery
	}
	if origin := v.Header.Get("Origin"); origin != "" && origin != "null" && origin != h.publicURL {
		return nil, errForgery
	}
	kind, _, err := mime.ParseMediaType(v.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	body, err := io.ReadAll(io.LimitReader(v.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, errForm
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, errForm
		}
	}
	token, shown, _ := strings.Cut(form.Get("csrf"), ".")
	if !b.CSRF(id).Equal(secret.New(token)) {
		return nil, errForgery
	}
	form.Set("shown", shown)
	return form, nil
}

// answering is a yes on its way.
type answering struct {
	*Handler
	*visit
	browser connect.Browser
	person  connect.Person
	ticket  connect.Ticket
	id      string
	form    url.Values
	q       connect.Question
	at      time.Time
}

// agreed is what the record says of a consent: never a token.
type agreed struct {
	Agent    string    `json:"agent,omitempty"`
	Provider string    `json:"provider,omitempty"`
	Binding  string    `json:"binding"`
	Scopes   []string  `json:"scopes,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

func (a *answering) record() agreed {
	return agreed{a.ticket.Agent, a.ticket.Provider, a.ticket.Binding, a.q.Scopes, a.q.Until}
}

// allow records the yes and then does what it allows: nothing is asked of a
// provider, and no link is used up, before that.
func (a *answering) allow(w http.ResponseWriter) error {
	var err error
	var next string
	question := func(ctx context.Context) error {
		if a.q, err = a.reads.Question(ctx, a.environment, a.ticket, a.at); err == nil && viewOf(&a.q).digest() != a.form.Get("shown") {
			err = connect.ErrStale // a yes is to what the page said, and to nothing that came since
		}
		return err
	}
	if a.person.Principal == a.ticket.Principal { // nobody else causes a read; the desk asks again, and records
		if err := question(a.Context()); err != nil {
			return err
		}
	}
	change := admin.Change{After: a.record(), Apply: func(ctx context.Context) error {
		switch {
		case a.q.Agreed:
			return a.addAgent(ctx)
		case len(a.q.Fields) > 0:
			return a.storeKey(ctx)
		}
		next, err = a.beginFlow(ctx)
		return err
	}}
	operation := about("allow-consent", "allow", a.ticket.Principal, a.ticket.Server)
	if err := a.desk.Change(a.Context(), a.caller(a.person), operation, change); err != nil {
		return err
	}
	if next != "" {
		return a.pages.onward(w, next, providerName(&a.q))
	}
	return a.pages.connected(w, a.q.Server.Name)
}

// addAgent lets one more agent use the grant that is there.
func (a *answering) addAgent(ctx context.Context) error {
	if err := a.under.Answer(ctx, a.id); err != nil {
		return err
	}
	return a.grants.AddConsent(ctx, a.ticket.Key(a.environment),
		broker.Consent{Agent: a.ticket.Agent, Generation: a.q.Grant.Generation, At: a.at})
}

// beginFlow makes the address at the provider where the person confirms. The
// ticket is used up when everything else is there: a provider that cannot be
// reached costs nobody their link.
func (a *answering) beginFlow(ctx context.Context) (string, error) {
	party, err := a.known.Find(ctx, a.q.Provider, a.q.Server, a.q.Stores, true)
	if err != nil {
		return "", err
	}
	state, verifier := a.browser.NewState()
	address, err := party.AuthorizationURL(party.Provider, party.Client, oauth.Authorization{
		RedirectURL: a.known.Redirect(a.q.Provider.Name), State: state, Verifier: verifier, Resource: party.Resource, Scopes: a.q.Scopes})
	if err != nil {
		return "", err
	}
	if err := a.under.Answer(ctx, a.id); err != nil {
		return "", err
	}
	return address, a.under.BeginFlow(ctx, a.browser, state, connect.Flow{
		Ticket: a.ticket, Person: a.person, Party: party.Same(), Scopes: a.q.Scopes, Until: a.q.Until, Agreed: a.at,
		Generation: a.q.Grant.Generation, Ended: a.q.Grant.Ended,
	})
}

// maxValue is the longest value that a person types in, in bytes.
const maxValue = 4 << 10

// fieldPrefix is before a field's name in the form.
const fieldPrefix = "field-"

// storeKey seals what the person typed in. It is checked as a credential is
// before each call, so that what cannot be used is said now.
func (a *answering) storeKey(ctx context.Context) error {
	values := map[string]secret.Value{}
	for _, name := range a.q.Fields {
		text := a.form.Get(fieldPrefix + name)
		if len(text) > maxValue || strings.ContainsAny(text, "\r\n\x00") {
			return errValue
		}
		values[name] = secret.New(text)
		if a.check(values[name]) != nil {
			return errValue
		}
	}
	if err := credential.Try(a.q.Server, values); err != nil {
		return fmt.Errorf("%w: %w", errValue, err)
	}
	sealed, err := credential.SealFields(ctx, a.sealer, a.ticket.Key(a.environment), values)
	if err != nil {
		return err
	}
	if err := a.under.Answer(ctx, a.id); err != nil {
		return err
	}
	return a.begin(ctx, &a.q, broker.Grant{Sealed: sealed, Until: a.q.Until, Consented: a.at, Generation: a.q.Grant.Generation}, a.ticket)
}

// begin stores a consent in the place of what there was. An attempt that nobody was
// heard of again in is told of before its trace is gone. A write whose answer was lost is repeated, and is
// recognised then; if no answer ever comes, what is stored says how it went.
func (h *Handler) begin(ctx context.Context, q *connect.Question, g broker.Grant, t connect.Ticket) error {
	if q.Abandoned {
		if err := credential.TellUnknown(ctx, h.desk.Journal, q.Grant, h.now()); err != nil {
			return err
		}
	}
	g.GrantKey, g.Provider = t.Key(h.environment), t.Provider
	c := broker.Consent{Agent: t.Agent, At: g.Consented}
	var err error
	for range 3 {
		if err = h.grants.BeginGrant(ctx, g, c); err == nil || errors.Is(err, broker.ErrConflict) || errors.Is(err, broker.ErrInvalid) {
			break
		}
	}
	if err != nil && !h.begun(ctx, g) {
		return fmt.Errorf("store the grant: %w", err)
	}
	return nil
}

// begun reports whether a grant is stored. In doubt it is not: what a person is
// told did not work must not live on.
func (h *Handler) begun(ctx context.Context, g broker.Grant) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
	defer cancel()
	view, err := h.grants.Grant(ctx, g.GrantKey)
	return err == nil && view.Grant.State == broker.Active && view.Grant.Generation == g.Generation+1 && bytes.Equal(view.Grant.Sealed, g.Sealed)
}

func providerName(q *connect.Question) string {
	for _, address := range []string{q.Provider.Issuer, q.Provider.Endpoints.Authorization} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return q.Provider.Name
}
