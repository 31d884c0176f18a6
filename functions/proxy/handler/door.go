package handler

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// door judges where a request says it comes from and where it says it goes,
// before anything else looks at it: a page that rebinds a DNS name to this
// address sends a foreign Host, and a browser names the page in Origin. It
// answers the preflights of allowed pages (Fetch standard, CORS protocol).
// Cookies and other ambient credentials are never accepted, so none is allowed.
type door struct {
	hosts   []string // lower case, as in the Host header
	origins []string // lower case
	local   bool     // pages on this machine may call, whatever their port
}

// Headers that a page may read beside those that CORS always shows.
const exposedHeaders = "Mcp-Session-Id, WWW-Authenticate, X-Amzn-Remapped-Www-Authenticate, Retry-After, Bindery-Receipt, Bindery-Error"

const (
	maxRequested = 4096 // bytes of Access-Control-Request-Headers that are echoed
	preflightAge = "7200"
)

func (d door) knowsHost(r *http.Request) bool {
	return slices.Contains(d.hosts, strings.ToLower(r.Host))
}

// admits reports whether the request comes from no page, or from an allowed
// one, and lets an allowed page read the answer.
func (d door) admits(w http.ResponseWriter, r *http.Request) bool {
	values := r.Header["Origin"]
	if len(values) == 0 {
		return true
	}
	w.Header().Set("Vary", "Origin")
	if len(values) > 1 || !d.allows(strings.ToLower(values[0])) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", values[0])
	w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
	return true
}

func (d door) allows(origin string) bool {
	if slices.Contains(d.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return d.local && err == nil && origin == u.Scheme+"://"+u.Host &&
		(u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// preflight answers an OPTIONS request. The headers are those that were asked
// for: Mcp-Param-* has no end, and * would not cover Authorization.
func (d door) preflight(w http.ResponseWriter, r *http.Request, methods string) {
	w.Header().Set("Allow", methods+", OPTIONS")
	if r.Header.Get("Access-Control-Request-Method") != "" {
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Max-Age", preflightAge)
		if asked := r.Header.Get("Access-Control-Request-Headers"); len(asked) <= maxRequested && strings.TrimFunc(asked, listed) == "" {
			w.Header().Set("Access-Control-Allow-Headers", asked)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// listed accepts what a list of header names consists of.
func listed(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_, ", c)
}
