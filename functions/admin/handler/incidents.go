package handler

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/revoke"
	"bindery/shared/rotate"
)

// IncidentBody says which secret leaked.
type IncidentBody struct {
	Reference string `json:"reference" minLength:"1" maxLength:"1024" doc:"The secret, as on the card; the key does not count: a secret leaks as a whole"`
	Reason    string `json:"reason" minLength:"3" maxLength:"1024" doc:"What happened, for whoever reads the report. Never the secret"`
}

// IncidentPath names one.
type IncidentPath struct {
	Incident string `path:"incident" pattern:"^[0-9A-HJKMNP-TV-Z]{26}$" doc:"Id of the incident"`
}

// IncidentView is a leak, who could and did use what leaked, and what was done.
type IncidentView struct {
	ID         string           `json:"id,omitempty" doc:"Absent in a dry run: nothing was opened"`
	Reference  string           `json:"reference"`
	By         string           `json:"by" doc:"Principal who reported it"`
	Reason     string           `json:"reason"`
	At         time.Time        `json:"at"`
	Stopped    *time.Time       `json:"stopped,omitempty" doc:"From here on no decision lets the secret be used"`
	Revocation *RevocationView  `json:"revocation,omitempty" doc:"How far the stop has come beyond Bindery's own calls; absent for a moment after the incident was opened"`
	Rotation   *RotationView    `json:"rotation,omitempty"`
	NoRotation string           `json:"no_rotation,omitempty" doc:"Why none was ordered; with a rotation, why that one does not replace what leaked"`
	Exposure   IncidentExposure `json:"exposure"`
	Next       []string         `json:"next_steps" doc:"What is left for people to do"`
}

// IncidentName is an incident in a list.
type IncidentName struct {
	ID        string     `json:"id"`
	Reference string     `json:"reference"`
	At        time.Time  `json:"at"`
	Stopped   *time.Time `json:"stopped,omitempty"`
}

// Incidents is one page.
type Incidents struct {
	Items []IncidentName `json:"items"`
	Next  string         `json:"next,omitempty" doc:"after for the next page; absent at the end"`

	Unreadable int `json:"unreadable,omitempty" doc:"Incidents that do not decode, on this page or a little further on"`
}

func (h *Handler) incidentOperations() {
	opened := operation("open-incident", http.MethodPost, "/incidents", "A secret leaked: who could use it, who did; stop all use of it; rotate it if there is a plan", 412)
	huma.Register(h.api, h.dryOrMade(opened, http.StatusCreated, reflect.TypeFor[IncidentView]()), h.openIncident)
	huma.Register(h.api, operation("list-incidents", http.MethodGet, "/incidents", "List incidents, oldest first"), h.listIncidents)
	huma.Register(h.api, operation("get-incident", http.MethodGet, "/incidents/{incident}", "How an incident stands now", 404), h.getIncident)
	huma.Register(h.api, reportOperation(), h.incidentReport)
}

func incidentObject(r broker.Reference) admin.Object {
	return admin.Object{Kind: referenceKind, Name: r.String()}
}

// openIncident stops first and looks afterwards: whoever reads a report reads it
// while nobody uses the secret any more.
func (h *Handler) openIncident(ctx context.Context, in *struct {
	DryRun bool `query:"dry_run" doc:"Say who could and did, and what would be done; stop nothing"`
	Body   IncidentBody
}) (*made[IncidentView], error) {
	reference, wrong := broker.ParseReference(in.Body.Reference)
	reference = reference.WithoutKey()
	c := callerOf(ctx)
	incident := broker.Incident{Environment: h.environment, ID: c.Receipt, State: broker.Active, Reference: reference, By: c.Principal.ID,
		Reason: in.Body.Reason, At: h.now().UTC()}
	op := admin.Operation{ID: "open-incident", Needs: []admin.Need{need(policy.Revoke, incidentObject(reference))}, Answer: answerOf(in.DryRun, http.StatusCreated)}
	var view IncidentView
	look := func(ctx context.Context) (err error) {
		view, err = h.viewIncident(ctx, incident, incidentPage)
		return err
	}
	if in.DryRun && wrong == nil && h.permits(ctx, op.Needs) {
		incident.ID, incident.NoRotation = "", h.plannedRotation(ctx, reference)
		wrong = look(ctx)
	}
	err := h.desk.Change(ctx, c, op, admin.Change{After: incidentRecord{reference.String(), in.Body.Reason}, Fault: wrong, Dry: in.DryRun,
		Apply: func(ctx context.Context) error {
			if err := h.respond(ctx, &incident); err != nil {
				return err
			}
			return look(ctx)
		}})
	if err != nil {
		return nil, fault(err)
	}
	return &made[IncidentView]{op.Answer, view}, nil
}

// incidentRecord is the incident in its audit record.
type incidentRecord struct {
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
}

// respond writes the incident down, stops the secret, and orders a new one. If it
// dies in between, asking again goes on: what is stopped stays so, and a rotation
// that is under way is the one; and of what is written down the search for drift
// tells. A table that cannot be written holds up no stop.
func (h *Handler) respond(ctx context.Context, i *broker.Incident) error {
	if err := h.saveIncident(ctx, i); err != nil {
		h.log.Error("an incident was not written down before its secret is stopped", "receipt", i.ID, "cause", failureOf(err))
	}
	stopped, err := h.revoker.Revoke(ctx, revoke.Order{ID: i.ID, Kind: broker.ReferenceMarker, Subject: i.Reference.String(), By: i.By, Reason: i.Reason})
	if err != nil {
		return err
	}
	i.Revocation, i.Stopped = stopped.Case, stopped.At
	i.Rotation, i.NoRotation = h.rotateLeaked(ctx, i.Reference, i.By)
	if err := h.saveIncident(ctx, i); err != nil {
		return err
	}
	return revoke.TellIncident(ctx, h.desk.Journal, *i)
}

func (h *Handler) saveIncident(ctx context.Context, i *broker.Incident) error {
	err := h.incidents.PutIncident(ctx, *i)
	if err == nil {
		i.Version++
	}
	return err
}

func (h *Handler) listIncidents(ctx context.Context, in *Page) (*struct{ Body Incidents }, error) {
	if err := h.askAudit(ctx, "list-incidents", "incidents"); err != nil {
		return nil, err
	}
	unreadable := 0
	read := func(p broker.Page) ([]broker.Incident, error) {
		some, err := h.incidents.Incidents(ctx, h.environment, p)
		rows, err := h.passedOver(ctx, "incidents", err)
		unreadable += rows
		return some, err
	}
	page, err := listed(*in, list[broker.Incident]{read, func(i broker.Incident) string { return i.ID }}, func(i broker.Incident) (IncidentName, bool) {
		return IncidentName{i.ID, i.Reference.String(), i.At.UTC(), instant(i.Stopped)}, i.State != broker.Deleted
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Incidents }{Incidents{page.Body.Items, page.Body.Next, unreadable}}, nil
}

func (h *Handler) getIncident(ctx context.Context, in *IncidentPath) (*struct{ Body IncidentView }, error) {
	view, err := h.readIncident(ctx, "get-incident", in.Incident, incidentPage)
	if err != nil {
		return nil, err
	}
	return &struct{ Body IncidentView }{view}, nil
}

func (h *Handler) readIncident(ctx context.Context, id, incident string, most int) (IncidentView, error) {
	if err := h.askAudit(ctx, id, "incident/"+incident); err != nil {
		return IncidentView{}, err
	}
	i, err := h.incidents.Incident(ctx, h.environment, incident)
	if err != nil {
		return IncidentView{}, fault(err)
	}
	view, err := h.viewIncident(ctx, i, most)
	if err != nil {
		return IncidentView{}, fault(err)
	}
	return view, nil
}

// viewIncident is the incident with what stands elsewhere now.
func (h *Handler) viewIncident(ctx context.Context, i broker.Incident, most int) (IncidentView, error) {
	v := IncidentView{ID: i.ID, Reference: i.Reference.String(), By: i.By, Reason: i.Reason, At: i.At.UTC(), Stopped: instant(i.Stopped), NoRotation: i.NoRotation}
	var err error
	if v.Exposure, err = h.incidentExposure(ctx, i.Reference, most); err != nil {
		return v, err
	}
	if stop := cmp.Or(i.Revocation, i.ID); stop != "" { // a request that died after it had stopped the secret did not say so
		r, err := h.cases.Revocation(ctx, h.environment, stop)
		if err != nil && !isMissing(err) {
			return v, err
		}
		if err == nil {
			view := viewRevocation(r)
			v.Revocation, v.Stopped = &view, instant(cmp.Or(i.Stopped, r.At))
		}
	}
	if i.Rotation != "" {
		run, err := h.runs.RotationRun(ctx, h.environment, i.Rotation)
		if err != nil && !isMissing(err) {
			return v, err
		}
		if err == nil {
			view := viewRotation(run, h.now())
			v.Rotation = &view
		}
	}
	v.Next = nextSteps(v)
	return v, nil
}

// planOf is the plan that rotates a secret, if there is one.
func (h *Handler) planOf(ctx context.Context, r broker.Reference) (broker.RotationPlan, bool, error) {
	for p, err := range h.planList(ctx).after("") {
		if err != nil {
			return broker.RotationPlan{}, false, err
		}
		if p.State == broker.Active && p.Reference.WithoutKey() == r {
			return p, true, nil
		}
	}
	return broker.RotationPlan{}, false, nil
}

// Why a leaked secret is not rotated by Bindery.
const (
	noPlan     = "No active plan rotates this secret."
	notOrdered = "It could not be ordered at that moment: POST /rotations orders it."
	notThisOne = "The rotation that is under way leaves the value that calls use now: when it has ended, order another: POST /rotations."
	onlyDry    = "Nothing was ordered: this is a dry run, and a plan is there."
)

// rotateLeaked orders a new value where there is a plan, or gives the run that is
// under way. Nothing of it may hold up the stop, which stands already.
func (h *Handler) rotateLeaked(ctx context.Context, r broker.Reference, by string) (run, why string) {
	plan, there, err := h.planOf(ctx, r)
	if err != nil {
		return "", notOrdered
	}
	if !there {
		return "", noPlan
	}
	latest, err := h.runs.Rotation(ctx, h.environment, plan.Subject())
	switch {
	case err != nil && !isMissing(err):
		return "", notOrdered
	case err == nil && !latest.Step.Ended():
		return latest.ID, h.replaces(ctx, latest)
	}
	next := rotate.OfPlan(plan, latest, by, h.receipt(), h.now().UTC())
	if h.runs.BeginRotation(ctx, next) != nil {
		return "", notOrdered
	}
	h.wakeRotation(ctx)
	return next.ID, ""
}

// replaces says why a run that is under way does not replace what leaked, where
// it does not: its own new value is in use, or it is being taken back. Which of
// its two values leaked nobody knows, so the one before has no more grace.
func (h *Handler) replaces(ctx context.Context, r broker.Rotation) string {
	switch r.Step {
	case broker.RotationInUse:
		if cut, can := rotate.CutGrace(r, h.now().UTC()); can {
			if err := h.runs.PutRotation(ctx, cut); err != nil {
				h.log.Warn("the value before goes on for its grace", "rotation", r.ID, "cause", failureOf(err))
			} else {
				h.wakeRotation(ctx)
			}
		}
		return notThisOne
	case broker.RotationUndoing:
		return notThisOne
	default: // calls use the value that leaked, and the run is about to replace it
		return ""
	}
}

// plannedRotation says what a dry run would come to.
func (h *Handler) plannedRotation(ctx context.Context, r broker.Reference) string {
	_, there, err := h.planOf(ctx, r)
	switch {
	case err != nil:
		return notOrdered
	case !there:
		return noPlan
	}
	return onlyDry
}
