package oauth

import (
	"errors"
	"net/url"

	"golang.org/x/oauth2"

	"bindery/shared/secret"
)

// Authorization is one request for consent.
type Authorization struct {
	RedirectURL string // exactly as registered
	State       string // unguessable, single-use
	Verifier    secret.Value
	Resource    string
	Scopes      []string
}

// NewVerifier makes a PKCE code verifier (RFC 7636).
func NewVerifier() secret.Value { return secret.New(oauth2.GenerateVerifier()) }

// AuthorizationURL is where the person's browser goes. PKCE is not optional: a
// provider whose metadata does not promise to check it is refused.
func (r *Requester) AuthorizationURL(p Provider, c Client, a Authorization) (string, error) {
	const doing = "make the authorization address"
	switch why := r.endpoints(p); {
	case why != "":
		return "", fault(doing, ErrMetadata, why)
	case p.AuthorizationURL == "":
		return "", fault(doing, ErrMetadata, "it has no authorization endpoint")
	case !p.S256 && !p.Configured:
		return "", fault(doing, ErrMetadata, "it does not say that it checks PKCE with S256")
	case c.ID == "" || a.RedirectURL == "" || a.State == "" || a.Verifier.Len() < 43:
		return "", fault(doing, ErrInvalid, "client, redirect, state or verifier")
	}
	config := oauth2.Config{
		ClientID: c.ID, RedirectURL: a.RedirectURL, Endpoint: oauth2.Endpoint{AuthURL: p.AuthorizationURL},
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier.Reveal())}
	set := func(name, value string) { options = append(options, oauth2.SetAuthURLParam(name, value)) }
	for name, value := range p.Quirks.Authorize {
		if fixed(name) {
			return "", fault(doing, ErrInvalid, "a quirk sets a parameter that is not its own")
		}
		set(name, value)
	}
	if len(a.Scopes) > 0 {
		set("scope", p.Quirks.joinScopes(a.Scopes))
	}
	if a.Resource != "" && !p.Quirks.NoResource {
		set("resource", a.Resource)
	}
	address := config.AuthCodeURL(a.State, options...)
	if err := once(doing, address); err != nil {
		return "", err
	}
	return address, nil
}

// fixed lists the parameters that are this package's to set.
func fixed(name string) bool {
	switch name {
	case "client_id", "redirect_uri", "response_type", "response_mode", "state", "code_challenge", "code_challenge_method",
		"scope", "resource", "request", "request_uri":
		return true
	}
	return false
}

// once refuses an address in which a parameter stands twice: the endpoint that
// the metadata names may bring a query of its own, and which of two values
// counts is anybody's guess.
func once(doing, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fault(doing, ErrMetadata, "the address does not parse")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fault(doing, ErrMetadata, "the address does not parse")
	}
	for name, values := range query {
		if len(values) != 1 || (name == "request" || name == "request_uri" || name == "response_mode") {
			return fault(doing, ErrMetadata, "the authorization endpoint brings a parameter of ours")
		}
	}
	return nil
}

// ReadCallback reads the answer that the browser brought to the redirect address
// and gives the code. The issuer is checked before anything else is believed, a
// refusal included (RFC 9207, 2.4): an answer from another issuer says nothing
// about this one. The caller has compared the state, in constant time, with the
// one that belongs to this browser.
func ReadCallback(p Provider, query url.Values) (secret.Value, error) {
	const doing = "read the answer to the authorization request"
	for _, name := range []string{"iss", "state", "code", "error"} {
		if len(query[name]) > 1 {
			return secret.Value{}, fault(doing, ErrMixUp, "a parameter stands twice")
		}
	}
	if err := checkIssuer(doing, p, query); err != nil {
		return secret.Value{}, err
	}
	if query.Has("error") {
		f := refusal(doing, answer{}, query.Get("error"), p.Quirks)
		if errors.Is(f.Kind, ErrInvalidGrant) { // no grant was shown
			f.Kind = ErrRefused
		}
		return secret.Value{}, f
	}
	code := query.Get("code")
	if code == "" || len(code) > maxToken || !printable(code) {
		return secret.Value{}, fault(doing, ErrRefused, "there is no code")
	}
	return secret.New(code), nil
}

// checkIssuer compares the texts as they are: an issuer that differs only in
// spelling is another one. An issuer that answers unasked is compared too.
func checkIssuer(doing string, p Provider, query url.Values) error {
	switch {
	case query.Has("iss") && (query.Get("iss") != p.Issuer || p.Issuer == ""):
		return fault(doing, ErrMixUp, "")
	case !query.Has("iss") && p.SendsIssuer:
		return fault(doing, ErrMixUp, "it names no issuer, and the provider says that it does")
	}
	return nil
}
