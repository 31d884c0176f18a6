package identity

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

// check holds a decoded document to its rules and collects every fault.
func (d *Document) check(local bool, f *faults) {
	if len(d.Issuers) == 0 {
		f.add("issuers", "at least one issuer is required")
	}
	names, issuers := map[string]bool{}, map[string]bool{}
	for n := range d.Issuers {
		i, at := &d.Issuers[n], fmt.Sprintf("issuers[%d]", n)
		if names[i.Name] {
			f.add(at+".name", "the name is used twice")
		}
		if issuers[i.Issuer] {
			f.add(at+".issuer", "the issuer is listed twice")
		}
		names[i.Name], issuers[i.Issuer] = true, true
		i.checkWho(at, local, f)
		i.checkAudiences(at, f)
		i.checkTokens(at, f)
		i.checkClaims(at, f)
		i.checkLogin(at+".login", f)
	}
	d.checkRoles(f)
	d.checkAdminAgents(f)
}

func (i *Issuer) checkWho(at string, local bool, f *faults) {
	f.addErr(at+".name", broker.CheckName("name", i.Name))
	checkURL(at+".issuer", i.Issuer, local, f)
	if i.JWKSURI != "" {
		checkURL(at+".jwks_uri", i.JWKSURI, local, f)
	}
	if i.Kind != broker.User && i.Kind != broker.Workload {
		f.add(at+".kind", "it must be user or workload")
	}
	if i.Agents != AgentsRegistered && i.Agents != AgentsIgnored {
		f.add(at+".agents", "it must be registered or ignored")
	}
	if len(i.Environments) == 0 {
		f.add(at+".environments", "at least one environment is required")
	}
	for _, e := range i.Environments {
		f.addErr(at+".environments", broker.CheckName("environment", e))
	}
}

func (i *Issuer) checkAudiences(at string, f *faults) {
	for n, a := range i.Audiences {
		if a.Audience == "" || len(a.Servers) == 0 {
			f.add(fmt.Sprintf("%s.audiences[%d]", at, n), "audience and servers are required")
		}
		for _, s := range a.Servers {
			if s != "*" {
				f.addErr(fmt.Sprintf("%s.audiences[%d]", at, n), broker.CheckName("server", s))
			}
		}
		if slices.Contains(i.AdminAudiences, a.Audience) {
			f.add(fmt.Sprintf("%s.audiences[%d]", at, n), "an audience of the admin API cannot open a server")
		}
	}
	for n, a := range i.ConnectionsAudiences {
		if a == "" || slices.Contains(i.AdminAudiences, a) || slices.ContainsFunc(i.Audiences, func(s Audience) bool { return s.Audience == a }) {
			f.add(fmt.Sprintf("%s.connections_audiences[%d]", at, n), "it must be an audience of nothing else")
		}
	}
	if slices.Contains(i.AdminAudiences, "") {
		f.add(at+".admin_audiences", "an audience is empty")
	}
}

var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

func (i *Issuer) checkTokens(at string, f *faults) {
	if len(i.Algorithms) == 0 {
		f.add(at+".algorithms", "at least one algorithm is required")
	}
	for _, a := range i.Algorithms {
		if !slices.Contains(algorithms, a) {
			f.add(at+".algorithms", "only %s can be allowed", strings.Join(algorithms, ", "))
		}
	}
	if skew := time.Duration(i.ClockSkew); skew > 5*time.Minute {
		f.add(at+".clock_skew", "it must be at most 5m")
	}
	if age := time.Duration(i.KeysMaxAge); age < 30*time.Minute || age > 7*24*time.Hour {
		f.add(at+".keys_max_age", "it must be between 30m and 168h")
	}
	for _, s := range i.Scopes {
		if s == "" || strings.ContainsFunc(s, notScope) {
			f.add(at+".scopes", "a scope is printable ASCII without space, quote and backslash (RFC 6749, 3.3)")
		}
	}
}

func notScope(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

func (i *Issuer) checkClaims(at string, f *faults) {
	c := &i.Claims
	lists := map[string][]string{"principal": c.Principal, "agent": c.Agent, "person": c.Person}
	if c.Email != "" {
		lists["email"] = []string{c.Email}
	}
	if c.Groups != "" {
		lists["groups"] = []string{c.Groups}
	}
	for name, path := range c.Attributes {
		f.addErr(at+".claims.attributes", broker.CheckName("attribute", name))
		lists["attributes."+name] = []string{path}
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		for _, path := range lists[name] {
			checkPath(at+".claims."+name, path, f)
		}
	}
	for path := range i.Require {
		checkPath(at+".require", path, f)
	}
	if len(i.Groups) > 0 && c.Groups == "" {
		f.add(at+".groups", "a map of groups needs claims.groups")
	}
	for id, name := range i.Groups {
		if id == "" {
			f.add(at+".groups", "a group id is empty")
		}
		f.addErr(at+".groups", broker.CheckName("group name", name))
	}
}

func checkPath(at, path string, f *faults) {
	switch {
	case path == "" || path == "/":
		f.add(at, "a claim has a name")
	case path[0] != '/' && strings.Contains(path, ".") && !strings.Contains(path, "://"):
		f.add(at, "a nested claim is a JSON Pointer, like /act/sub; a name with a dot in it too, like /example.com")
	}
}

// checkURL accepts https://host[:port][/path], and where local is set plain
// http to loopback as well.
func checkURL(at, raw string, local bool, f *faults) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(raw, "?#\"\\ "):
		f.add(at, "it must be https://host[:port][/path]")
	case u.Scheme == "https", u.Scheme == "http" && local && isLoopback(u.Hostname()):
	default:
		f.add(at, "the scheme must be https")
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
