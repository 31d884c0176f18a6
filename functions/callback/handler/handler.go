// Package handler is the callback function: the connect page, where a person
// agrees that Bindery acts for them at an upstream, the way back from their
// login and from the provider, and the API of their own connections. wire.go
// builds it from settings; Lambda, the local stack and the tests start this very
// handler.
//
// A link proves nothing: whoever opens it logs in at the company's own issuer
// and has to be the person it was made for. Only after they agreed is anything
// asked of a provider, and only if that could be recorded. The function shows no
// token and no key, runs no script in a page, sends nobody to an address that a
// request named, and offers no way to go on as somebody else.
package handler

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

const (
	connectionsPath = "/connections"
	metadataPath    = "/.well-known/oauth-protected-resource" + connectionsPath
)

// Verifier says who logged in, and whose connections are asked for.
type Verifier interface {
	LoginOf(issuer string) (identity.Issuer, bool)
	VerifyLogin(ctx context.Context, issuer, client string, token secret.Value, nonce string) (broker.Principal, error)
	VerifyConnections(ctx context.Context, r *http.Request) (broker.Principal, error)
	ConnectionsMetadata() []byte
	ConnectionsChallenge(err error) string
}

// Handler serves pages and API. It is safe for concurrent use.
type Handler struct {
	environment string
	publicURL   string
	hosts       []string
	verifier    Verifier
	under       *connect.Desk
	reads       *connect.Reads
	grants      broker.Grants
	sealer      broker.Sealer
	known       *oauth.Known
	logins      *oauth.Requester // asks the company's issuers
	// loginSecret reads the secret of Bindery as a client of an issuer.
	loginSecret func(ctx context.Context, of identity.Issuer) (secret.Value, error)
	desk        *admin.Desk
	check       func(secret.Value) error // whether a value can be masked
	now         func() time.Time
	log         *slog.Logger
	pages       pages
	mux         http.Handler
}

// build routes. It is called once, when all parts are there.
func (h *Handler) build() {
	h.pages = newPages()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connect/login", h.page(h.loggedIn))
	mux.HandleFunc("GET /connect/callback/{provider}", h.page(h.authorized))
	mux.HandleFunc("GET /connect/client/{document}", h.page(h.client))
	mux.HandleFunc("GET /connect/{ticket}", h.page(h.ask))
	mux.HandleFunc("POST /connect/{ticket}", h.page(h.answer))
	mux.HandleFunc("GET "+connectionsPath, h.own(h.list))
	mux.HandleFunc("DELETE "+connectionsPath+"/{server}", h.own(h.end))
	mux.HandleFunc("GET "+metadataPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(h.verifier.ConnectionsMetadata())
	})
	mux.HandleFunc("/", h.page(func(http.ResponseWriter, *visit) error { return errNoPage }))
	h.mux = mux
}

// requestTime is how long a request may take, whatever providers and issuers
// do: the function has 29 seconds, and what was begun has to be stored, taken
// back or recorded within them.
const (
	requestTime = 18 * time.Second
	takeBack    = 4 * time.Second // after that, to end tokens that are not stored
)

// ServeHTTP sends each request to its page. What a mux would redirect (a path
// that is not clean) is no page.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	r = r.WithContext(ctx)
	path := r.URL.EscapedPath()
	if !h.knowsHost(r) || strings.Contains(path, "//") || strings.Contains(path, "/.") && path != metadataPath || strings.Contains(path, "%") {
		h.page(func(http.ResponseWriter, *visit) error { return errNoPage })(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) knowsHost(r *http.Request) bool {
	for _, host := range h.hosts {
		if strings.EqualFold(host, r.Host) {
			return true
		}
	}
	return false
}

// visit is one request for a page.
type visit struct {
	*http.Request
	receipt string
}

// caller is the person as the records know them.
func (v *visit) caller(p connect.Person) admin.Caller {
	return admin.Caller{Principal: broker.Principal{ID: p.Principal, Kind: broker.User, Issuer: p.Issuer},
		Receipt: v.receipt, RequestID: lambdahttp.RequestID(v.Context())}
}

func (h *Handler) newReceipt() string {
	return ulid.MustNew(ulid.Timestamp(h.now()), rand.Reader).String()
}

// page serves a page, or the page that says why not.
func (h *Handler) page(serve func(http.ResponseWriter, *visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{r, h.newReceipt()}
		h.pages.protect(w)
		w.Header().Set("Bindery-Receipt", v.receipt)
		err := serve(w, v)
		if err == nil {
			return
		}
		f := faultOf(err)
		if f.Status >= http.StatusInternalServerError {
			h.log.Error("page failed", failureLine(v.receipt, f, err)...)
		} else {
			h.log.Info("page refused", "receipt", v.receipt, "status", f.Status, "cause", causeOf(err))
		}
		h.pages.fault(w, f, v.receipt)
	}
}

// own is the gate of what belongs to one person: they alone may touch it.
type own struct{}

// Permits implements admin.Gate.
func (own) Permits(c admin.Caller, n admin.Need) bool {
	return n.On.Owner != "" && n.On.Owner == c.Principal.ID
}

// about is an operation on one person's grant at one server.
func about(id, do, principal, server string) admin.Operation {
	return admin.Operation{ID: id, Needs: []admin.Need{{Do: do,
		On: admin.Object{Kind: "Grant", Server: server, Name: principal, Owner: principal}}}}
}
