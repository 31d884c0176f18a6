// Package handler is the admin function: the API under /admin/v1 with which
// administrators, owners and auditors work on the catalogue. wire.go builds it
// from settings; Lambda, the local stack and the tests start this very handler.
//
// Every request goes through an admin.Desk, which permits and records it. The
// API is described by the document at /admin/v1/openapi.json, which is made of
// the types in this package. It never shows a secret, and it repeats nothing of
// a request in an error but the places where it was wrong.
package handler

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/oklog/ulid/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/drift"
	"bindery/shared/lambdahttp"
	"bindery/shared/secret"
	"bindery/shared/telemetry"
)

// Where the API and its protected resource metadata (RFC 9728) lie.
const (
	base         = "/admin/v1"
	metadataPath = "/.well-known/oauth-protected-resource" + base
)

// Verifier turns a request's token into an administrator's principal.
type Verifier interface {
	VerifyAdmin(ctx context.Context, r *http.Request) (broker.Principal, error)
	AdminMetadata() []byte
	AdminChallenge(err error) string
}

// Values seals what a person types in, and forgets it. To delete what is deleted
// succeeds; what never was is broker.ErrNotFound.
type Values interface {
	Put(ctx context.Context, environment, id, origin string, v secret.Value) (version int64, err error)
	Delete(ctx context.Context, environment, id string) error
}

// Judge says what a decision would be.
type Judge interface {
	Explain(ctx context.Context, c broker.Call) (*broker.Decision, error)
}

// Handler serves the API. It is safe for concurrent use.
type Handler struct {
	environment string
	production  bool // a new origin needs a second administrator
	hosts       []string
	verifier    Verifier
	roles       func(groups []string) []string
	principalOf func(issuer string, claims []string) (string, error)
	desk        *admin.Desk
	reader      broker.CatalogueReader
	registry    *broker.Registry
	values      Values
	assignments broker.Assignments
	sets        broker.PolicySets
	providers   broker.Providers
	grants      broker.Grants
	notices     broker.Notices
	inspector   drift.Inspector
	judge       Judge
	marked      broker.MarkerReader
	revoker     Revoker
	cases       broker.Revocations
	sessions    broker.LiveSessions
	issuerOf    func(nameOrURL string) (string, error)
	checkGroup  func(name string) error
	attempts    broker.Attempts
	holders     Holders
	upstreams   Upstreams
	evidence    broker.AuditReader
	uses        broker.Uses
	plans       broker.RotationPlans
	incidents   broker.Incidents
	runs        broker.Rotations
	wake        func(context.Context) error // the rotation function
	now         func() time.Time
	log         *slog.Logger
	api         huma.API
	document    func() ([]byte, error) // the OpenAPI document, made once when it is first asked for
	names       map[string]bool        // of fields and parameters: what an error may repeat
	mux         http.Handler
}

// build registers the operations. It is called once, when all parts are there.
func (h *Handler) build() {
	mux := http.NewServeMux()
	h.api = humago.New(mux, h.apiConfig())
	h.environments()
	h.servers()
	h.agents()
	h.tools()
	h.stores()
	h.providerOperations()
	h.valueOperations()
	h.bindings()
	h.verifications()
	h.checks()
	h.references()
	h.assignmentOperations()
	h.policySets()
	h.explanations()
	h.declarations()
	h.audits()
	h.exposures()
	h.grantOperations()
	h.revocations()
	h.rotationPlans()
	h.rotations()
	h.incidentOperations()
	h.postures()
	h.noticeOperations()
	h.whoami()
	h.principals()
	h.describe()
	h.learnNames()
	h.document = sync.OnceValues(h.api.OpenAPI().MarshalJSON)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { unrouted(w, r, mux) })
	h.mux = mux
}

// unrouted answers what is no operation, and names the methods that would be.
func unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var takes []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "/" {
			takes = append(takes, method)
		}
	}
	if len(takes) == 0 {
		writeProblem(w, problem(notFound, ""))
		return
	}
	w.Header().Set("Allow", strings.Join(takes, ", "))
	writeProblem(w, problem(wrongMethod, ""))
}

// Document is the OpenAPI document of the API.
func (h *Handler) Document() ([]byte, error) { return h.document() }

// ServeHTTP authenticates, remembers idempotency keys, and routes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	address := r.URL.EscapedPath()
	switch {
	case !h.knowsHost(r):
		writeProblem(w, problem(foreignHost, ""))
	case address == metadataPath && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(h.verifier.AdminMetadata())
	case address == base+"/openapi.json" && r.Method == http.MethodGet:
		h.writeDocument(w)
	case !strings.HasPrefix(address, base+"/"), path.Clean(address) != strings.TrimSuffix(address, "/"): // the router would redirect to the clean one
		writeProblem(w, problem(notFound, ""))
	default:
		h.admit(w, r)
	}
}

func (h *Handler) writeDocument(w http.ResponseWriter) {
	text, err := h.Document()
	if err != nil {
		writeProblem(w, problem(internal, ""))
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(text)
}

// receipt is a fresh one.
func (h *Handler) receipt() string {
	return ulid.MustNew(ulid.Timestamp(h.now()), rand.Reader).String()
}

// admit takes a request with a good token to the operations. The answer is held
// back until it is recorded that it was asked for, and how it was answered.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) {
	principal, err := h.verifier.VerifyAdmin(r.Context(), r)
	if err != nil {
		kind := kindOf(err)
		if kind.Status == http.StatusUnauthorized || kind.Status == http.StatusForbidden {
			w.Header().Set("WWW-Authenticate", h.verifier.AdminChallenge(err))
		}
		writeProblem(w, problem(kind, ""))
		return
	}
	c := admin.Caller{Principal: principal, Roles: h.roles(principal.Groups), RequestID: lambdahttp.RequestID(r.Context()),
		Receipt: h.receipt(), Asked: &admin.Asked{}}
	w.Header().Set("Bindery-Receipt", c.Receipt)
	held := newRecorder()
	r = r.WithContext(withCaller(r.Context(), c))
	if err := h.desk.Admit(r.Context(), c, methodOf(r)); err != nil {
		h.fail(held, r, err)
	} else {
		h.admitText(held, r, c)
	}
	err = h.desk.Answered(r.Context(), c, methodOf(r), held.status)
	switch {
	case err == nil:
	case held.status < http.StatusBadRequest:
		h.fail(w, r, err)
		return
	default:
		h.log.Error("request not recorded", "receipt", c.Receipt, "cause", err.Error(), string(telemetry.AuditFailures), 1)
	}
	held.give(w)
}

// methodOf is the method as records name a request that came to no operation.
func methodOf(r *http.Request) string { return r.Method[:min(len(r.Method), broker.MaxName)] }

func (h *Handler) knowsHost(r *http.Request) bool {
	for _, host := range h.hosts {
		if strings.EqualFold(host, r.Host) {
			return true
		}
	}
	return false
}

type callerKey struct{}

func withCaller(ctx context.Context, c admin.Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf is who asks. Outside of admit it is nobody, whom no gate permits
// anything.
func callerOf(ctx context.Context) admin.Caller {
	c, _ := ctx.Value(callerKey{}).(admin.Caller)
	return c
}
