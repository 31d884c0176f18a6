package oauth

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"bindery/shared/secret"
)

// expected is what an answer is held to.
type expected struct {
	scopes []string
	issued string // issued_token_type; "" outside a token exchange
}

// reader is the transport under x/oauth2 for one token request: it sends the
// request, reads the answer strictly, keeps the token or the fault, and gives
// the library a plain answer of its own.
type reader struct {
	requester *Requester
	doing     string
	quirks    Quirks
	want      expected

	token Token
	fault *Fault
}

func (t *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.fault = t.exchange(req); t.fault != nil {
		return nil, t.fault
	}
	body, err := json.Marshal(map[string]string{"access_token": t.token.Access.Reveal(), "token_type": t.token.Type})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}, nil
}

func (t *reader) exchange(req *http.Request) *Fault {
	got, sent, err := t.requester.send(req)
	if err != nil && got.status == 0 {
		return unanswered(req.Context(), t.doing, sent)
	}
	granted := got.status >= 200 && got.status < 300
	o, whole := parse(got.body)
	whole = whole && err == nil && got.json
	if !whole {
		o = object{}
	}
	code, fine := o.text("error")
	switch {
	case !granted:
		return refusal(t.doing, got, code, t.quirks)
	case !whole || !fine:
		f := t.unreadable("the answer is not one JSON object")
		f.Status, f.cause = got.status, req.Context().Err()
		return f
	case code != "": // some providers refuse with 200
		return refusal(t.doing, got, code, t.quirks)
	}
	return t.read(o)
}

func (t *reader) unreadable(why string) *Fault { return fault(t.doing, ErrOutcomeUnknown, why) }

// read takes the token out of an answer that grants one.
func (t *reader) read(o object) *Fault {
	access, ok := o.text("access_token")
	if !ok || access == "" || len(access) > maxToken || !visible(access) {
		return t.unreadable("the access token")
	}
	refresh, ok := o.text("refresh_token")
	if !ok || len(refresh) > maxToken || !printable(refresh) {
		return t.unreadable("the refresh token")
	}
	kind, ok := t.tokenType(o)
	if !ok {
		return t.unreadable("the token's type")
	}
	if issued, ok := o.text("issued_token_type"); !ok || t.want.issued != "" && issued != t.want.issued {
		return t.unreadable("the token issued is of another type")
	}
	granted, ok := o.text("scope")
	if !ok || !printable(granted) {
		return t.unreadable("the scopes")
	}
	expires, ok := expiry(o.members["expires_in"], t.requester.now())
	if !ok {
		return t.unreadable("the token's life")
	}
	scopes := t.quirks.splitScopes(granted)
	if len(scopes) == 0 {
		scopes = slices.Clone(t.want.scopes) // RFC 6749, 5.1: none named means those asked for
	}
	// These ask for a token and not for access (OpenID Connect Core, 3.1.2.1 and 11):
	// many providers leave them out of what they say they granted.
	for _, scope := range []string{"openid", "offline_access"} {
		if slices.Contains(t.want.scopes, scope) && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	id, ok := o.text("id_token")
	if !ok || len(id) > maxToken || !printable(id) {
		id = "" // a grant is not lost for it; who wants an ID token finds none
	}
	t.token = Token{secret.New(access), secret.New(refresh), kind, scopes, expires, secret.New(id)}
	return nil
}

// tokenType accepts Bearer in any case, none where a quirk says so, and N_A
// where a token exchange gives no access token.
func (t *reader) tokenType(o object) (kind string, ok bool) {
	kind, ok = o.text("token_type")
	switch {
	case !ok:
		return "", false
	case strings.EqualFold(kind, "Bearer") || kind == "" && t.quirks.NoTokenType:
		return "Bearer", true
	case strings.EqualFold(kind, "N_A") && t.want.issued != "" && t.want.issued != TypeAccessToken:
		return "N_A", true
	}
	return "", false
}

// expiry reads expires_in: seconds, as a number or, as some send it, as text. A
// life that is negative or no number is refused; a very long one is cut.
func expiry(raw strict.RawMessage, now time.Time) (at time.Time, ok bool) {
	if raw == nil || string(raw) == "null" {
		return time.Time{}, true
	}
	number := string(raw)
	if number[0] == '"' {
		if strict.Unmarshal(raw, &number) != nil {
			return time.Time{}, false
		}
	}
	if len(number) > 20 || strings.Trim(number, "0123456789.eE+") != "" {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, false
	}
	return now.Add(time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))), true
}

// printable reports whether s is ASCII without control characters (VSCHAR and
// space), which codes, refresh tokens and scopes are made of.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f })
}
