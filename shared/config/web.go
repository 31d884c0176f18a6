package config

import (
	"fmt"
	"iter"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// hosts gives the names under which requests may arrive, as clients write them
// into the Host header: in lower case and without their scheme's own port.
func (l *loader) hosts(publicURL string) []string {
	var list []string
	if u, err := url.Parse(publicURL); err == nil && u.Host != "" {
		list = append(list, written(u))
		if isLoopback(u.Hostname()) {
			for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
				list = append(list, written(&url.URL{Scheme: u.Scheme, Host: name + portOf(u)}))
			}
		}
	}
	for part := range l.parts(Hosts) {
		u := &url.URL{Scheme: "https", Host: part}
		if !isAuthority(part) {
			l.fault(Hosts, fmt.Sprintf("%q must be host or host:port", part))
			continue
		}
		list = append(list, written(u))
	}
	return distinct(list)
}

// origins gives the web origins whose pages may call, as browsers write them.
// A page that came over plain http is whoever sits in between, so only this
// machine's own may.
func (l *loader) origins(publicURL string) []string {
	var list []string
	if u, err := url.Parse(publicURL); err == nil && u.Host != "" {
		list = append(list, u.Scheme+"://"+written(u))
	}
	for part := range l.parts(Origins) {
		scheme, host, _ := strings.Cut(part, "://")
		u := &url.URL{Scheme: strings.ToLower(scheme), Host: host}
		if !isAuthority(host) || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
			l.fault(Origins, fmt.Sprintf("%q must be https://host or https://host:port, without a path (http only for this machine)", part))
			continue
		}
		list = append(list, u.Scheme+"://"+written(u))
	}
	return distinct(list)
}

// parts yields what stands between the commas.
func (l *loader) parts(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(l.text(name), ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// isAuthority reports whether text is host or host:port and nothing else:
// no user, no path, no wildcard.
func isAuthority(text string) bool {
	u, err := url.Parse("https://" + text)
	if err != nil || u.Host != text || u.User != nil || strings.HasSuffix(text, ":") {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return false
		}
	}
	if strings.HasPrefix(text, "[") {
		ip, err := netip.ParseAddr(u.Hostname())
		return err == nil && ip.Zone() == ""
	}
	return u.Hostname() != "" && !strings.ContainsFunc(u.Hostname(), notInName)
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// written is host and port as clients write them.
func written(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return host
	}
	return host + ":" + u.Port()
}

func portOf(u *url.URL) string {
	if u.Port() == "" {
		return ""
	}
	return ":" + u.Port()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// distinct keeps the first of each.
func distinct(list []string) []string {
	var kept []string
	for _, one := range list {
		if !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	return kept
}
