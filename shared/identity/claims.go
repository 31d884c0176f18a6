package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Limits on what a token may say.
const (
	maxText   = 512 // bytes of one claim
	maxGroups = 500
	maxScopes = 200

	maxDate = 253402300799 // 9999-12-31T23:59:59Z; beyond it dates wrap around
)

// claimSet is a token's claims, decoded without duplicate keys.
type claimSet struct{ jwt.MapClaims }

// UnmarshalJSON is called by the JWT parser with the claims' bytes.
func (c *claimSet) UnmarshalJSON(raw []byte) error {
	m, err := strictObject(raw)
	if err != nil {
		return invalid(TokenMalformed)
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if v, ok := m[name]; ok {
			if date, ok := v.(float64); !ok || date < 0 || date > maxDate {
				return invalid(ClaimMalformed)
			}
		}
	}
	c.MapClaims = m
	return nil
}

// path leads to a claim, one name per level.
type path []string

func newPath(s string) path {
	if !strings.HasPrefix(s, "/") {
		return path{s}
	}
	p := path(strings.Split(s[1:], "/"))
	for i := range p {
		p[i] = strings.ReplaceAll(strings.ReplaceAll(p[i], "~1", "/"), "~0", "~")
	}
	return p
}

func newPaths(list []string) []path {
	paths := make([]path, len(list))
	for i, s := range list {
		paths[i] = newPath(s)
	}
	return paths
}

// lookup finds a claim. A JSON null counts as absent.
func (c *claimSet) lookup(p path) any {
	object := map[string]any(c.MapClaims)
	for _, name := range p[:len(p)-1] {
		next, ok := object[name].(map[string]any)
		if !ok {
			return nil
		}
		object = next
	}
	return object[p[len(p)-1]]
}

func (c *claimSet) has(name string) bool { _, ok := c.MapClaims[name]; return ok }

// text gives a claim that must be text if it is there at all; "" is absent.
func (c *claimSet) text(p path) (string, error) {
	v := c.lookup(p)
	if v == nil {
		return "", nil
	}
	if s, ok := v.(string); ok && isText(s) {
		return s, nil
	}
	return "", invalid(ClaimMalformed)
}

// isText refuses what could break a header, a key or a log line, and the
// replacement character, under which different broken texts would look equal.
func isText(s string) bool {
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError
	})
}

// first gives the first of several claims that is there.
func (c *claimSet) first(paths []path) (string, error) {
	for _, p := range paths {
		if s, err := c.text(p); s != "" || err != nil {
			return s, err
		}
	}
	return "", nil
}

// texts gives a claim that is a text or a list of texts.
func (c *claimSet) texts(p path, limit int) ([]string, error) {
	v := c.lookup(p)
	if v == nil {
		return nil, nil
	}
	if s, ok := v.(string); ok && isText(s) {
		return []string{s}, nil
	}
	list, ok := v.([]any)
	if !ok || len(list) > limit {
		return nil, invalid(ClaimMalformed)
	}
	all := make([]string, len(list))
	for i := range list {
		s, ok := list[i].(string)
		if !ok || !isText(s) {
			return nil, invalid(ClaimMalformed)
		}
		all[i] = s
	}
	return all, nil
}

// scopes gathers scope (RFC 9068, text), scp (Okta: list, Entra ID: text) and,
// for a client of its own, roles (Entra ID gives no scopes there).
func (c *claimSet) scopes(own bool) []string {
	names := []string{"scope", "scp"}
	if own {
		names = append(names, "roles")
	}
	var all []string
	for _, name := range names {
		switch v := c.MapClaims[name].(type) {
		case string:
			all = append(all, strings.Fields(v)...)
		case []any:
			for _, element := range v {
				if s, ok := element.(string); ok {
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// accessToken refuses what shows that the token is not one to call with: an ID
// token, a refresh or logout token, or one bound to a key of the sender.
func (c *claimSet) accessToken() error {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if c.has(name) {
			return invalid(NotAnAccessToken)
		}
	}
	if c.has("cnf") {
		return invalid(SenderConstrained)
	}
	if use, ok := c.MapClaims["token_use"]; ok && use != "access" {
		return invalid(NotAnAccessToken)
	}
	if typ, ok := c.MapClaims["typ"].(string); ok {
		switch strings.ToLower(typ) {
		case "id", "refresh", "offline", "logout":
			return invalid(NotAnAccessToken)
		}
	}
	return nil
}
