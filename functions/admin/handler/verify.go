package handler

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/policy"
	"bindery/shared/probe"
)

// verifyTime bounds a journey: the invocation must live to record its end.
const verifyTime = 15 * time.Second

// Upstreams gives the client for a server, by its URL and its networks.
type Upstreams interface {
	For(s *broker.Server) (probe.Client, error)
}

// Verification is how the journey of a binding ended. It holds nothing that an
// upstream or a store said but a status, a revision and a number.
type Verification struct {
	Works          bool   `json:"works"`
	Cause          string `json:"cause,omitempty" enum:"syntax,store,denied,key,consent,provider,callers_token,upstream,refused,pass_through_off,propagation_off" doc:"The first thing wrong on the way; propagation_off is a notice: the binding works"`
	Stage          string `json:"stage" enum:"card,store,attach,connect,handshake,list_tools" doc:"How far the journey came"`
	Detail         string `json:"detail,omitempty" doc:"What that means; the same text for each fault"`
	UpstreamStatus int    `json:"upstream_status,omitempty" doc:"HTTP status of the upstream's last answer"`
	Era            string `json:"era,omitempty" doc:"Protocol revision that was agreed on" example:"2026-07-28"`
	Tools          *int   `json:"tools,omitempty" doc:"How many tools the upstream lists; absent where it has no list"`
	LatencyMS      int64  `json:"latency_ms"`
}

func (h *Handler) verifications() {
	huma.Register(h.api, operation("verify-binding", http.MethodPost, "/servers/{server}/bindings/{binding}/verify",
		"Make a binding's whole journey, from its references to the upstream's list of tools, and name one cause if it fails", 404), h.verifyBinding)
}

func (h *Handler) verifyBinding(ctx context.Context, in *BindingPath) (*struct{ Body Verification }, error) {
	began := h.now()
	j, wrong := h.journeyOf(ctx, *in)
	op := admin.Operation{ID: "verify-binding", Needs: []admin.Need{need(policy.Verify, bindingObject(*in, j.server))}}
	out := &struct{ Body Verification }{}
	err := h.desk.Use(ctx, callerOf(ctx), op, admin.Use{Binding: &j.binding, Fault: wrong, Ask: func(ctx context.Context) (admin.Used, error) {
		ctx, cancel := context.WithTimeout(ctx, verifyTime)
		defer cancel()
		used := j.make(ctx)
		out.Body = j.found
		return used, nil
	}})
	if err != nil {
		return nil, fault(err)
	}
	out.Body.LatencyMS = h.now().Sub(began).Milliseconds()
	return out, nil
}

// journey is one verification under way.
type journey struct {
	*Handler
	caller  admin.Caller
	server  broker.Server
	binding broker.Binding
	stores  []broker.Store
	found   Verification
}

// journeyOf reads what the journey needs. What would refuse every call is a
// fault: no secret is released to an upstream for it, not even to ask.
func (h *Handler) journeyOf(ctx context.Context, in BindingPath) (*journey, error) {
	j := &journey{Handler: h, caller: callerOf(ctx)}
	s, err := h.registry.Reader.Snapshot(ctx, broker.Lookup{Route: h.route(in.Server), Principal: j.caller.Principal.ID, Agent: j.caller.Principal.Agent})
	if err != nil {
		return j, err
	}
	if s.Server == nil || s.Server.State == broker.Deleted {
		return j, broker.ErrNotFound
	}
	j.server, j.stores = *s.Server, s.OpenStores()
	if j.binding, err = h.reader.Binding(ctx, h.route(in.Server), in.Binding); err != nil {
		return j, err
	}
	if j.binding.State == broker.Deleted {
		return j, broker.ErrNotFound
	}
	refused := func(reason broker.Reason) (*journey, error) { return j, &broker.Refusal{Reason: reason} }
	if err := s.Admits(h.environment, &j.caller.Principal); err != nil {
		return j, err
	}
	switch b := j.binding; {
	case !madeFor(b, j.server) || b.State == broker.Pending:
		return refused(broker.BindingPending)
	case s.Standing(&b) != broker.Active:
		return refused(broker.BindingClosed)
	case ended(b, h.now()):
		return refused(broker.BindingExpired)
	}
	return j, nil
}

// make makes the journey, up to the first thing that is wrong.
func (j *journey) make(ctx context.Context) (used admin.Used) {
	j.found.Stage = "card"
	if err := broker.Usable(&j.binding, &j.server, j.stores); err != nil {
		return j.wrong(used, broker.ReasonOf(err))
	}
	j.found.Stage = "store"
	if j.binding.Source == broker.TokenExchange {
		j.found.Cause, j.found.Detail = "callers_token", callersToken
		return used
	}
	c, err := j.obtain(ctx)
	used.Accesses = c.Access
	switch {
	case errors.Is(err, broker.ErrSecretMalformed) && errors.Is(err, broker.ErrInvalid): // of the reference, not of the secret
		return j.wrong(used, broker.FieldsIncomplete)
	case err != nil:
		return j.wrong(used, broker.ReasonOf(err))
	}
	j.found.Stage = "attach"
	if err := j.registry.TryAttach(j.server, c.Fields); err != nil {
		return j.wrong(used, attachReason(err))
	}
	client, err := j.upstreams.For(&j.server)
	if err != nil {
		j.found.Stage = probe.Connecting
		return j.wrong(used, broker.UpstreamAddress)
	}
	return j.ask(ctx, client, c, used)
}

// obtain gets the credential as a call of the asking administrator would: what is
// each person's own is theirs, and nobody else's. That it is asked for has been
// recorded.
func (j *journey) obtain(ctx context.Context) (broker.Credential, error) {
	source, served := j.registry.Sources[j.binding.Source]
	if !served {
		return broker.Credential{}, &broker.Refusal{Reason: broker.ModeUnknown}
	}
	a := broker.Ask{Binding: j.binding, Stores: j.stores, Server: j.server, Principal: j.caller.Principal, Receipt: j.caller.Receipt,
		Recorded: func(context.Context) error { return nil }}
	if err := broker.Withheld(ctx, j.marked, &a); err != nil {
		return broker.Credential{}, err
	}
	return source.Obtain(ctx, a)
}

// ask makes the part of the journey that the upstream sees.
func (j *journey) ask(ctx context.Context, client probe.Client, c broker.Credential, used admin.Used) admin.Used {
	if j.server.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.server.Timeout)
		defer cancel()
	}
	p := probe.Probe{Client: client, URL: j.server.URL, Prepare: func(r *http.Request) error {
		if err := credential.Propagate(r.Header, &j.server, &j.caller.Principal, j.caller.Receipt, j.binding.Mode); err != nil {
			return err
		}
		return credential.Attach(r, &j.server, c.Fields)
	}}
	found, err := p.Ask(ctx)
	if err != nil {
		return j.wrong(used, attachReason(err))
	}
	used.Upstream = found.Status
	j.found.Stage, j.found.UpstreamStatus, j.found.Era, j.found.Tools = found.Stage, found.Status, found.Era, found.Tools
	switch {
	case found.Refused && len(j.server.Attach) == 0:
		j.wrong(used, found.Reason)
		j.found.Cause, j.found.Detail = "pass_through_off", passThroughOff
	case found.Reason != "":
		j.wrong(used, found.Reason)
	default:
		j.found.Works = true
		if j.shared() && len(j.server.Propagate) == 0 {
			j.found.Cause, j.found.Detail = "propagation_off", propagationOff
		}
	}
	used.Reason = found.Reason
	return used
}

// shared reports whether several people use one account upstream.
func (j *journey) shared() bool {
	return j.binding.Mode == broker.ServiceAccount && j.binding.Actor.Principal == ""
}

// attachReason tells a value that its place cannot carry from a server that asks
// for what cannot be sent.
func attachReason(err error) broker.Reason {
	if errors.Is(err, broker.ErrSecretMalformed) || errors.Is(err, broker.ErrSecretMissing) {
		return broker.SecretMalformed
	}
	return broker.FieldsIncomplete
}

// wrong ends the journey with a reason.
func (j *journey) wrong(used admin.Used, reason broker.Reason) admin.Used {
	c, known := causes[reason]
	if !known {
		c = causes[broker.UpstreamMalformed]
	}
	j.found.Cause, j.found.Detail = c.word, c.detail
	used.Reason = reason
	return used
}
