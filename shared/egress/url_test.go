package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseURLAccepts(t *testing.T) {
	local := Policy{Loopback: true}
	private := Policy{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		in, want string
		p        Policy
	}{
		{"https://mcp.example.com/mcp", "https://mcp.example.com/mcp", Policy{}},
		{"HTTPS://MCP.Example.com:8443/Path?q=1", "https://mcp.example.com:8443/Path?q=1", Policy{}},
		{"https://1.1.1.1/", "https://1.1.1.1/", Policy{}},
		{"https://[2606:4700::1111]:443/", "https://[2606:4700::1111]:443/", Policy{}},
		{"https://10.0.0.1/", "https://10.0.0.1/", private},
		{"https://my_service.internal/%2e%2e/x", "https://my_service.internal/%2e%2e/x", Policy{}},
		{"https://4.example-1.c0m/", "https://4.example-1.c0m/", Policy{}},
		{"http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp", local},
		{"http://[::1]:8080/mcp", "http://[::1]:8080/mcp", local},
		{"http://localhost/mcp", "http://localhost/mcp", local},
		{"https://localhost/mcp", "https://localhost/mcp", local},
	} {
		u, err := ParseURL(c.in, c.p)
		if err != nil || u.String() != c.want {
			t.Errorf("ParseURL(%q) = %v, %v, want %q", c.in, u, err, c.want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	local := Policy{Loopback: true}
	for _, c := range []struct {
		attack, in string
		p          Policy
		want       error
	}{
		{"empty", "", Policy{}, ErrURL},
		{"no scheme", "example.com/mcp", Policy{}, ErrURL},
		{"scheme-relative", "//example.com/", Policy{}, ErrScheme},
		{"opaque", "https:example.com", Policy{}, ErrURL},
		{"no host", "https:///mcp", Policy{}, ErrURL},
		{"port without host", "https://:443/", Policy{}, ErrURL},
		{"file", "file:///etc/passwd", Policy{}, ErrURL},
		{"gopher", "gopher://example.com/", Policy{}, ErrScheme},
		{"plain http", "http://example.com/", Policy{}, ErrScheme},
		{"plain http to loopback in Lambda", "http://127.0.0.1/", Policy{}, ErrScheme},
		{"plain http to a public name, locally", "http://example.com/", local, ErrScheme},
		{"plain http to a public address, locally", "http://1.1.1.1/", local, ErrScheme},
		{"plain http to metadata, locally", "http://169.254.169.254/", local, ErrScheme},
		{"plain http to a name that starts like loopback", "http://127.0.0.1.example.com/", local, ErrScheme},
		{"user info hides the host", "https://example.com@evil.test/", Policy{}, ErrURL},
		{"user and password", "https://u:hunter2@example.com/", Policy{}, ErrURL},
		{"empty user info", "https://@example.com/", Policy{}, ErrURL},
		{"fragment", "https://example.com/#x", Policy{}, ErrURL},
		{"empty fragment", "https://example.com/#", Policy{}, ErrURL},
		{"newline", "https://example.com/\nHost: x", Policy{}, ErrURL},
		{"null", "https://example.com\x00.evil.test/", Policy{}, ErrURL},
		{"tab", "https://exa\tmple.com/", Policy{}, ErrURL},
		{"space", " https://example.com/", Policy{}, ErrURL},
		{"backslash as slash", `https://example.com\@evil.test/`, Policy{}, ErrURL},
		{"homograph", "https://exаmple.com/", Policy{}, ErrURL},
		{"full-width digits", "https://１２７.0.0.1/", Policy{}, ErrURL},
		{"percent-encoded host", "https://%31%32%37.0.0.1/", Policy{}, ErrURL},
		{"percent-encoded homograph", "https://%d0%b0.com/", Policy{}, ErrURL},
		{"trailing dot", "https://example.com./", Policy{}, ErrURL},
		{"empty label", "https://example..com/", Policy{}, ErrURL},
		{"hyphen first", "https://-example.com/", Policy{}, ErrURL},
		{"name too long", "https://" + strings.Repeat("a.", 127) + "com/", Policy{}, ErrURL},
		{"label too long", "https://" + strings.Repeat("a", 64) + ".com/", Policy{}, ErrURL},
		{"decimal loopback", "https://2130706433/", Policy{}, ErrURL},
		{"hexadecimal loopback", "https://0x7f000001/", Policy{}, ErrURL},
		{"dotted hexadecimal loopback", "https://0x7f.0x1/", Policy{}, ErrURL},
		{"octal loopback", "https://0177.0.0.1/", Policy{}, ErrURL},
		{"short loopback", "https://127.1/", Policy{}, ErrURL},
		{"metadata", "https://169.254.169.254/latest/", Policy{}, ErrAddress},
		{"IPv6 metadata", "https://[fd00:ec2::254]/", Policy{}, ErrAddress},
		{"loopback", "https://127.0.0.1/", Policy{}, ErrAddress},
		{"localhost", "https://LocalHost/", Policy{}, ErrAddress},
		{"below localhost", "https://a.localhost/", Policy{}, ErrAddress},
		{"mapped literal, public", "https://[::ffff:1.1.1.1]/", Policy{}, ErrAddress},
		{"mapped loopback, locally", "http://[::ffff:127.0.0.1]/", local, ErrAddress},
		{"zone id", "https://[fe80::1%25eth0]/", Policy{}, ErrAddress},
		{"port zero", "https://example.com:0/", Policy{}, ErrURL},
		{"port too high", "https://example.com:65536/", Policy{}, ErrURL},
		{"port with leading zero", "https://example.com:0443/", Policy{}, ErrURL},
		{"empty port", "https://example.com:/", Policy{}, ErrURL},
		{"port not a number", "https://example.com:x/", Policy{}, ErrURL},
		{"too long", "https://example.com/" + strings.Repeat("a", MaxURLBytes), Policy{}, ErrURL},
	} {
		t.Run(c.attack, func(t *testing.T) {
			u, err := ParseURL(c.in, c.p)
			if !errors.Is(err, c.want) || u != nil {
				t.Errorf("ParseURL(%q) = %v, %v, want %v", c.in, u, err, c.want)
			}
			if err != nil && len(c.in) > 4 && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error quotes the URL: %v", err)
			}
		})
	}
}

// What ParseURL accepts parses to itself again and keeps to the rules.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://example.com/a?b=c", "http://127.0.0.1:1/", "https://[::1]/", "https://a:b@c/", "https://1/"} {
		f.Add(s)
	}
	p := Policy{Loopback: true}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s, p)
		if err != nil {
			return
		}
		if u.User != nil || u.Fragment != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
			t.Errorf("%q accepted as %+v", s, u)
		}
		again, err := ParseURL(u.String(), p)
		if err != nil || again.Host != u.Host || again.Scheme != u.Scheme {
			t.Errorf("%q does not survive: %v %v", s, again, err)
		}
	})
}
