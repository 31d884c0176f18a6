package storesuite

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testRuns(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a run comes back":                       testRotationWhole,
		"of each subject at most one run has not ended":         testRotationBegins,
		"of sixteen beginnings after the same run one counts":   testRotationBeginRace,
		"a run is replaced only by whoever knows its version":   testRotationVersions,
		"of sixteen steps of one version exactly one is stored": testRotationRace,
		"an applied step whose answer was lost is stored":       testRotationLost,
		"due are those whose time has come, longest due first":  testRotationDue,
		"runs are listed newest first, a page after the other":  testRotationLists,
		"runs of other environments are nobody's":               testRotationApart,
		"runs that no backend may keep are refused":             testRotationRefused,
		"a backend that cannot be asked gives no run":           testRotationUnavailable,
	})
}

// run has every field set.
func (b *bench) run(subject, id string) broker.Rotation {
	at := b.clock.Now()
	return broker.Rotation{Environment: b.environment, Subject: subject, ID: id, Plan: "github", By: alice, Step: broker.RotationOrdered,
		Begun: at.Add(-time.Nanosecond), Moved: at, Holder: "holder-1", HeldUntil: at.Add(time.Minute), Next: at.Add(time.Hour), Until: at.Add(time.Hour), Tries: 2,
		From: "v-1", To: "v-2", Kept: []byte("\x00sealed\xff"), Reason: broker.ProviderUnavail,
		Fields: []broker.Field{{Name: "token", Reference: reference("aws-sm:prod/github#token")}},
		Before: []broker.Field{{Name: "token", Reference: reference("vault:secret/github#a/b")}}}
}

const subject = "reference/aws-sm:arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github-AbCdEf"

func (b *bench) beginsRun(r broker.Rotation) broker.Rotation {
	b.Helper()
	b.must(b.Rotations.BeginRotation(b.Context(), r))
	r.Version = 1
	return r
}

func (b *bench) ends(r broker.Rotation) broker.Rotation {
	b.Helper()
	r.Step, r.Next = broker.RotationOver, time.Time{}
	b.must(b.Rotations.PutRotation(b.Context(), r))
	r.Version++
	return r
}

func (b *bench) latestIs(want broker.Rotation) {
	b.Helper()
	got, err := b.Rotations.Rotation(b.Context(), want.Environment, want.Subject)
	b.must(err)
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
}

func testRotationWhole(b *bench) {
	first := b.ends(b.beginsRun(b.run(subject, "01A")))
	full := b.run(subject, "01B")
	full.Previous = first.ID
	full = b.beginsRun(full)
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			b.Fatalf("the full run leaves %s out", v.Type().Field(i).Name)
		}
	}
	b.latestIs(full)
	listed := full
	listed.Kept = nil
	got, err := b.Rotations.RotationRun(b.Context(), b.environment, full.ID)
	b.must(err)
	if d := cmp.Diff(listed, got, compare); d != "" {
		b.Fatal(d)
	}
	least := broker.Rotation{Environment: b.environment, Subject: "binding/github/dev", ID: "01C", Step: broker.RotationOrdered,
		Begun: full.Begun, Moved: full.Moved, Next: full.Next}
	b.latestIs(b.beginsRun(least))
	_, err = b.Rotations.Rotation(b.Context(), b.environment, "binding/github/none")
	b.wants(err, broker.ErrNotFound)
	_, err = b.Rotations.RotationRun(b.Context(), b.environment, "01Z")
	b.wants(err, broker.ErrNotFound)
}

func testRotationBegins(b *bench) {
	first := b.run(subject, "01A")
	orphan := first
	orphan.Previous = "01-none"
	b.wants(b.Rotations.BeginRotation(b.Context(), orphan), broker.ErrConflict)
	first = b.beginsRun(first)
	b.must(b.Rotations.BeginRotation(b.Context(), b.run(subject, "01A"))) // the very same again
	b.latestIs(first)
	second := b.run(subject, "01B")
	b.wants(b.Rotations.BeginRotation(b.Context(), second), broker.ErrConflict)
	second.Previous = "01A"
	b.wants(b.Rotations.BeginRotation(b.Context(), second), broker.ErrConflict) // the first has not ended
	first = b.ends(first)
	other := b.run(subject, "01C")
	b.wants(b.Rotations.BeginRotation(b.Context(), other), broker.ErrConflict) // it knows of none before
	b.latestIs(first)
	second = b.beginsRun(second)
	b.latestIs(second)
	other.Previous = "01A"
	second = b.ends(second)
	b.wants(b.Rotations.BeginRotation(b.Context(), other), broker.ErrConflict) // there has been one since
	b.latestIs(second)
	b.wants(b.Rotations.PutRotation(b.Context(), first), broker.ErrConflict)
}

func testRotationBeginRace(b *bench) {
	before := ""
	for round := range 2 {
		errs := race(racers, func(i int) error {
			r := b.run(subject, fmt.Sprintf("01-%d-%02d", round, i))
			r.Previous = before
			return b.persist(func() error { return b.Rotations.BeginRotation(b.Context(), r) })
		})
		before = fmt.Sprintf("01-%d-%02d", round, onlyOne(b, errs))
		latest, err := b.Rotations.Rotation(b.Context(), b.environment, subject)
		b.must(err)
		if latest.ID != before {
			b.Fatalf("the latest is %s, want %s", latest.ID, before)
		}
		b.ends(latest)
	}
}

// onlyOne gives the only one that won.
func onlyOne(b *bench, errs []error) int {
	b.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			b.Fatalf("%d and %d both won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, broker.ErrConflict):
			b.Fatal(err)
		}
	}
	if winner < 0 {
		b.Fatal("nobody won")
	}
	return winner
}

func testRotationVersions(b *bench) {
	r := b.beginsRun(b.run(subject, "01A"))
	next := r
	next.Step, next.To, next.Kept = broker.RotationMade, "v-3", nil
	for name, spoil := range map[string]func(*broker.Rotation){
		"an older version": func(r *broker.Rotation) { r.Version = 0 },
		"a later version":  func(r *broker.Rotation) { r.Version = 2 },
		"another run":      func(r *broker.Rotation) { r.ID = "01B" },
		"another subject":  func(r *broker.Rotation) { r.Subject = "reference/aws-sm:prod/x" },
	} {
		other := next
		spoil(&other)
		if err := b.Rotations.PutRotation(b.Context(), other); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	b.latestIs(r)
	for range 2 {
		b.must(b.Rotations.PutRotation(b.Context(), next))
	}
	next.Version = 2
	b.latestIs(next)
	next = b.ends(next)
	again := next
	again.Step, again.Next = broker.RotationUndoing, b.clock.Now()
	b.wants(b.Rotations.PutRotation(b.Context(), again), broker.ErrConflict)
	b.latestIs(next)
}

func testRotationRace(b *bench) {
	r := b.beginsRun(b.run(subject, "01A"))
	errs := race(racers, func(i int) error {
		next := r
		next.Holder = text(i)
		return b.persist(func() error { return b.Rotations.PutRotation(b.Context(), next) })
	})
	r.Holder, r.Version = text(onlyOne(b, errs)), 2
	b.latestIs(r)
}

func testRotationLost(b *bench) {
	left := b.LoseAnswers(1)
	r := b.run(subject, "01A")
	b.must(b.persist(func() error { return b.Rotations.BeginRotation(b.Context(), r) }))
	r.Version = 1
	b.latestIs(r)
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	left = b.LoseAnswers(1)
	next := r
	next.Step = broker.RotationMade
	b.must(b.persist(func() error { return b.Rotations.PutRotation(b.Context(), next) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	next.Version = 2
	b.latestIs(next)
}
