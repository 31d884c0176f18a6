package oauth

import "strings"

// Challenge is what an upstream's WWW-Authenticate says about Bearer tokens (RFC
// 6750, 3; RFC 9728, 5.1).
type Challenge struct {
	ResourceMetadata string   // address of the protected resource metadata
	Scopes           []string // scopes that the request needs
	Error            string   // invalid_token, insufficient_scope; "" if it is none of the registered ones
}

const maxChallenge = 8 << 10

// ParseChallenge reads the Bearer challenge among the values of WWW-Authenticate.
// What is malformed, repeated or too long is as if it were not there: the
// well-known addresses are asked then.
func ParseChallenge(values []string) Challenge {
	for _, value := range values {
		if len(value) > maxChallenge {
			continue
		}
		for _, c := range challenges(value) {
			if strings.EqualFold(c.scheme, "Bearer") && c.fine {
				return Challenge{c.params["resource_metadata"], strings.Fields(c.params["scope"]), publicCode(c.params["error"], Quirks{})}
			}
		}
	}
	return Challenge{}
}

type challenge struct {
	scheme string
	params map[string]string
	fine   bool // no parameter twice
}

// challenges reads a list of challenges (RFC 9110, 11.6.1), up to the first
// fault. The comma separates both challenges and parameters: a token that is
// not followed by "=" begins a challenge.
func challenges(rest string) (list []challenge) {
	for {
		rest = strings.TrimLeft(rest, " \t,")
		name, after := token(rest)
		if name == "" {
			return list
		}
		value, tail, isParam := parameter(after)
		switch {
		case !isParam:
			list, rest = append(list, challenge{name, map[string]string{}, true}), after
			continue
		case len(list) == 0:
			return nil
		}
		last := &list[len(list)-1]
		name = strings.ToLower(name)
		if _, repeated := last.params[name]; repeated {
			last.fine = false
		}
		last.params[name], rest = value, tail
	}
}

// token also takes the slash, which stands in base 64.
func token(s string) (name, rest string) {
	end := strings.IndexFunc(s, func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~/", c)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// parameter reads what follows a parameter's name.
func parameter(s string) (value, rest string, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimLeft(s, " \t"), "=")
	if s = strings.TrimLeft(s, " \t"); !ok {
		return "", "", false
	}
	if !strings.HasPrefix(s, `"`) {
		value, rest = token(s)
		return value, strings.TrimLeft(rest, "="), true // the padding of credentials in base 64
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return text.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		text.WriteByte(s[i])
	}
	return "", "", true // never closed: nothing of it counts
}
