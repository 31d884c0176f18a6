package identity

import (
	"net/http"
	"net/url"
	"strings"
)

// MaxToken is the longest token looked at, in bytes.
const MaxToken = 16 << 10

// bearer takes the token from the one place where it may be (RFC 6750, 2.1).
// Another scheme alone counts as no token (RFC 6750, 3).
func bearer(r *http.Request) (string, error) {
	if err := noTokenInQuery(r.URL); err != nil {
		return "", err
	}
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return "", ErrMissingToken
	case len(values) > 1:
		return "", invalid(HeaderRepeated)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "bearer"):
		if strings.Contains(values[0], ",") {
			return "", invalid(HeaderRepeated) // two schemes in one header
		}
		return "", ErrMissingToken
	case len(token) > MaxToken:
		return "", invalid(TokenTooLarge)
	case token == "" || strings.ContainsFunc(token, notToken):
		return "", invalid(TokenMalformed)
	}
	return token, nil
}

// notToken is what a compact JWS cannot hold (RFC 7515, 7.1). The decoder
// underneath would skip line breaks.
func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// noTokenInQuery refuses a token where logs and histories would keep it. A
// query that does not parse could hide one.
func noTokenInQuery(u *url.URL) error {
	if u == nil || u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid(QueryMalformed)
	}
	for name := range query {
		switch strings.ToLower(name) {
		case "access_token", "token", "id_token", "auth_token", "bearer_token", "bearer", "jwt", "authorization":
			return invalid(TokenInQuery)
		}
	}
	return nil
}
