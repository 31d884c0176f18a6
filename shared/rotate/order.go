package rotate

import (
	"slices"
	"strconv"
	"time"

	"bindery/shared/broker"
)

// OfPlan is a new run of a plan, to be begun. latest is the subject's run before,
// or empty; what that has kept of the same plan names the value in use, so it
// goes along.
func OfPlan(p broker.RotationPlan, latest broker.Rotation, by, id string, now time.Time) broker.Rotation {
	if latest.Plan != p.Name {
		latest.Kept = nil
	}
	return broker.Rotation{Environment: p.Environment, Subject: p.Subject(), ID: id, Previous: latest.ID, Plan: p.Name, By: by,
		Step: broker.RotationOrdered, Begun: now, Moved: now, Next: now, Kept: latest.Kept}
}

// OfCard is a new run that gives a card, as it is, other references.
func OfCard(b broker.Binding, fields []broker.Field, latest broker.Rotation, by, id string, now time.Time) broker.Rotation {
	return broker.Rotation{Environment: b.Environment, Subject: SubjectOfCard(b.Server, b.Name), ID: id, Previous: latest.ID, By: by,
		Step: broker.RotationOrdered, Begun: now, Moved: now, Next: now, From: strconv.FormatInt(b.Version, 10),
		Fields: fields, Before: slices.Clone(b.Fields)}
}

// SubjectOfCard is what a run that re-points a card is of.
func SubjectOfCard(server, binding string) string {
	return broker.OfBinding + server + "/" + binding
}

// Cancel gives the run as it is to be stored if it is taken back, which can be
// done before its promotion and while nobody is at work on it.
func Cancel(r broker.Rotation, now time.Time) (broker.Rotation, bool) {
	switch r.Step {
	case broker.RotationOrdered, broker.RotationMade, broker.RotationTried:
	default:
		return r, false
	}
	if held(r, now) {
		return r, false
	}
	r.Step, r.Reason, r.Moved, r.Next, r.Tries = broker.RotationUndoing, broker.RotationCancelled, now, now, 0
	r.Holder, r.HeldUntil = "", time.Time{}
	return r, true
}

// CutGrace gives the run as it is to be stored where the value before may not go
// on for its grace, because it leaked. That can be done while nobody is at work.
func CutGrace(r broker.Rotation, now time.Time) (broker.Rotation, bool) {
	if r.Step != broker.RotationInUse || held(r, now) || !r.Until.After(now) {
		return r, false
	}
	r.Until, r.Next = now, now
	return r, true
}

// held reports whether somebody may be at work. A clock that went back makes the
// lease longer, never shorter.
func held(r broker.Rotation, now time.Time) bool {
	return r.Holder != "" && !now.After(r.HeldUntil.Add(broker.ClockSkew))
}
