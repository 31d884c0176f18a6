// Package handler is the proxy function: it admits a call, takes it through
// the broker's doors, relays it, and settles it. wire.go builds it from
// settings; Lambda, the local stack and the tests all start this very handler.
//
// It keeps no state between calls that another process would need, and it
// shows a caller nothing but the rows of its error table and what the upstream
// answered.
package handler

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/session"
)

const (
	routePrefix    = "/mcp/"
	metadataPrefix = "/.well-known/oauth-protected-resource/mcp/"
)

// Verifier turns a request's token into a principal, or fails with one of
// identity's errors.
type Verifier interface {
	Verify(ctx context.Context, r *http.Request, route broker.Route) (broker.Principal, error)
	Metadata(route broker.Route) []byte
	Challenge(route broker.Route, err error) string
}

// Upstreams gives the client for a server's URL and opened networks, or
// refuses the URL. A client follows no redirect and puts no text of the
// upstream's, and no URL, into its errors.
type Upstreams interface {
	For(server *broker.Server) (Upstream, error)
}

// LiveSessions knows the sessions that upstreams keep.
type LiveSessions interface {
	AddSession(ctx context.Context, s broker.LiveSession) error
	EndSession(ctx context.Context, environment, principal, digest string) error
}

// Upstream makes one request.
type Upstream = egress.Doer

// Handler serves the routes of the proxy. It is safe for concurrent use.
type Handler struct {
	environment   string
	issuers       string // digest of the issuer document
	broker        *broker.Broker
	verifier      Verifier
	upstreams     Upstreams
	sessions      *session.Sessions
	live          LiveSessions
	asking        asking
	door          door
	timeout       time.Duration
	streamTimeout time.Duration // 0: no lasting streams
	maxAnswer     int64
	now           func() time.Time
	log           *slog.Logger
}

// What a route and its metadata can be asked.
const (
	routeMethods    = "POST, GET, DELETE"
	metadataMethods = "GET, HEAD"
)

// ServeHTTP routes: POST, GET and DELETE of /mcp/{environment}/{server}, and its
// protected resource metadata (RFC 9728). Both answer preflights (CORS).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !h.door.knowsHost(r) {
		foreignHost.write(w, nil)
		return
	}
	path := r.URL.EscapedPath() // names need no escapes, and what stands in front of Bindery may read them otherwise
	if rest, ok := strings.CutPrefix(path, routePrefix); ok {
		if route, ok := h.route(rest); ok {
			switch {
			case !h.door.admits(w, r):
				foreignOrigin.write(w, nil)
			case r.Method == http.MethodOptions:
				h.door.preflight(w, r, routeMethods)
			default:
				h.mcp(w, r, route)
			}
			return
		}
	}
	if rest, ok := strings.CutPrefix(path, metadataPrefix); ok {
		if route, ok := h.route(rest); ok {
			h.metadata(w, r, route)
			return
		}
	}
	notRoute.write(w, nil)
}

// route parses "environment/server" and refuses other environments than the
// deployed one.
func (h *Handler) route(rest string) (broker.Route, bool) {
	environment, server, ok := strings.Cut(rest, "/")
	if !ok || environment != h.environment {
		return broker.Route{}, false
	}
	route, err := broker.ParseRoute(environment, server)
	return route, err == nil
}

// metadata is public: any page may read it.
func (h *Handler) metadata(w http.ResponseWriter, r *http.Request, route broker.Route) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(h.verifier.Metadata(route))
	case http.MethodOptions:
		h.door.preflight(w, r, metadataMethods)
	default:
		w.Header().Set("Allow", metadataMethods+", OPTIONS")
		notServed.write(w, nil)
	}
}
