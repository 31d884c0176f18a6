package handler

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/revoke"
	"bindery/shared/telemetry"
)

// Revoker is functions/revocation, which alone may write markers.
type Revoker interface {
	Revoke(ctx context.Context, o revoke.Order) (revoke.Acknowledgement, error)
	Lift(ctx context.Context, l revoke.Lifting) (revoke.Acknowledgement, error)
}

// RevokeThrough has revocations made by another than the function that Lambda
// runs: by its very handler, where there is no Lambda.
func (h *Handler) RevokeThrough(r Revoker) { h.revoker = r }

// RevocationBody asks for something to be stopped.
type RevocationBody struct {
	Kind    string `json:"kind" enum:"principal,agent,session,group,issuer,server,binding,store,reference,grant,environment,everything"`
	Subject string `json:"subject" minLength:"1" maxLength:"1024" doc:"principal: its id (p-...); agent: its id; session: its digest, as in audit records; issuer: its name or URL; binding: server/binding; reference: without or with a key, it counts for all of the secret; grant: principal/server; environment, everything: the environment's name, typed once more; else the name"`
	Reason  string `json:"reason" minLength:"1" maxLength:"1024" doc:"At least 10 characters for everything. It is kept, and shown in events"`
	// Whoever need not own a session need not say whose it is.
	Principal string `json:"principal,omitempty" maxLength:"256" doc:"Of a session: the id (p-...) of whose it is. The owner of its server gives it, so that the session is found"`
}

// LiftBody says why a revocation is taken back.
type LiftBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1024"`
}

// Acknowledged says how something stands. It is given only when every decision
// that begins afterwards sees it.
type Acknowledged struct {
	Revocation string     `json:"revocation,omitempty" doc:"Id of the case; absent where a dry run found none"`
	Kind       string     `json:"kind"`
	Subject    string     `json:"subject" doc:"In the one spelling that decisions look for"`
	Revoked    bool       `json:"revoked" doc:"Of a dry run: whether it is now"`
	Epoch      int64      `json:"epoch" doc:"Counts the decisions about it"`
	At         *time.Time `json:"at,omitempty" doc:"Since when"`
	Already    bool       `json:"already" doc:"An earlier request had done it; of a dry run: nothing would change"`
	Recorded   bool       `json:"recorded" doc:"false: it stands, and its case or a record of it could not be stored yet"`
	DryRun     bool       `json:"dry_run,omitempty"`
}

// RevocationPath names a case.
type RevocationPath struct {
	Revocation string `path:"revocation" pattern:"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"`
}

func (h *Handler) revocations() {
	huma.Register(h.api, operation("revoke", http.MethodPost, "/revocations",
		"Stop something at once, whatever its card says; asked again, it answers alike", 404, 413, 415), h.revoke)
	huma.Register(h.api, operation("lift-revocation", http.MethodPost, "/revocations/{revocation}/lift",
		"Let go what a revocation has stopped, by a decision of its own", 404, 412, 413, 415), h.lift)
	huma.Register(h.api, operation("list-revocations", http.MethodGet, "/revocations", "List revocations and liftings, newest first"), h.listRevocations)
	huma.Register(h.api, operation("get-revocation", http.MethodGet, "/revocations/{revocation}",
		"Read a revocation: who, why, what was ended, and what could not be reached", 404), h.getRevocation)
}

type revokeInput struct {
	DryRun bool `query:"dry_run" doc:"Judge and record the request, and say how it stands; change nothing"`
	Body   RevocationBody
}

func (h *Handler) revoke(ctx context.Context, in *revokeInput) (*struct{ Body Acknowledged }, error) {
	c := callerOf(ctx)
	o := revoke.Order{ID: c.Receipt, Kind: broker.MarkerKind(in.Body.Kind), Subject: in.Body.Subject, By: c.Principal.ID, Reason: in.Body.Reason}
	o, wrong := h.checked(o)
	if p := in.Body.Principal; wrong == nil && p != "" {
		wrong = broker.CheckPrincipal(p)
	}
	on, missing := h.stopped(ctx, o.Kind, o.Subject)
	if wrong == nil && o.Kind == broker.SessionMarker && in.Body.Principal != "" {
		on.Owner = h.ownerOfSession(ctx, in.Body.Principal, o.Subject)
	}
	op := admin.Operation{ID: "revoke", Needs: stopNeeds(policy.Revoke, o.Kind, on)}
	out := Acknowledged{Kind: string(o.Kind), Subject: o.Subject, DryRun: in.DryRun}
	change := admin.Change{After: in.Body, Dry: in.DryRun, Fault: errors.Join(wrong, missing),
		Apply: func(ctx context.Context) error {
			a, err := h.revoker.Revoke(ctx, o)
			out.take(a)
			return err
		}}
	return h.decided(ctx, op, change, &out)
}

// checked is the order with its subject in the one spelling that decisions look
// for.
func (h *Handler) checked(o revoke.Order) (_ revoke.Order, err error) {
	switch o.Kind {
	case broker.IssuerMarker:
		o.Subject, err = h.issuerOf(o.Subject)
	case broker.GroupMarker: // that nobody can have would be stopped without any effect
		err = h.checkGroup(o.Subject)
	default: // its spelling is all there is to look at
	}
	if err != nil {
		o.Subject = "" // nothing of what was sent is recorded
		return o, err
	}
	checked, err := o.Checked(h.environment)
	if err != nil {
		checked.Subject = ""
	}
	return checked, err
}

// decided has a stop or a lifting permitted, recorded and made. A stop is made
// although it cannot be recorded; the answer says so.
func (h *Handler) decided(ctx context.Context, op admin.Operation, change admin.Change, out *Acknowledged) (*struct{ Body Acknowledged }, error) {
	unrecorded := false
	if op.ID == "revoke" {
		change.Unrecorded = func(err error) {
			unrecorded = true
			h.log.Error("a stop could not be recorded", "receipt", callerOf(ctx).Receipt, "cause", failureOf(err), string(telemetry.AuditFailures), 1)
		}
	}
	if change.Dry && change.Fault == nil && h.permits(ctx, op.Needs) {
		change.Fault = h.foresee(ctx, op.ID == "revoke", out)
	}
	if err := h.desk.Change(ctx, callerOf(ctx), op, change); err != nil {
		return nil, fault(err)
	}
	out.Recorded = out.Recorded && !unrecorded
	return &struct{ Body Acknowledged }{*out}, nil
}

// foresee says how it stands, and whether anything would change.
func (h *Handler) foresee(ctx context.Context, revoked bool, out *Acknowledged) error {
	m, err := h.markerOf(ctx, broker.MarkerKind(out.Kind), out.Subject)
	if err != nil {
		return err
	}
	out.Revocation, out.Revoked, out.Epoch, out.At = m.Revocation, m.Revoked, m.Epoch, instant(m.At)
	out.Already, out.Recorded = m.Revoked == revoked, true
	return nil
}

// markerOf is the marker of something; of epoch 0: it never was.
func (h *Handler) markerOf(ctx context.Context, kind broker.MarkerKind, id string) (broker.Marker, error) {
	found, err := h.marked.Markers(ctx, h.environment, []broker.MarkerKey{{Kind: kind, ID: id}})
	if err != nil || len(found) == 0 {
		return broker.Marker{}, err
	}
	return found[0], nil
}

// stoppedBy is the case that has stopped something, or nothing.
func (h *Handler) stoppedBy(ctx context.Context, kind broker.MarkerKind, id string) (string, error) {
	m, err := h.markerOf(ctx, kind, id)
	if err != nil || !m.Revoked {
		return "", err
	}
	return m.Revocation, nil
}

func (a *Acknowledged) take(from revoke.Acknowledgement) {
	a.Revocation, a.Revoked, a.Epoch, a.At = from.Case, from.Revoked, from.Epoch, instant(from.At)
	a.Already, a.Recorded = from.Already, from.Recorded
}

type liftInput struct {
	RevocationPath
	DryRun bool `query:"dry_run" doc:"Judge and record the request, and say how it stands; change nothing"`
	Body   LiftBody
}

// lift reads the case first: who may let something go depends on what it is.
func (h *Handler) lift(ctx context.Context, in *liftInput) (*struct{ Body Acknowledged }, error) {
	c := callerOf(ctx)
	r, wrong := h.cases.Revocation(ctx, h.environment, in.Revocation)
	op := admin.Operation{ID: "lift-revocation", Needs: []admin.Need{need(policy.Read, revocationObject(in.Revocation, ""))}}
	if wrong == nil {
		op.Needs = append(stopNeeds(policy.Lift, r.Kind, admin.Object{Kind: objectKinds[r.Kind], Name: r.Subject}), op.Needs...)
		if r.Lifts {
			wrong = told{broker.ErrInvalid, "it lifted something, and stops nothing"}
		}
	}
	out := Acknowledged{Kind: string(r.Kind), Subject: r.Subject, DryRun: in.DryRun}
	l := revoke.Lifting{ID: c.Receipt, Case: in.Revocation, By: c.Principal.ID, Reason: in.Body.Reason}
	if wrong == nil {
		wrong = l.Check(h.environment)
	}
	return h.decided(ctx, op, admin.Change{Before: viewOf(wrong == nil, viewRevocation(r)), After: in.Body, Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error {
			a, err := h.revoker.Lift(ctx, l)
			out.take(a)
			return err
		}}, &out)
}

// objectKinds are the kinds of objects, by the kinds of markers.
var objectKinds = map[broker.MarkerKind]string{
	broker.PrincipalMarker: string(policy.PrincipalKind), broker.AgentMarker: agentKind, broker.SessionMarker: string(policy.SessionKind),
	broker.GroupMarker: string(policy.GroupKind), broker.IssuerMarker: string(policy.IssuerKind), broker.ServerMarker: serverKind,
	broker.BindingMarker: bindingKind, broker.StoreMarker: storeKind, broker.ReferenceMarker: referenceKind, broker.GrantMarker: string(policy.GrantKind),
	broker.EnvironmentMarker: string(policy.EnvironmentKind), broker.EverythingMarker: string(policy.EnvironmentKind),
}

// stopNeeds is what stopping something takes, or letting it go. Everything takes
// the glass to be broken.
func stopNeeds(do policy.Operation, kind broker.MarkerKind, on admin.Object) []admin.Need {
	needs := []admin.Need{need(do, on)}
	if kind == broker.EverythingMarker {
		needs = append(needs, need(policy.BreakGlass, on))
	}
	return needs
}

// stopped is the object that a revocation is about, with its owner, and a fault
// where there is no such thing. What cannot be read at the moment can be stopped
// all the same, by whoever need not own it.
func (h *Handler) stopped(ctx context.Context, kind broker.MarkerKind, subject string) (on admin.Object, missing error) {
	on = admin.Object{Kind: objectKinds[kind], Name: subject}
	if subject == "" {
		return on, nil // something else is wrong with it
	}
	switch kind {
	case broker.ServerMarker, broker.BindingMarker, broker.GrantMarker:
		name := subject
		if before, after, found := strings.Cut(subject, "/"); found {
			name = before
			if kind == broker.GrantMarker {
				name = after
			}
		}
		s, err := h.reader.Server(ctx, h.route(name))
		missing = err
		if _, binding, _ := strings.Cut(subject, "/"); err == nil && kind == broker.BindingMarker {
			on.Owner = s.Owner
			_, missing = h.reader.Binding(ctx, h.route(name), binding)
		}
	case broker.AgentMarker:
		_, missing = h.reader.Agent(ctx, h.environment, subject)
	case broker.StoreMarker:
		_, missing = h.reader.Store(ctx, h.environment, subject)
	default: // nothing says whether there is such a thing
	}
	if !isMissing(missing) {
		missing = nil
	}
	return on, missing
}
