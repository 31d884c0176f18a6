package oauth

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"bindery/shared/secret"
)

// Kinds of token, for Revoke.
const (
	RefreshToken = "refresh_token"
	AccessToken  = "access_token"
)

// Revoke tells the provider that a token is to be dead (RFC 7009), and with a
// refresh token, as a rule, its whole grant. A token that the provider does not
// know is revoked. ErrOutcomeUnknown and ErrTransient may be tried again.
func (r *Requester) Revoke(ctx context.Context, p Provider, c Client, token secret.Value, hint string) error {
	const doing = "revoke the token"
	switch why := r.endpoints(p); {
	case why != "":
		return fault(doing, ErrMetadata, why)
	case p.RevocationURL == "":
		return fault(doing, ErrMetadata, "it has no revocation endpoint")
	case token.IsZero() || token.Len() > maxToken || hint != RefreshToken && hint != AccessToken:
		return fault(doing, ErrInvalid, "the token")
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	how, err := r.credentials(ctx, doing, p, c)
	if err != nil {
		return err
	}
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	req, err := how.request(ctx, p.RevocationURL, c, form)
	if err != nil {
		return fault(doing, ErrMetadata, "its address cannot be asked")
	}
	got, sent, err := r.send(req)
	switch {
	case err != nil && got.status == 0:
		return unanswered(ctx, doing, sent)
	case got.status >= 200 && got.status < 300: // the body says nothing
		return nil
	}
	return refusal(doing, got, errorCode(got), p.Quirks)
}

// request makes a form request with the client's credentials, as x/oauth2 makes
// its token requests; the library has no revocation.
func (how credentials) request(ctx context.Context, address string, c Client, form url.Values) (*http.Request, error) {
	for name := range how.params {
		form.Set(name, how.params.Get(name))
	}
	if c.Auth != SecretBasic {
		form.Set("client_id", c.ID)
	}
	if c.Auth == SecretPost {
		form.Set("client_secret", how.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Auth == SecretBasic {
		pair := url.QueryEscape(c.ID) + ":" + url.QueryEscape(how.secret)
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	return req, nil
}

// errorCode is the error code of an answer that is not the expected one.
func errorCode(got answer) string {
	o, ok := parse(got.body)
	if !ok || !got.json {
		return ""
	}
	code, _ := o.text("error")
	return code
}
