package rotate

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
)

// Detail is what a fact of a rotation says besides. It is part of its event.
type Detail struct {
	Rotation string    `json:"rotation"`        // id of the run
	Plan     string    `json:"plan,omitempty"`  // absent: a card was given other references
	Begun    time.Time `json:"begun"`           // when the run was
	From     string    `json:"from,omitempty"`  // version of the value, or of the card, before
	To       string    `json:"to,omitempty"`    // of the new one
	Probe    string    `json:"probe,omitempty"` // of rotation.probed: asked, no_card, or reference_revoked
	Until    time.Time `json:"until,omitzero"`  // of rotation.promoted: how long the value before goes on
	Tries    int       `json:"tries,omitempty"` // of rotation.failed: how often it was tried
}

// What a probe came to, where it did not fail.
const (
	probeAsked   = "asked"
	probeNoCard  = "no_card"           // the plan has none: nobody was asked
	probeRevoked = "reference_revoked" // nobody may use either value: nobody was asked
)

var factOf = map[broker.RotationStep]broker.FactKind{
	broker.RotationMade:      broker.RotationStaged,
	broker.RotationTried:     broker.RotationProbed,
	broker.RotationInUse:     broker.RotationPromoted,
	broker.RotationOver:      broker.RotationRetired,
	broker.RotationUndone:    broker.RotationRolledBack,
	broker.RotationAbandoned: broker.RotationFailed,
}

// tell records that a step is reached. The receipt follows from the run as it is
// stored and the step: whoever repeats the step finds that it has been told.
func (w *work) tell(ctx context.Context, next broker.Rotation, now time.Time) error {
	d := w.told
	d.Rotation, d.Plan, d.Begun, d.From, d.To = next.ID, next.Plan, next.Begun, next.From, next.To
	f := broker.Fact{Receipt: w.receiptOf(next.Step), Kind: factOf[next.Step], Environment: next.Environment, By: next.By, Object: next.Subject,
		Accesses: w.seen, Reason: next.Reason}
	if next.Step == broker.RotationAbandoned {
		d.Tries = next.Tries
	}
	f.Detail = d
	switch p := w.path.(type) {
	case *value:
		f.Server, f.Binding, f.References = p.plan.Server, p.plan.Binding, []broker.Reference{p.plan.Reference.WithoutKey()}
	default:
		f.Server, f.Binding = cardOf(next.Subject)
		for _, field := range next.Fields {
			if r := field.Reference.WithoutKey(); !slices.Contains(f.References, r) {
				f.References = append(f.References, r)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	err := w.Journal.Tell(ctx, f, now)
	if errors.Is(err, broker.ErrConflict) {
		return nil
	}
	return err
}

// receiptOf is a ULID of the time since which the step was under way: not of the
// time of its end, which is another one each time it is tried.
func (w *work) receiptOf(step broker.RotationStep) string {
	began := w.run.Moved
	if w.run.Step == broker.RotationInUse {
		began = w.run.Until
	}
	sum := sha256.Sum256([]byte(w.run.Subject + " " + w.run.ID + " " + string(step)))
	var id ulid.ULID
	copy(id[6:], sum[:10])
	_ = id.SetTime(ulid.Timestamp(began)) // only a time after the year 10889 fails
	return id.String()
}

func cardOf(subject string) (server, binding string) {
	server, binding, _ = strings.Cut(strings.TrimPrefix(subject, broker.OfBinding), "/")
	return server, binding
}
