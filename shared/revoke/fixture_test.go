package revoke_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const alice = "p-aliceaaaaaaaaaaaaaaaaaaaaa"

// id is the receipt of the n-th request.
func id(n int) string { return broker.FirstReceipt(noon) + fmt.Sprintf("%016d", n) }

func order(n int) revoke.Order {
	return revoke.Order{ID: id(n), Kind: broker.PrincipalMarker, Subject: alice, By: "p-admin", Reason: "left the company"}
}

func lifting(n, of int) revoke.Lifting {
	return revoke.Lifting{ID: id(n), Case: id(of), By: "p-root", Reason: "came back"}
}

type fixture struct {
	*testing.T
	tables *memory.DB
	*revoke.Revoker
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	tables := memory.New(func() time.Time { return noon })
	return &fixture{t, tables, revoker(tables, tables, tables, tables)}
}

func revoker(m broker.Markers, r broker.MarkerReader, c broker.Revocations, log broker.AuditLog) *revoke.Revoker {
	return &revoke.Revoker{Environment: "prod", Markers: m, Reader: r, Cases: c, Journal: broker.NewJournal(log, rand.Text), Now: func() time.Time { return noon }}
}

func (f *fixture) must(a revoke.Acknowledgement, err error) revoke.Acknowledgement {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
	return a
}

// marker is what decisions see.
func (f *fixture) marker() broker.Marker {
	f.Helper()
	found, err := f.tables.Markers(f.Context(), "prod", []broker.MarkerKey{{Kind: broker.PrincipalMarker, ID: alice}})
	if err != nil {
		f.Fatal(err)
	}
	if len(found) == 0 {
		return broker.Marker{}
	}
	return found[0]
}

// cases are all that there are, newest first.
func (f *fixture) cases() []broker.Revocation {
	f.Helper()
	found, err := f.tables.RevocationsOf(f.Context(), "prod", "", broker.MaxPage)
	if err != nil {
		f.Fatal(err)
	}
	return found
}

// settled holds that marker, cases and records say the same: so many decisions
// were made, each has its case and its record, and the last one is what stands.
func (f *fixture) settled(epochs int64, revoked bool) {
	f.Helper()
	m, cases := f.marker(), f.cases()
	if m.Epoch != epochs || m.Revoked != revoked || int64(len(cases)) != epochs {
		f.Errorf("the marker stands at %d, revoked %t, with %d cases", m.Epoch, m.Revoked, len(cases))
	}
	last := false
	for _, c := range cases {
		last = last || c.ID == m.Revocation && c.Epoch == m.Epoch && c.Lifts != m.Revoked
		records := f.tables.Records(broker.ReceiptOf(c.At, "fact", "prod", c.ID))
		if len(records) != 1 || records[0].Method != "revocation.acknowledged" && !c.Lifts || records[0].Method != "revocation.lifted" && c.Lifts {
			f.Errorf("case %s of epoch %d is recorded as %+v", c.ID, c.Epoch, records)
		}
	}
	if !last {
		f.Errorf("the marker %+v is no case's", m)
	}
}

var errDied = errors.New("the process died")

// dying is storage as a process sees it that dies at a step: before it, or after
// the step was applied.
type dying struct {
	*memory.DB
	left    int
	applied bool
}

func (d *dying) step(do func() error) error {
	d.left--
	switch {
	case d.left > 0:
		return do()
	case d.left == 0 && d.applied:
		return errors.Join(errDied, do())
	}
	return errDied
}

func (d *dying) PutMarker(ctx context.Context, m broker.Marker) error {
	return d.step(func() error { return d.DB.PutMarker(ctx, m) })
}

func (d *dying) Markers(ctx context.Context, environment string, keys []broker.MarkerKey) (found []broker.Marker, err error) {
	return found, d.step(func() error {
		found, err = d.DB.Markers(ctx, environment, keys)
		return err
	})
}

func (d *dying) Revocation(ctx context.Context, environment, id string) (found broker.Revocation, err error) {
	return found, d.step(func() error {
		found, err = d.DB.Revocation(ctx, environment, id)
		return err
	})
}

func (d *dying) AddRevocation(ctx context.Context, r broker.Revocation) error {
	return d.step(func() error { return d.DB.AddRevocation(ctx, r) })
}

func (d *dying) Append(ctx context.Context, r broker.Record) error {
	return d.step(func() error { return d.DB.Append(ctx, r) })
}
