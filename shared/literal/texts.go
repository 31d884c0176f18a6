package literal

import (
	"encoding/base64"
	"strings"
)

// What is longer than this says no more about a rule. It also bounds the work
// at each place of a text.
const window = 256

// privateKey finds PEM of any private key. Public keys and certificates are
// none.
func privateKey(text string) int {
	const begin = "-----BEGIN "
	for from := 0; ; {
		i := strings.Index(text[from:], begin)
		if i < 0 {
			return -1
		}
		at := from + i
		from = at + len(begin)
		if strings.Contains(first(text[from:], 40), "PRIVATE KEY") {
			return at
		}
	}
}

// jwt finds a signed or encrypted token in compact form.
func jwt(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], "eyJ")
		if i < 0 {
			return -1
		}
		at := from + i
		n := run(text[at:], urlSafe, len(text))
		from = at + n
		if (at == 0 || !urlSafe(text[at-1])) && n >= 16 && strings.HasPrefix(text[from:], ".") && run(text[from+1:], urlSafe, 10) == 10 {
			return at
		}
	}
}

// header finds what follows Bearer or Basic.
func header(text string) int {
	low := lowered(text)
	for _, scheme := range []string{"bearer ", "basic "} {
		for from := 0; ; {
			i := strings.Index(low[from:], scheme)
			if i < 0 {
				break
			}
			from += i + len(scheme)
			value := text[from : from+run(text[from:], token, window)]
			if scheme == "bearer " && len(value) >= 16 && lettersAndDigits(value) || scheme == "basic " && isBasic(value) {
				return from
			}
		}
	}
	return -1
}

// isBasic reports whether a word is user and password as RFC 7617 writes them.
func isBasic(value string) bool {
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	return err == nil && len(plain) >= 6 && strings.Contains(string(plain), ":")
}

// userInfo finds a URL with a password that is no placeholder.
func userInfo(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return -1
		}
		from += i + len("://")
		authority := first(text[from:], window)
		if end := strings.IndexAny(authority, "/?# \t\r\n\"'<>"); end >= 0 {
			authority = authority[:end]
		}
		user := strings.LastIndexByte(authority, '@')
		if user < 0 {
			continue
		}
		if _, password, _ := strings.Cut(authority[:user], ":"); password != "" && !placeholder(password) {
			return from
		}
	}
}

// named are what secrets are called.
var named = []string{"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key", "api-key", "accesskey", "access_key",
	"access-key", "secretkey", "secret_key", "private_key", "privatekey", "credential", "credentials"}

// assignment finds name=value, and name: value where a space or a quote stands
// between: a reference holds colons of its own.
func assignment(text string) int {
	for i := range len(text) {
		switch c := text[i]; {
		case c != '=' && c != ':' || !isNamed(text[max(0, i-64):i]):
		case c == '=' && assigned(text[i+1:]), c == ':' && said(text[i+1:]):
			return i
		}
	}
	return -1
}

func isNamed(before string) bool {
	before = strings.TrimRight(before, "\"' \\")
	start := len(before)
	for start > 0 && urlSafe(before[start-1]) {
		start--
	}
	name := lowered(before[start:])
	for _, n := range named {
		if strings.HasSuffix(name, n) {
			return true
		}
	}
	return name == "key" && start > 0 && (before[start-1] == '?' || before[start-1] == '&')
}

// assigned reports whether what follows "=" is a value and not a word about it.
func assigned(after string) bool {
	value := strings.TrimLeft(first(after, window), "\"' \\")
	if end := strings.IndexAny(value, "\"' \\\t\r\n&;,)<>{}|"); end >= 0 && !placeholder(value) {
		value = value[:end]
	}
	switch lowered(value) {
	case "true", "false", "null", "none", "required", "optional":
		return false
	}
	return !placeholder(value) && strings.Count(strings.Map(letterOrDigit, value), "x") >= 4
}

func letterOrDigit(r rune) rune {
	if r > 127 || alnum(byte(r)) {
		return 'x'
	}
	return '-'
}

// said reports whether what follows ": " is a value.
func said(after string) bool {
	value := strings.TrimLeft(first(after, window), "\"' \\")
	if value == first(after, window) {
		return false
	}
	n := run(value, func(c byte) bool { return urlSafe(c) || strings.IndexByte("!@$%^&*+.~", c) >= 0 }, window)
	return n >= 8 && !placeholder(value) && lettersAndDigits(value[:n])
}

// placeholder is where a value is to be put, and none: {x}, ${x}, <x>, ***, and
// the second half of ==.
func placeholder(value string) bool {
	return value == "" || strings.IndexByte("{$<*=", value[0]) >= 0
}

func lettersAndDigits(s string) bool {
	letters, digits := false, false
	for i := range len(s) {
		letters = letters || lower(s[i]) || upper(s[i])
		digits = digits || digit(s[i])
	}
	return letters && digits
}

func first(s string, n int) string { return s[:min(n, len(s))] }

// lowered is the text with the letters of ASCII in lower case: offsets stay.
func lowered(s string) string {
	b := []byte(s)
	for i, c := range b {
		if upper(c) {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
