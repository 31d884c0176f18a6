package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Consenting is a Source whose credentials a person has to consent to.
type Consenting interface {
	// Lacks fails as Obtain would where a consent is lacking, and else with nil or
	// because that could not be found out. refused, unless it is empty, is the
	// version of a credential that the upstream did not accept: the consent that it
	// came from counts as none. It is one read: nothing is opened, and nobody asked.
	Lacks(ctx context.Context, a Ask, refused string) error
}

// Refusable is a Source that may have something better when an upstream did not
// accept what it gave.
type Refusable interface {
	// Refused obtains once more, and fails with ErrNothingBetter where that would
	// be the same, or with *ConsentNeeded.
	Refused(ctx context.Context, a Ask, refused []Access) (Credential, error)
}

// ErrNothingBetter means that a source has nothing but what was refused.
var ErrNothingBetter = errors.New("nothing but the refused credential")

// How a call waits for a consent that is being given.
const (
	waitingCalls  = 4 // of one principal, in all processes: each keeps one occupied
	firstPause    = 250 * time.Millisecond
	longestPause  = time.Second
	waitingMargin = 5 * time.Second // how much longer its place is kept than it waits
)

// AwaitConsent waits until the consent that the decided call lacks is there, or
// for this long. It does not say which: Obtain decides, and decides anew what has
// grown old. Whoever has too many calls waiting does not wait.
func (b *Broker) AwaitConsent(ctx context.Context, d *Decision, refused string, within time.Duration) {
	if within <= 0 || !errors.Is(b.lacks(ctx, d, refused), ErrConsentRequired) {
		return
	}
	now := b.now()
	quota := Quota{d.Call.Route.Environment, "consent/" + d.Call.Principal.ID, waitingCalls}
	place, held, err := b.quotas.TakePlace(ctx, quota, d.Call.Receipt, now, now.Add(within+waitingMargin))
	if err != nil || !held {
		return
	}
	defer b.giveBack(ctx, []Place{place})
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if b.lacks(ctx, d, refused) == nil { // what cannot be read now may be in a moment
			return
		}
	}
}

// Consented reports whether there is a consent for the decided call, other than
// that of a refused credential.
func (b *Broker) Consented(ctx context.Context, d *Decision, refused string) bool {
	return b.lacks(ctx, d, refused) == nil
}

func (b *Broker) lacks(ctx context.Context, d *Decision, refused string) error {
	source, ok := b.sources[d.Binding.Source].(Consenting)
	if !ok {
		return nil
	}
	unrecorded := &recording{done: make(chan struct{}), err: ErrUnrecorded} // nothing may change for a question
	close(unrecorded.done)
	return source.Lacks(ctx, d.ask(unrecorded, &holding{done: unrecorded.done, err: ErrUnrecorded}), refused)
}

// Again obtains another credential for a call whose first was not accepted by
// the upstream, and which is decided anew if it has grown old. What may have been
// revoked in the meantime is read again in any case. The first is still masked,
// and both are recorded, also when Again fails.
func (b *Broker) Again(ctx context.Context, r *Release) error {
	d := r.Decision
	source, ok := b.sources[d.Binding.Source].(Refusable)
	if !ok {
		return ErrNothingBetter
	}
	recorded := &recording{done: make(chan struct{})}
	close(recorded.done) // its intent is: this is a Release
	holds := b.readHolds(ctx, d)
	next, err := source.Refused(ctx, d.ask(recorded, holds), r.Credential.Access)
	r.Credential.Access = append(r.Credential.Access, next.Access...)
	if err = holds.released(err); err != nil {
		return fmt.Errorf("obtain another credential: %w", err)
	}
	if b.now().Sub(d.Began) > DecisionLife {
		if err := b.decideAgain(ctx, d); err != nil {
			return err
		}
	}
	for _, former := range r.Credential.Fields {
		next.Previous = append(next.Previous, former)
	}
	next.Previous = append(next.Previous, r.Credential.Previous...)
	next.Access = r.Credential.Access
	r.Credential = next
	return nil
}

// Needs says which consent a call lacks whose credential the upstream refused.
func (d *Decision) Needs(why ConsentWhy) *ConsentNeeded {
	return &ConsentNeeded{
		Why:      why,
		Grant:    GrantKey{Environment: d.Binding.Environment, Principal: d.Call.Principal.ID, Server: d.Binding.Server, Origin: d.Binding.Origin},
		Provider: d.Binding.Provider, Scopes: d.Binding.Scopes,
	}
}
