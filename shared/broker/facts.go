package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// FactKind names what Bindery itself did or found out, outside of any call, as
// "noun.verb". Each is recorded, and is an event of the catalogue of events.
type FactKind string

// The facts.
const (
	RevocationAcknowledged FactKind = "revocation.acknowledged" // from here on every decision is refused
	RevocationLifted       FactKind = "revocation.lifted"
	RevocationCompleted    FactKind = "revocation.completed"  // nothing is left that trying again would change
	RevocationIncomplete   FactKind = "revocation.incomplete" // something could not be reached; told once per case

	RotationStaged     FactKind = "rotation.staged"
	RotationProbed     FactKind = "rotation.probed"
	RotationPromoted   FactKind = "rotation.promoted"
	RotationRetired    FactKind = "rotation.retired"     // the value before is over
	RotationRolledBack FactKind = "rotation.rolled_back" // nothing changed; the reason says why
	RotationFailed     FactKind = "rotation.failed"      // it could not be rolled back by itself: somebody has to look

	ReferenceChanged FactKind = "reference.changed" // a store said so

	NoticeOpened FactKind = "notice.opened" // drift began
	NoticeClosed FactKind = "notice.closed" // drift ended

	GrantDied           FactKind = "grant.died"            // a person has to consent anew
	GrantOutcomeUnknown FactKind = "grant.outcome_unknown" // a token request ended without an answer
	GrantNotRevoked     FactKind = "grant.not_revoked"     // a provider was not told that a token is over

	IncidentOpened FactKind = "incident.opened"

	IntentWithoutOutcome FactKind = "intent.without_outcome" // somebody obtained a credential, or was about to, and what became of it is not known
)

// FactKinds lists all of them.
func FactKinds() []FactKind {
	return []FactKind{RevocationAcknowledged, RevocationLifted, RevocationCompleted, RevocationIncomplete,
		RotationStaged, RotationProbed, RotationPromoted, RotationRetired, RotationRolledBack, RotationFailed,
		ReferenceChanged, NoticeOpened, NoticeClosed, GrantDied, GrantOutcomeUnknown, GrantNotRevoked, IncidentOpened, IntentWithoutOutcome}
}

// ActOfItself is the action of a record of a fact.
const ActOfItself Action = "act"

// Fact is one of them, to be recorded.
type Fact struct {
	Receipt     string // a ULID of its own: that of a request names the records of the request
	Kind        FactKind
	Environment string
	By          string // principal on whose word; empty: Bindery's own schedule
	Object      string // as in "reference/aws-sm:prod/github", "grant/p-.../github"
	Server      string
	Binding     string
	References  []Reference
	Accesses    []Access // secrets that were read for it
	Reason      Reason   // of a failure
	Detail      any      // JSON; never a secret. It is part of the event
}

// Tell records a fact. A receipt has one record: to tell again under the same one
// fails with ErrConflict, and whoever repeats work gives the fact a receipt that
// follows from what it is about (ReceiptOf).
func (j *Journal) Tell(ctx context.Context, f Fact, at time.Time) error {
	r, err := f.record(at)
	if err != nil {
		return err
	}
	return j.Append(ctx, r)
}

// Record gives the record of a fact its place in the chain, for a store that keeps
// it in one transaction with what it tells of. What is not stored leaves a gap.
func (j *Journal) Record(f Fact, at time.Time) (Record, error) {
	r, err := f.record(at)
	if err != nil {
		return Record{}, err
	}
	return j.place(r)
}

func (f *Fact) record(at time.Time) (Record, error) {
	r := Record{Schema: RecordSchema, Receipt: f.Receipt, Phase: Outcome, At: at.UTC(), Environment: f.Environment, Server: f.Server,
		Principal: f.By, Method: string(f.Kind), Action: ActOfItself, Binding: f.Binding, Object: f.Object, Accesses: f.Accesses, Reason: f.Reason}
	for _, reference := range f.References {
		r.References = append(r.References, "="+reference.String())
	}
	if f.Detail != nil {
		text, err := json.Marshal(f.Detail)
		if err != nil {
			return Record{}, fmt.Errorf("encode the detail of a fact: %w", err)
		}
		r.After = string(text)
	}
	return r, nil
}
