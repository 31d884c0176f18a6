package handler

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/rotate"
)

// RotationBody asks for a rotation: of a plan's secret, or of what a card refers
// to.
type RotationBody struct {
	Plan    string  `json:"plan,omitempty" maxLength:"40" doc:"The secret of this plan gets a new value, now"`
	Server  string  `json:"server,omitempty" maxLength:"40" doc:"With binding and fields, and without plan: the card gets other references"`
	Binding string  `json:"binding,omitempty" maxLength:"40"`
	Fields  []Field `json:"fields,omitempty" maxItems:"16" doc:"All fields of the card, as they are to be"`
}

// RotationView is a run as it is read.
type RotationView struct {
	ID      string     `json:"id"`
	Subject string     `json:"subject" example:"reference/aws-sm:prod/github"`
	Plan    string     `json:"plan,omitempty"`
	By      string     `json:"by,omitempty" doc:"Principal who asked; absent: the schedule"`
	Step    string     `json:"step" enum:"ordered,staged,probed,promoted,retired,rolling_back,rolled_back,failed" doc:"promoted: calls use the new value, and the one before still works. failed: somebody has to look"`
	Begun   time.Time  `json:"begun"`
	Moved   time.Time  `json:"moved" doc:"When the step was reached"`
	Next    *time.Time `json:"next,omitempty" doc:"When it goes on, at the latest; absent: it has ended"`
	Held    bool       `json:"held,omitempty" doc:"Somebody is at work on it"`
	Tries   int        `json:"tries,omitempty" doc:"Of the step under way, that failed"`
	From    string     `json:"from,omitempty" doc:"Version of the value, or of the card, before"`
	To      string     `json:"to,omitempty"`
	Fields  []Field    `json:"fields,omitempty" doc:"Of a card: its references afterwards"`
	Before  []Field    `json:"before,omitempty"`
	Reason  string     `json:"reason,omitempty" doc:"Why it failed"`
}

// RotationPath names a run.
type RotationPath struct {
	Rotation string `path:"rotation" pattern:"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"`
}

func (h *Handler) rotations() {
	const path = "/rotations"
	start := operation("start-rotation", http.MethodPost, path, "Rotate a plan's secret now, or give a card other references, in two phases", 404, 412, 413, 415)
	huma.Register(h.api, h.dryOrMade(start, http.StatusAccepted, reflect.TypeFor[RotationView]()), h.startRotation)
	huma.Register(h.api, operation("list-rotations", http.MethodGet, path, "List rotations, newest first"), h.listRotations)
	huma.Register(h.api, operation("get-rotation", http.MethodGet, path+"/{rotation}", "Read how far a rotation has come", 404), h.getRotation)
	huma.Register(h.api, operation("cancel-rotation", http.MethodPost, path+"/{rotation}/cancel", "Take a rotation back, as long as no call uses the new value", 404, 412), h.cancelRotation)
}

type startRotationInput struct {
	DryRun bool `query:"dry_run" doc:"Judge and record the request, begin nothing"`
	Body   RotationBody
}

func (h *Handler) startRotation(ctx context.Context, in *startRotationInput) (*made[RotationView], error) {
	run, needs, wrong, err := h.ordered(ctx, in.Body)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "start-rotation", Needs: needs, Answer: answerOf(in.DryRun, http.StatusAccepted)}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{After: in.Body, Dry: in.DryRun, Fault: wrong, Apply: func(ctx context.Context) error {
		if err := h.runs.BeginRotation(ctx, run); err != nil {
			return err
		}
		h.wakeRotation(ctx)
		return nil
	}})
	if err != nil {
		return nil, fault(err)
	}
	return &made[RotationView]{op.Answer, viewRotation(run, h.now())}, nil
}

// ordered is the run that is asked for, with what it takes and what is wrong
// with it.
func (h *Handler) ordered(ctx context.Context, b RotationBody) (run broker.Rotation, needs []admin.Need, wrong, err error) {
	if (b.Plan == "") == (b.Server == "") || (b.Server == "") != (b.Binding == "") || (b.Server == "") != (len(b.Fields) == 0) {
		err = told{fmt.Errorf("%w rotation", broker.ErrInvalid), "either plan, or server, binding and fields"}
		return run, nil, nil, err
	}
	by, now := callerOf(ctx).Receipt, h.now().UTC()
	who := callerOf(ctx).Principal.ID
	if b.Plan != "" {
		p, missing := h.plans.RotationPlan(ctx, h.environment, b.Plan)
		missing = live(p.State, missing)
		if needs, err = h.rotationNeeds(ctx, p); err != nil || missing != nil {
			return run, needs, missing, err
		}
		if p.State != broker.Active {
			return run, needs, told{broker.ErrConflict, "the plan is suspended"}, nil
		}
		latest, wrong := h.idle(ctx, p.Subject())
		return rotate.OfPlan(p, latest, who, by, now), needs, wrong, nil
	}
	at := BindingPath{ServerPath{b.Server}, b.Binding}
	current, next, needs, wrong, err := h.repointed(ctx, at, b.Fields)
	if err != nil || wrong != nil {
		return run, needs, wrong, err
	}
	latest, wrong := h.idle(ctx, rotate.SubjectOfCard(b.Server, b.Binding))
	return rotate.OfCard(current, next.Fields, latest, who, by, now), needs, wrong, nil
}

// repointed is a card as it is and as it is to be.
func (h *Handler) repointed(ctx context.Context, at BindingPath, fields []Field) (current, next broker.Binding, needs []admin.Need, wrong, err error) {
	server, missing := h.liveServer(ctx, at.Server)
	if missing == nil {
		current, missing = h.reader.Binding(ctx, h.route(at.Server), at.Binding)
		missing = live(current.State, missing)
	}
	if missing != nil && !isMissing(missing) {
		return current, next, nil, nil, missing
	}
	asked, err := BindingBody{Fields: fields}.row(h.environment, at.Server, at.Binding, current.Version)
	if err != nil {
		return current, next, nil, nil, err
	}
	next = current
	next.Fields = asked.Fields
	if needs, err = h.bindingNeeds(ctx, at, server, current, next); err != nil || missing != nil {
		return current, next, needs, missing, err
	}
	switch {
	case current.State != broker.Active || !madeFor(current, server):
		wrong = told{broker.ErrConflict, "the card is suspended, or waits for its server's origin to be approved"}
	case current.Source != broker.Static:
		wrong = told{fmt.Errorf("%w rotation", broker.ErrInvalid), "only a card of source static has references"}
	case slices.Equal(current.Fields, next.Fields):
		wrong = told{fmt.Errorf("%w rotation", broker.ErrInvalid), "the card has these references"}
	default:
		if h.permits(ctx, needs) {
			wrong = h.registry.ValidBinding(ctx, next)
		}
	}
	return current, next, needs, wrong, nil
}

// rotationNeeds is what rotating the secret of a plan takes: to bind it.
func (h *Handler) rotationNeeds(ctx context.Context, p broker.RotationPlan) ([]admin.Need, error) {
	server, err := h.serverOfPlan(ctx, p)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	needs := []admin.Need{need(policy.Bind, admin.Object{Kind: referenceKind, Name: p.Reference.String()})}
	return h.claimed(ctx, needs, []broker.Reference{p.Reference}, server)
}

// idle is the latest run of a subject, which must have ended.
func (h *Handler) idle(ctx context.Context, subject string) (broker.Rotation, error) {
	latest, err := h.runs.Rotation(ctx, h.environment, subject)
	switch {
	case isMissing(err):
		return broker.Rotation{}, nil
	case err == nil && !latest.Step.Ended():
		return latest, told{broker.ErrConflict, "a rotation of it is under way"}
	}
	return latest, err
}

// rotationObject is what a run is of, for whoever may read that.
func (h *Handler) rotationObject(ctx context.Context, r broker.Rotation) (admin.Object, error) {
	if r.Plan != "" {
		p, err := h.plans.RotationPlan(ctx, h.environment, r.Plan)
		return planObject(p), err
	}
	server, binding, _ := strings.Cut(strings.TrimPrefix(r.Subject, broker.OfBinding), "/")
	s, err := h.reader.Server(ctx, h.route(server))
	return bindingObject(BindingPath{ServerPath{server}, binding}, s), err
}

func (h *Handler) getRotation(ctx context.Context, in *RotationPath) (*struct{ Body RotationView }, error) {
	r, on, err := h.rotation(ctx, in.Rotation)
	if asked := h.ask(ctx, "get-rotation", on); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &struct{ Body RotationView }{viewRotation(r, h.now())}, nil
}

func (h *Handler) rotation(ctx context.Context, id string) (broker.Rotation, admin.Object, error) {
	r, err := h.runs.RotationRun(ctx, h.environment, id)
	if err != nil {
		return r, admin.Object{Kind: referenceKind}, err
	}
	on, err := h.rotationObject(ctx, r)
	return r, on, err
}

type listRotationsInput struct {
	After   string `query:"after" doc:"next of the page before" maxLength:"26"`
	Limit   int    `query:"limit" doc:"Most rotations that are looked at for a page; those that you may not read are left out" minimum:"1" maximum:"100" default:"50"`
	Subject string `query:"subject" doc:"Of this reference without key, or card, alone" maxLength:"1100" example:"binding/github/dev"`
}

// RotationList is one page.
type RotationList struct {
	Items []RotationView `json:"items"`
	Next  string         `json:"next,omitempty" doc:"after for the next page; absent at the end"`
}

func (h *Handler) listRotations(ctx context.Context, in *listRotationsInput) (*struct{ Body RotationList }, error) {
	if err := h.askList(ctx, "list-rotations", admin.Object{Kind: referenceKind}); err != nil {
		return nil, err
	}
	found, next, err := h.runs.RotationsOf(ctx, h.environment, in.Subject, in.After, in.Limit)
	if err != nil {
		return nil, fault(err)
	}
	out := RotationList{Items: []RotationView{}, Next: next}
	objects := map[string]admin.Object{}
	for _, r := range found {
		on, known := objects[r.Subject+" "+r.Plan]
		if !known {
			if on, err = h.rotationObject(ctx, r); err != nil && !isMissing(err) {
				return nil, fault(err)
			}
			objects[r.Subject+" "+r.Plan] = on
		}
		if h.desk.Sees(callerOf(ctx), need(policy.ListNames, on)) {
			out.Items = append(out.Items, viewRotation(r, h.now()))
		}
	}
	return &struct{ Body RotationList }{out}, nil
}

func (h *Handler) cancelRotation(ctx context.Context, in *struct {
	RotationPath
	DryRun bool `query:"dry_run" doc:"Judge and record the request, change nothing"`
}) (*struct{ Body RotationView }, error) {
	r, on, wrong := h.rotation(ctx, in.Rotation)
	needs := []admin.Need{need(policy.Put, on)}
	if on.Kind == referenceKind {
		p, err := h.plans.RotationPlan(ctx, h.environment, r.Plan)
		if r.Plan != "" && err == nil {
			needs, err = h.rotationNeeds(ctx, p)
		} else {
			needs, err = []admin.Need{need(policy.Bind, on)}, nil
		}
		if err != nil {
			return nil, fault(err)
		}
	}
	var back broker.Rotation
	if wrong == nil {
		back, wrong = h.takenBack(ctx, r)
	}
	op := admin.Operation{ID: "cancel-rotation", Needs: needs}
	err := h.desk.Change(ctx, callerOf(ctx), op, admin.Change{Before: viewRotation(r, h.now()), After: viewRotation(back, h.now()), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.runs.PutRotation(ctx, back) }})
	if err != nil {
		return nil, fault(err)
	}
	return &struct{ Body RotationView }{viewRotation(back, h.now())}, nil
}

// takenBack is the run as it is stored to be taken back, with what it keeps.
func (h *Handler) takenBack(ctx context.Context, r broker.Rotation) (broker.Rotation, error) {
	latest, err := h.runs.Rotation(ctx, h.environment, r.Subject)
	if err != nil {
		return latest, err
	}
	back, can := rotate.Cancel(latest, h.now().UTC())
	if latest.ID != r.ID || !can {
		return back, told{broker.ErrConflict, "it has ended, calls use the new value, or somebody is at work on it right now"}
	}
	return back, nil
}

func viewRotation(r broker.Rotation, now time.Time) RotationView {
	v := RotationView{ID: r.ID, Subject: r.Subject, Plan: r.Plan, By: r.By, Step: string(r.Step), Begun: r.Begun, Moved: r.Moved, Next: instant(r.Next),
		Held: r.Holder != "" && now.Before(r.HeldUntil), Tries: r.Tries, From: r.From, To: r.To, Reason: string(r.Reason)}
	for _, f := range r.Fields {
		v.Fields = append(v.Fields, Field{f.Name, f.Reference.String()})
	}
	for _, f := range r.Before {
		v.Before = append(v.Before, Field{f.Name, f.Reference.String()})
	}
	return v
}
