package handler

import (
	"context"
	"slices"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// How many cards, and how many people, an incident names.
const (
	incidentPage   = 200
	incidentReport = 2000
)

// IncidentExposure is who could use the secret, and who did.
type IncidentExposure struct {
	Bindings     []ExposedBinding `json:"bindings" doc:"Cards through which it could be used"`
	MoreBindings bool             `json:"more_bindings" doc:"There are more: GET /exposure/bindings lists all"`
	People       []SeenPerson     `json:"people" doc:"Who used it, the first time and the last; only for those who may read the audit"`
	MorePeople   bool             `json:"more_people" doc:"There are more: GET /exposure/people lists all"`
	Hidden       bool             `json:"people_hidden" doc:"The caller may not read the audit: an auditor sees who used it"`
	SignsIn      []string         `json:"signs_in" doc:"Stores to which Bindery signs in with it"`
	Clients      []string         `json:"clients" doc:"Providers at which Bindery is a client with it"`
	Unknown      []string         `json:"cannot_enumerate" doc:"What Bindery does not know"`
	Lag          IndexLag         `json:"lag" doc:"How far the list of people may be behind"`

	Unreadable int `json:"unreadable,omitempty" doc:"Rows of the audit index that do not decode: people may be missing"`
}

// incidentExposure reads the two indices, at most so many rows of each.
func (h *Handler) incidentExposure(ctx context.Context, r broker.Reference, most int) (IncidentExposure, error) {
	e := IncidentExposure{Bindings: []ExposedBinding{}, People: []SeenPerson{}, Unknown: []string{otherSpellings}}
	var err error
	if e.SignsIn, err = h.signsIn(ctx, r); err != nil {
		return e, err
	}
	if e.Clients, err = h.clients(ctx, r); err != nil {
		return e, err
	}
	of := subject{kind: broker.SeenReference, id: r.String(), reference: r}
	if e.Bindings, e.MoreBindings, err = gather(ctx, most, func(ctx context.Context, after string, limit int) ([]ExposedBinding, string, error) {
		return h.exposed(ctx, of, after, limit)
	}); err != nil {
		return e, err
	}
	for _, b := range e.Bindings {
		e.Unknown = addSentence(e.Unknown, b.Unknown)
	}
	if e.Hidden = !h.desk.Sees(callerOf(ctx), need(policy.ReadAudit, admin.Object{Kind: auditKind, Name: of.about()})); e.Hidden {
		return e, nil
	}
	seen, more, err := gather(ctx, most, func(ctx context.Context, after string, limit int) ([]broker.Seen, string, error) {
		some, next, err := h.evidence.SeenOf(ctx, h.environment, of.kind, of.id, after, limit)
		rows, err := h.passedOver(ctx, "people seen", err)
		e.Unreadable += rows
		return some, next, err
	})
	if err != nil {
		return e, err
	}
	if e.Unreadable > 0 {
		e.Unknown = addSentence(e.Unknown, indexUnreadable)
	}
	for _, s := range seen {
		e.People = append(e.People, SeenPerson{s.Principal, s.Agent, s.Server, s.Binding, s.First.UTC(), s.Last.UTC()})
	}
	slices.SortStableFunc(e.People, func(x, y SeenPerson) int { return y.Last.Compare(x.Last) })
	e.MorePeople = more
	e.Lag, err = h.lag(ctx)
	return e, err
}

// gatherTime is what one list of an incident may take: two of them, and what else
// is done, have to be within a request's time.
const gatherTime = pageTime / 2

// gather reads pages until there are so many rows, or no more, or no more time:
// whoever opens an incident hears what was found, and that it is cut.
func gather[T any](ctx context.Context, most int, read func(ctx context.Context, after string, limit int) ([]T, string, error)) (rows []T, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	rows = []T{}
	after := ""
	for {
		page, next, err := read(ctx, after, min(broker.MaxPage, most-len(rows)))
		switch {
		case err != nil && over(ctx, after != ""):
			return rows, true, nil
		case err != nil:
			return rows, false, err
		}
		rows = append(rows, page...)
		if next == "" || len(rows) >= most || over(ctx, true) {
			return rows, next != "", nil
		}
		after = next
	}
}

// nextSteps is what is left for people, in the order in which it is urgent.
func nextSteps(v IncidentView) []string {
	steps := []string{}
	if v.Stopped == nil {
		steps = append(steps, "Nothing has been stopped yet: open the incident without dry_run.")
	}
	if v.NoRotation == noPlan && len(v.Exposure.Bindings)+len(v.Exposure.SignsIn)+len(v.Exposure.Clients) == 0 {
		steps = append(steps, "Look at the spelling: no card, store, provider or plan uses a secret of this name now, and only what is spelled so is stopped.")
	}
	switch {
	case v.Rotation != nil && v.NoRotation != "":
		steps = append(steps, v.NoRotation)
	case v.Rotation == nil && v.NoRotation != onlyDry:
		steps = append(steps, "Make a new value and put it into the store, then end the old one at the upstream: Bindery stopped its own use of it, and nobody else's.")
	case v.Rotation == nil || v.Rotation.Step == string(broker.RotationOver):
	case broker.RotationStep(v.Rotation.Step).Ended():
		steps = append(steps, "The rotation has ended, and the leaked value may be as good as before: read why, put another one into the store if it is still there, and end it at the upstream.")
	default:
		steps = append(steps, "Wait for the rotation to reach \"retired\": until then the upstream may accept the leaked value.")
	}
	if v.Revocation != nil && v.Revocation.Work != string(broker.WorkDone) {
		steps = append(steps, "Wait for the work of the revocation to be done, or end by hand what it cannot reach.")
	}
	if len(v.Exposure.SignsIn) > 0 || len(v.Exposure.Clients) > 0 {
		steps = append(steps, "Bindery signs in with this secret itself, at the stores and providers that are named: give it another there, too.")
	}
	if v.Exposure.MorePeople || v.Exposure.MoreBindings {
		steps = append(steps, "The lists are cut: GET /exposure/bindings and /exposure/people give all of them, also as CSV.")
	}
	return append(steps, "Ask the upstream for its own log: what was done with the leaked value outside of Bindery leaves no record here.",
		"When the value is another one, lift the revocation: POST /revocations/{id}/lift.")
}
