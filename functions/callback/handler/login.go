package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/identity"
	"bindery/shared/oauth"
)

// Cookies. The prefix makes browsers hold them to this host, and to https. The
// second lives as long as a login is under way: the browser's value, and the
// ticket to go back to.
const (
	sessionCookie = "__Host-bindery"
	loginCookie   = "__Host-bindery-login"
)

func setCookie(w http.ResponseWriter, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// cookie gives a cookie's value. One that came twice counts as none: somebody
// else may have set the other.
func cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// person says who is logged in at an issuer in this browser, or connect.ErrGone.
func (h *Handler) person(v *visit, issuer string) (connect.Browser, connect.Person, error) {
	b, ok := connect.ParseBrowser(cookie(v.Request, sessionCookie))
	if !ok {
		return b, connect.Person{}, connect.ErrGone
	}
	p, err := h.under.Person(v.Context(), b)
	if err == nil && issuer != "" && p.Issuer != issuer {
		err = connect.ErrGone
	}
	return b, p, err
}

// loginURL is where an issuer sends people back to.
func (h *Handler) loginURL() string { return h.publicURL + "/connect/login" }

// issuer finds where and as whom people log in.
func (h *Handler) issuer(v *visit, name string) (identity.Issuer, oauth.Provider, oauth.Client, error) {
	of, ok := h.verifier.LoginOf(name)
	if !ok {
		return of, oauth.Provider{}, oauth.Client{}, errNoLogin
	}
	p, err := h.logins.Provider(v.Context(), of.Issuer)
	if err != nil {
		return of, p, oauth.Client{}, loginFault(err)
	}
	// The deployment document trusts this issuer, and the nonce binds its answer to
	// this browser even if it checks no PKCE, which not every issuer says of itself.
	p.S256 = true
	c := oauth.Client{ID: of.Login.ClientID, Auth: oauth.AuthMethod(of.Login.ClientAuth)}
	if of.Login.ClientAuth != broker.ClientNone {
		c.Secret, err = h.loginSecret(v.Context(), of)
	}
	return of, p, c, err
}

// logIn sends the browser to the person's issuer. The ticket waits in a cookie.
func (h *Handler) logIn(w http.ResponseWriter, v *visit, issuer, ticket string) error {
	of, p, c, err := h.issuer(v, issuer)
	if err != nil {
		return err
	}
	b := connect.NewBrowser()
	state, nonce, verifier, err := h.under.BeginLogin(v.Context(), b, of.Issuer)
	if err != nil {
		return err
	}
	// The nonce travels as an extra parameter, which is how this issuer differs from
	// a provider of tokens.
	p.Quirks.Authorize = map[string]string{"nonce": nonce.Reveal()}
	address, err := h.logins.AuthorizationURL(p, c, oauth.Authorization{
		RedirectURL: h.loginURL(), State: state, Verifier: verifier, Scopes: of.Login.Scopes})
	if err != nil {
		return loginFault(err)
	}
	setCookie(w, loginCookie, b.Cookie().Reveal()+"."+ticket, int(connect.TicketLife.Seconds()))
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// loggedIn is the way back from the issuer.
func (h *Handler) loggedIn(w http.ResponseWriter, v *visit) error {
	value, ticket, _ := strings.Cut(cookie(v.Request, loginCookie), ".")
	b, ok := connect.ParseBrowser(value)
	query, err := url.ParseQuery(v.URL.RawQuery)
	if !ok || err != nil || !isTicket(ticket) || len(query["state"]) != 1 {
		return connect.ErrGone
	}
	l, nonce, verifier, err := h.under.EndLogin(v.Context(), b, query.Get("state"))
	if err != nil {
		return err
	}
	setCookie(w, loginCookie, "", -1)
	of, p, c, err := h.issuer(v, l.Issuer)
	if err != nil {
		return err
	}
	code, err := oauth.ReadCallback(p, query)
	if err != nil {
		return loginFault(err)
	}
	token, err := h.logins.ExchangeCode(v.Context(), p, c, oauth.Code{Code: code, Verifier: verifier, RedirectURL: h.loginURL()})
	if err != nil {
		return loginFault(err)
	}
	who, err := h.verifier.VerifyLogin(v.Context(), of.Issuer, c.ID, token.ID, nonce.Reveal())
	if err != nil {
		return loginFault(err)
	}
	session, err := h.under.Begin(v.Context(), connect.Person{Issuer: of.Issuer, Principal: who.ID, Name: nameOf(who)})
	if err != nil {
		return err
	}
	setCookie(w, sessionCookie, session.Cookie().Reveal(), int(connect.SessionLife.Seconds()))
	w.Header().Set("Location", h.publicURL+"/connect/"+ticket)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// loginFault tells a login that failed from an issuer that cannot be asked at
// the moment, which is nobody's fault and passes.
func loginFault(err error) error {
	kind := errLogin
	for _, passing := range []error{oauth.ErrTransient, identity.ErrIssuerUnavailable, context.DeadlineExceeded} {
		if errors.Is(err, passing) {
			kind = errIssuer
		}
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func nameOf(p broker.Principal) string {
	if p.Email != "" {
		return p.Email
	}
	return p.Subject
}

// isTicket reports whether a text can be a ticket's id, so that it can stand in
// an address and in a cookie.
func isTicket(s string) bool {
	if len(s) != 26 {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '2' || c > '7') })
}
