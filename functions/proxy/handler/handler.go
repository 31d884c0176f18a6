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
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/mcp"
)

// bindingHeader is where a caller names which of its own bindings to use.
const bindingHeader = "Bindery-Binding"

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

// Upstream makes one request.
type Upstream interface {
	Do(r *http.Request) (*http.Response, error)
}

// Handler serves the routes of the proxy. It is safe for concurrent use.
type Handler struct {
	environment string
	issuers     string // digest of the issuer document
	broker      *broker.Broker
	verifier    Verifier
	upstreams   Upstreams
	timeout     time.Duration
	maxAnswer   int64
	now         func() time.Time
	log         *slog.Logger
}

// ServeHTTP routes: POST /mcp/{environment}/{server}, and its protected
// resource metadata (RFC 9728).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, routePrefix); ok {
		if route, ok := h.route(rest); ok {
			h.mcp(w, r, route)
			return
		}
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, metadataPrefix); ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if route, ok := h.route(rest); ok {
			h.metadata(w, route)
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

func (h *Handler) metadata(w http.ResponseWriter, route broker.Route) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(h.verifier.Metadata(route))
}

// mcp serves one call: admit, decide, obtain, relay, settle.
func (h *Handler) mcp(w http.ResponseWriter, r *http.Request, route broker.Route) {
	principal, err := h.verifier.Verify(r.Context(), r, route)
	if err != nil {
		h.challenge(w, route, err)
		return
	}
	call := broker.Call{
		Receipt: ulid.MustNew(ulid.Timestamp(h.now()), rand.Reader).String(), RequestID: lambdahttp.RequestID(r.Context()),
		Route: route, Principal: principal, Issuers: h.issuers, Method: r.Method[:min(len(r.Method), broker.MaxName)],
	}
	w.Header().Set(credential.ReceiptHeader, call.Receipt)
	if r.Method != http.MethodPost {
		h.broker.Refuse(r.Context(), call, notPost.Status)
		w.Header().Set("Allow", http.MethodPost)
		notPost.write(w, nil)
		return
	}
	body, message, ok := h.parse(w, r, &call)
	if !ok {
		return
	}
	decision, err := h.broker.Decide(r.Context(), call)
	if err != nil {
		h.fail(w, call, message, err)
		return
	}
	release, err := h.broker.Obtain(r.Context(), decision)
	if err != nil {
		h.fail(w, call, message, err)
		return
	}
	h.relay(w, r, release, message, body)
}

// challenge answers a request without an acceptable token. Nothing is written
// to a table for it: whoever has no identity must not cost anything.
func (h *Handler) challenge(w http.ResponseWriter, route broker.Route, err error) {
	problem := problemOf(err)
	if problem.Status == http.StatusUnauthorized || problem.Status == http.StatusForbidden {
		w.Header().Set("WWW-Authenticate", h.verifier.Challenge(route, err))
	}
	h.log.Info("not authenticated", "server", route.Server, "problem", problem.Name, "cause", identity.ReasonOf(err))
	problem.write(w, nil)
}

// parse reads the whole body and judges it as one MCP message.
func (h *Handler) parse(w http.ResponseWriter, r *http.Request, call *broker.Call) ([]byte, *mcp.Message, bool) {
	refuse := func(p Problem) ([]byte, *mcp.Message, bool) {
		h.broker.Refuse(r.Context(), *call, p.Status)
		p.write(w, nil)
		return nil, nil, false
	}
	body, err := egress.ReadBounded(r.Body, mcp.MaxRequest)
	if errors.Is(err, egress.ErrTooLarge) {
		return refuse(tooLarge)
	}
	if err != nil {
		return refuse(brokenBody)
	}
	message, err := mcp.Parse(r.Header, body)
	if err != nil {
		var fault *mcp.Error
		if !errors.As(err, &fault) {
			return refuse(internal)
		}
		h.broker.Refuse(r.Context(), *call, fault.Status)
		writeError(w, fault.Status, fault.Body())
		return nil, nil, false
	}
	call.Action, call.Method, call.Target = message.Action, message.Method, message.Target
	call.MessageID, call.Era = string(message.ID), message.Version
	if call.BindingName = r.Header.Get(bindingHeader); call.BindingName != "" && broker.CheckName("binding", call.BindingName) != nil {
		call.BindingName = "(no name)" // no binding is called that, and the record stays small
	}
	if session := r.Header.Get("Mcp-Session-Id"); session != "" && !message.Modern {
		call.Session = broker.Digest("session", session)
	}
	return body, message, true
}

// fail answers a call that was refused or could not get its credential.
func (h *Handler) fail(w http.ResponseWriter, call broker.Call, message *mcp.Message, err error) {
	problem := problemOf(err)
	h.log.Info("call refused", "receipt", call.Receipt, "server", call.Route.Server, "problem", problem.Name, "cause", err.Error())
	problem.write(w, message.ID)
}
