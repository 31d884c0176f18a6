// Package revoke stops things, and lets them go again: a person, an agent, a
// secret, a server, everything.
//
// The idea: the marker is the stop, and its acknowledgement is given when every
// decision that begins afterwards sees it. All else follows and holds nothing up:
// the case, by which functions/cleanup ends what is under way, and the record of
// it. What is asked twice, by two at once, or by one who died anywhere in between,
// ends in the same state, because the marker alone says all that the case and the
// record are made of.
//
// The package reads no secret, opens nothing that is sealed, asks nobody outside,
// never lifts what another case has stopped since, and never decides who may
// stop what.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Revoker writes markers. It is safe for concurrent use, by many processes.
type Revoker struct {
	Environment string
	Markers     broker.Markers
	Reader      broker.MarkerReader
	Cases       broker.Revocations
	Journal     *broker.Journal
	Now         func() time.Time
}

// Acknowledgement says how it stands: from now on every decision sees it.
type Acknowledgement struct {
	Case    string            `json:"case"` // id of the case that stopped it, or lifted it
	Kind    broker.MarkerKind `json:"kind"`
	Subject string            `json:"subject"`
	Revoked bool              `json:"revoked"`
	Epoch   int64             `json:"epoch"`
	At      time.Time         `json:"at"`
	Already bool              `json:"already"` // an earlier request had done it
	// Recorded is false where the marker stands, and its case or its record could
	// not be stored: asking again, or cleanup, makes up for it.
	Recorded bool `json:"recorded"`

	Unrecorded error `json:"-"` // why, for the log
}

// tries is how often a marker is read and written against others who write it,
// and against answers that are lost.
const tries = 8

// Revoke stops what the order names, or says that it is stopped. An order that was
// carried out once, by its id, is not carried out again, also where what it had
// stopped has been let go since.
func (r *Revoker) Revoke(ctx context.Context, o Order) (Acknowledgement, error) {
	o, err := o.Checked(r.Environment)
	if err != nil {
		return Acknowledgement{}, err
	}
	done, err := r.Cases.Revocation(ctx, r.Environment, o.ID)
	switch {
	case err == nil && (done.Kind != o.Kind || done.Subject != o.Subject || done.Lifts):
		return Acknowledgement{}, fmt.Errorf("revoke: %w: the id is another case's", broker.ErrConflict)
	case err == nil:
		return r.repeat(ctx, done)
	case !errors.Is(err, broker.ErrNotFound):
		return Acknowledgement{}, fmt.Errorf("revoke: %w", err)
	}
	m, err := r.change(ctx, o.Key(), func(now broker.Marker) (broker.Marker, error) {
		if now.Revoked && now.Revocation != "" {
			return now, nil
		}
		return r.marker(o.Key(), now.Epoch+1, true, o.ID, o.By, o.Reason), nil
	})
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("revoke: %w", err)
	}
	return r.acknowledge(ctx, m, m.Revocation != o.ID), nil
}

// repeat answers for an order that has a case. That somebody made one is no sign
// that the marker stands in all its copies; that it can be written is. What was
// let go since is not stopped again, and said to be so.
func (r *Revoker) repeat(ctx context.Context, done broker.Revocation) (Acknowledgement, error) {
	_, err := r.change(ctx, broker.MarkerKey{Kind: done.Kind, ID: done.Subject}, func(now broker.Marker) (broker.Marker, error) {
		if !now.Revoked {
			return now, errLetGo
		}
		return now, nil
	})
	if err != nil && !errors.Is(err, errLetGo) {
		return Acknowledgement{}, fmt.Errorf("revoke: %w", err)
	}
	a := r.told(ctx, done, true)
	a.Revoked = err == nil
	return a, nil
}

var errLetGo = errors.New("it was let go")

// Lift lets go what a case has stopped, unless another case has stopped it since.
func (r *Revoker) Lift(ctx context.Context, l Lifting) (Acknowledgement, error) {
	if err := l.Check(r.Environment); err != nil {
		return Acknowledgement{}, err
	}
	c, err := r.Cases.Revocation(ctx, r.Environment, l.Case)
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("lift: %w", err)
	}
	if c.Lifts {
		return Acknowledgement{}, fmt.Errorf("%w case: it lifted something, and stops nothing", broker.ErrInvalid)
	}
	key := broker.MarkerKey{Kind: c.Kind, ID: c.Subject}
	m, err := r.change(ctx, key, func(now broker.Marker) (broker.Marker, error) {
		switch {
		case now.Revoked && now.Epoch == c.Epoch && now.Revocation == c.ID:
			return r.marker(key, now.Epoch+1, false, l.ID, l.By, l.Reason), nil
		case !now.Revoked && now.Epoch == c.Epoch+1:
			return now, nil
		}
		return now, fmt.Errorf("%w: another decision was made since", broker.ErrConflict)
	})
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("lift: %w", err)
	}
	return r.acknowledge(ctx, m, m.Revocation != l.ID), nil
}

func (r *Revoker) marker(k broker.MarkerKey, epoch int64, revoked bool, id, by, reason string) broker.Marker {
	return broker.Marker{Environment: r.Environment, Kind: k.Kind, ID: k.ID, Epoch: epoch, Revoked: revoked, At: r.Now().UTC(),
		By: by, Reason: reason, Revocation: id}
}

// change brings a marker to where next wants it. It always ends with a write that
// succeeded, of what is there already too: whoever wrote it may have died before
// all copies of it were made.
func (r *Revoker) change(ctx context.Context, k broker.MarkerKey, next func(now broker.Marker) (broker.Marker, error)) (broker.Marker, error) {
	var last error
	for range tries {
		found, err := r.Reader.Markers(ctx, r.Environment, []broker.MarkerKey{k})
		if err == nil {
			var now broker.Marker // of epoch 0: it never was
			if len(found) > 0 {
				now = found[0]
			}
			m, refused := next(now)
			if refused != nil {
				return m, refused
			}
			if err = r.Markers.PutMarker(ctx, m); err == nil {
				return m, nil
			}
		}
		if !errors.Is(err, broker.ErrConflict) && !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
			return broker.Marker{}, err
		}
		last = err
	}
	if errors.Is(last, broker.ErrConflict) { // somebody else was always first: there is nothing that the caller has seen wrong
		return broker.Marker{}, fmt.Errorf("%w: the marker keeps changing", broker.ErrUnavailable)
	}
	return broker.Marker{}, last
}

// acknowledge has the marker's case and record made, and says how it stands.
func (r *Revoker) acknowledge(ctx context.Context, m broker.Marker, already bool) Acknowledgement {
	c := CaseOf(m)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	kept := r.keep(ctx, c)
	a := r.told(ctx, c, already)
	a.Unrecorded = errors.Join(kept, a.Unrecorded)
	a.Recorded = a.Unrecorded == nil
	return a
}

// keep stores the case. One that cannot be added because it is there has been
// worked on since.
func (r *Revoker) keep(ctx context.Context, c broker.Revocation) (err error) {
	for range tries {
		err = r.Cases.AddRevocation(ctx, c)
		if errors.Is(err, broker.ErrConflict) {
			return nil
		}
		if err == nil || !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// told has the case recorded, and says how it stands.
func (r *Revoker) told(ctx context.Context, c broker.Revocation, already bool) Acknowledgement {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	err := Tell(ctx, r.Journal, c)
	return Acknowledgement{Case: c.ID, Kind: c.Kind, Subject: c.Subject, Revoked: !c.Lifts, Epoch: c.Epoch, At: c.At,
		Already: already, Recorded: err == nil, Unrecorded: err}
}
