package egress

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURLBytes bounds a URL that ParseURL accepts.
const MaxURLBytes = 2048

// ParseURL parses an address that an admin or a document names (RFC 3986),
// strictly: https, or http to loopback where p allows it; a host name of
// letters, digits, hyphens and dots, or an IP literal that p allows; a port
// from 1 to 65535 or none; no user info, no fragment, printable ASCII only.
// The host comes back in lower case. An internationalised name is written in
// its ASCII form.
//
// It gives an early answer. The address a name resolves to is decided when the
// Client dials it. Errors are ErrURL, ErrScheme or ErrAddress and never quote s.
func ParseURL(s string, p Policy) (*url.URL, error) {
	if len(s) > MaxURLBytes {
		return nil, badURL("too long")
	}
	for _, b := range []byte(s) {
		// A backslash is a slash to some parsers and a letter to others.
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return nil, badURL("characters outside printable ASCII, or a backslash")
		}
	}
	if strings.Contains(s, "#") {
		return nil, badURL("fragment")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, badURL("does not parse") // err quotes s
	}
	if err := p.checkURL(u); err != nil {
		return nil, err
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// checkURL is also run on every request, so that a library that builds its own
// URLs is held to the same rules.
func (p *Policy) checkURL(u *url.URL) error {
	switch {
	case u == nil || u.Opaque != "" || u.Host == "":
		return badURL("no host")
	case u.User != nil:
		return badURL("user info")
	case u.Scheme != "https" && (u.Scheme != "http" || !p.Loopback):
		return fmt.Errorf("egress: %w", ErrScheme)
	}
	if err := checkPort(u); err != nil {
		return err
	}
	host := u.Hostname()
	if strings.ContainsAny(host, ":%") || isIPv4(host) {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Is4In6() {
			return &refusedAddress{"not a plain IP literal"}
		}
		if u.Scheme == "http" && !a.IsLoopback() {
			return fmt.Errorf("egress: %w: plain http beyond loopback", ErrScheme)
		}
		return p.check(a)
	}
	return p.checkName(u.Scheme, strings.ToLower(host))
}

func (p *Policy) checkName(scheme, host string) error {
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	switch {
	case !isName(host):
		return badURL("not a host name")
	case local && !p.Loopback:
		return &refusedAddress{"loopback"}
	case scheme == "http" && !local:
		return fmt.Errorf("egress: %w: plain http beyond loopback", ErrScheme)
	}
	return nil
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return badURL("empty port")
		}
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return badURL("port")
	}
	return nil
}

// isName accepts RFC 1123 names without a trailing dot. A last label that
// reads as a number is refused: to some resolvers 2130706433, 0x7f.1 and
// 0177.0.0.1 are addresses.
func isName(host string) bool {
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, b := range []byte(l) {
			if !(b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

func isIPv4(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is4()
}

func badURL(why string) error { return fmt.Errorf("egress: %w: %s", ErrURL, why) }
