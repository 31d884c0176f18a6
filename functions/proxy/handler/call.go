package handler

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/mcp"
	"bindery/shared/secret"
	"bindery/shared/session"
	"bindery/shared/telemetry"
)

// bindingHeader is where a caller names which of its own bindings to use.
const bindingHeader = "Bindery-Binding"

// inbound is what a caller sent, read whole and judged.
type inbound struct {
	message *mcp.Message
	body    []byte
	asked   session.State // a question of Bindery's that this request answers; zero: none
	call    string        // then: the digest of the call
}

// mcp serves one call: admit, decide, obtain, relay, settle.
func (h *Handler) mcp(w http.ResponseWriter, r *http.Request, route broker.Route) {
	c := h.begin()
	principal, err := h.verifier.Verify(r.Context(), r, route)
	if err != nil {
		h.challenge(w, route, err)
		return
	}
	call := broker.Call{
		Receipt: ulid.MustNew(ulid.Timestamp(h.now()), rand.Reader).String(), RequestID: lambdahttp.RequestID(r.Context()),
		Route: route, Principal: principal, Issuers: h.issuers, Method: r.Method[:min(len(r.Method), broker.MaxName)],
		Token: tokenOf(r),
	}
	w.Header().Set(credential.ReceiptHeader, call.Receipt)
	in, err := h.read(r, &call)
	c.stage(telemetry.AdmitTime)
	if err != nil {
		c.refuse(w, r, call, err)
		return
	}
	decision, err := h.broker.Decide(r.Context(), call)
	c.stage(telemetry.DecideTime)
	if err != nil {
		c.fail(r.Context(), w, call, in.message, err)
		return
	}
	turnAway := func(reason broker.Reason, err error) {
		h.broker.Refuse(r.Context(), call, reason, statusOf(err))
		c.fail(r.Context(), w, call, in.message, err)
	}
	if most, _ := h.broker.Sizes(decision); most > 0 && int64(len(in.body)) > most {
		turnAway(broker.LimitReached, errOverSize)
		return
	}
	opened, err := h.unwrap(r.Context(), decision, in.message)
	if err != nil {
		turnAway(sessionReason(err), err)
		return
	}
	if h.resume(r.Context(), decision, in) {
		h.broker.Refuse(r.Context(), call, broker.ConsentDeclined, consentDeclined.Status)
		c.refused(r.Context(), call, consentDeclined, errDeclined)
		h.declined(w, in.message)
		return
	}
	c.last = h.now() // what a person takes to consent is no stage
	release, err := h.broker.Obtain(r.Context(), decision)
	c.stage(telemetry.ObtainTime)
	var needed *broker.ConsentNeeded
	switch {
	case errors.As(err, &needed) && !errors.Is(err, broker.ErrUnrecorded):
		c.refused(r.Context(), call, problemOf(err), err)
		h.ask(r.Context(), w, decision, in, opened, needed, "")
		return
	case err != nil:
		c.fail(r.Context(), w, call, in.message, err)
		return
	}
	c.relay(w, r, release, in, opened)
}

// tokenOf is the token that was verified, for the one source that exchanges it.
func tokenOf(r *http.Request) secret.Value {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return secret.New(strings.TrimSpace(token))
}

// challenge answers a request without an acceptable token. Nothing is written
// to a table for it: whoever has no identity must not cost anything.
func (h *Handler) challenge(w http.ResponseWriter, route broker.Route, err error) {
	problem := problemOf(err)
	if problem.Status == http.StatusUnauthorized || problem.Status == http.StatusForbidden {
		w.Header().Set("WWW-Authenticate", h.verifier.Challenge(route, err))
	}
	h.log.Info("not authenticated", "server", route.Server, "problem", problem.Name, "cause", identity.ReasonOf(err), string(telemetry.Unauthenticated), 1)
	problem.write(w, nil)
}

// read reads the whole request and judges it as one MCP message, the stream of
// a session, or its end.
func (h *Handler) read(r *http.Request, call *broker.Call) (*inbound, error) {
	in, err := h.judge(r)
	if err != nil {
		return nil, err
	}
	message := in.message
	call.Action, call.Method, call.Target, call.Arguments = message.Action, message.Method, message.Target, message.Arguments
	call.MessageID, call.Era, call.Lasting = string(message.ID), message.Version, message.Lasting
	call.Lists = message.Action == broker.List || message.Lasting
	if call.BindingName = r.Header.Get(bindingHeader); call.BindingName != "" && broker.CheckName("binding", call.BindingName) != nil {
		call.BindingName = "(no name)" // no binding is called that, and the record stays small
	}
	if message.Session != "" {
		call.Session = broker.Digest("session", message.Session)
	}
	if message.LastEventID != "" && message.Session == "" {
		return nil, errResume
	}
	return in, nil
}

// Requests that are turned away by a row of the error table.
var (
	errNotServed = errors.New("method not served")
	errBody      = errors.New("body not read")
	errUnwanted  = errors.New("a body where there is none")
	errResume    = errors.New("an event id without its session")
	errOverSize  = errors.New("body over the caller's limit")
	errDeclined  = errors.New("consent was declined")
)

// judge reads the request. Its errors are *mcp.Error, egress.ErrTooLarge, or
// those above.
func (h *Handler) judge(r *http.Request) (in *inbound, err error) {
	in = &inbound{}
	streams := h.streamTimeout > 0
	switch r.Method {
	case http.MethodPost:
		if in.body, err = egress.ReadBounded(r.Body, mcp.MaxRequest, r.ContentLength); err != nil {
			return nil, errors.Join(errBody, err)
		}
		if in.message, err = mcp.Parse(r.Header, in.body); err == nil && in.message.Lasting && !streams {
			err = mcp.NotServed(in.message)
		}
		return in, err
	case http.MethodGet:
		if !streams {
			return nil, errNotServed
		}
		in.message, err = mcp.ParseListen(r.Header)
	case http.MethodDelete:
		in.message, err = mcp.ParseEnd(r.Header)
	default:
		return nil, errNotServed
	}
	if body, unread := egress.ReadBounded(r.Body, 1, 0); unread != nil || len(body) > 0 {
		return nil, errUnwanted
	}
	return in, err
}

// refuse records and answers what is no call.
func (c *course) refuse(w http.ResponseWriter, r *http.Request, call broker.Call, err error) {
	problem := problemOf(err)
	status, body, served := problem.Status, []byte(nil), c.served()
	var fault *mcp.Error
	if errors.As(err, &fault) { // where that is a 405, the revision has only POST
		status, body, served = fault.Status, fault.Body(), http.MethodPost
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", served)
	}
	c.broker.Refuse(r.Context(), call, broker.MessageRefused, status)
	if fault != nil {
		problem.Name = messageRefused
	}
	c.refused(r.Context(), call, problem, errors.New("no message that is served"))
	if body != nil {
		writeError(w, messageRefused, status, body)
		return
	}
	problem.write(w, nil)
}

// served lists the methods of a route for Allow.
func (h *Handler) served() string {
	if h.streamTimeout > 0 {
		return routeMethods
	}
	return "POST, DELETE"
}

// messageRefused names, in place of a row of the table, what the protocol itself
// has an error for.
const messageRefused = "message_refused"

// fail answers a call that was refused or could not get its credential.
func (c *course) fail(ctx context.Context, w http.ResponseWriter, call broker.Call, message *mcp.Message, err error) {
	problem := problemOf(err)
	c.refused(ctx, call, problem, err)
	problem.write(w, message.ID)
}
