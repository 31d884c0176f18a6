package storesuite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func (b *bench) dueRuns(environment string, at time.Time, limit int) []string {
	b.Helper()
	runs, err := b.Rotations.DueRotations(b.Context(), environment, at, limit)
	b.must(err)
	ids := []string{}
	for _, r := range runs {
		if len(r.Kept) == 0 {
			b.Fatal("what is kept is missing")
		}
		ids = append(ids, r.ID)
	}
	return ids
}

func testRotationDue(b *bench) {
	noon := b.clock.Now()
	for i, minutes := range []int{30, 10, 20, 40} {
		r := b.run(fmt.Sprintf("binding/github/card-%d", i), fmt.Sprintf("01%d", i))
		r.Plan, r.Next = "", noon.Add(time.Duration(minutes)*time.Minute)
		r = b.beginsRun(r)
		if i == 3 {
			b.ends(r)
		}
	}
	for minutes, want := range map[int][]string{9: {}, 10: {"011"}, 29: {"011", "012"}, 60: {"011", "012", "010"}} {
		got := b.dueRuns(b.environment, noon.Add(time.Duration(minutes)*time.Minute), 10)
		if d := cmp.Diff(want, got); d != "" {
			b.Fatalf("after %d minutes: %s", minutes, d)
		}
	}
	later := noon.Add(time.Hour)
	if got := b.dueRuns(b.environment, later, 1); !slices.Equal(got, []string{"011"}) {
		b.Fatalf("the longest due is %v", got)
	}
	if got := b.dueRuns(b.other, later, 10); len(got) != 0 {
		b.Fatalf("elsewhere %v are due", got)
	}
	first, err := b.Rotations.Rotation(b.Context(), b.environment, "binding/github/card-1")
	b.must(err)
	first.Next = noon.Add(2 * time.Hour)
	b.must(b.Rotations.PutRotation(b.Context(), first))
	if got := b.dueRuns(b.environment, later, 10); !slices.Equal(got, []string{"012", "010"}) {
		b.Fatalf("due are %v, one of them was put off", got)
	}
}

func (b *bench) runsOf(subject, after string, limit int) (ids []string, next string) {
	b.Helper()
	runs, next, err := b.Rotations.RotationsOf(b.Context(), b.environment, subject, after, limit)
	b.must(err)
	for _, r := range runs {
		if r.Kept != nil {
			b.Fatal("a list shows what is kept")
		}
		ids = append(ids, r.ID)
	}
	return ids, next
}

func testRotationLists(b *bench) {
	before := map[string]string{}
	var want, ofOne []string
	for i := range 7 {
		of := []string{subject, "reference/aws-sm:prod/github"}[i%2]
		r := b.run(of, fmt.Sprintf("01%d", i))
		r.Previous = before[of]
		r = b.ends(b.beginsRun(r))
		before[of] = r.ID
		want = append([]string{r.ID}, want...)
		if of == subject {
			ofOne = append([]string{r.ID}, ofOne...)
		}
	}
	for of, want := range map[string][]string{"": want, subject: ofOne} {
		for limit := 1; limit <= 8; limit++ {
			var got []string
			for after := ""; ; {
				some, next := b.runsOf(of, after, limit)
				if got = append(got, some...); next == "" {
					break
				}
				after = next
			}
			if d := cmp.Diff(want, got); d != "" {
				b.Fatalf("%d at a time: %s", limit, d)
			}
		}
	}
	if got, next := b.runsOf("binding/github/dev", "", 5); len(got) != 0 || next != "" {
		b.Fatalf("of a card without runs: %v, %q", got, next)
	}
}

func testRotationApart(b *bench) {
	mine := b.beginsRun(b.run(subject, "01A"))
	other := b.run(subject, "01A")
	other.Environment = b.other
	other.Reason = ""
	other = b.beginsRun(other)
	b.latestIs(mine)
	b.latestIs(other)
	next := b.run("reference/aws-sm:prod/github", "01A")
	b.latestIs(b.beginsRun(next))
	b.latestIs(mine)
}

func testRotationRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Rotation){
		"no environment":              func(r *broker.Rotation) { r.Environment = "" },
		"no subject":                  func(r *broker.Rotation) { r.Subject = "" },
		"another kind of subject":     func(r *broker.Rotation) { r.Subject = "server/github" },
		"a member for subject":        func(r *broker.Rotation) { r.Subject = "reference/aws-sm:prod/github#token" },
		"a card with a plan":          func(r *broker.Rotation) { r.Subject = "binding/github/dev" },
		"a reference without a plan":  func(r *broker.Rotation) { r.Plan = "" },
		"no id":                       func(r *broker.Rotation) { r.ID = "" },
		"an unknown step":             func(r *broker.Rotation) { r.Step = "done" },
		"a step that nobody goes on":  func(r *broker.Rotation) { r.Next = time.Time{} },
		"an end that is to go on":     func(r *broker.Rotation) { r.Step = broker.RotationOver },
		"no time":                     func(r *broker.Rotation) { r.Moved = time.Time{} },
		"a lease of nobody":           func(r *broker.Rotation) { r.Holder = "" },
		"a lease for ever":            func(r *broker.Rotation) { r.HeldUntil = time.Time{} },
		"too much to keep":            func(r *broker.Rotation) { r.Kept = make([]byte, 64<<10+1) },
		"a field without reference":   func(r *broker.Rotation) { r.Fields = []broker.Field{{Name: "token"}} },
		"text that is none":           func(r *broker.Rotation) { r.By = "\xff" },
		"a text that is far too long": func(r *broker.Rotation) { r.To = strings.Repeat("x", 1<<20) },
		"a version at the beginning":  func(r *broker.Rotation) { r.Version = 1 },
	} {
		r := b.run(subject, "01A")
		spoil(&r)
		if err := b.Rotations.BeginRotation(b.Context(), r); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	if all, _ := b.runsOf("", "", 5); len(all) != 0 {
		b.Fatalf("stored: %v", all)
	}
}

func testRotationUnavailable(b *bench) {
	r := b.beginsRun(b.run(subject, "01A"))
	heal := b.Fail()
	got, err := b.Rotations.Rotation(b.Context(), b.environment, subject)
	b.wants(err, broker.ErrUnavailable)
	_, unread := b.Rotations.RotationRun(b.Context(), b.environment, r.ID)
	b.wants(unread, broker.ErrUnavailable)
	due, err := b.Rotations.DueRotations(b.Context(), b.environment, b.clock.Now().Add(time.Hour), 5)
	b.wants(err, broker.ErrUnavailable)
	all, _, err := b.Rotations.RotationsOf(b.Context(), b.environment, "", "", 5)
	b.wants(err, broker.ErrUnavailable)
	b.wants(b.Rotations.PutRotation(b.Context(), r), broker.ErrUnavailable)
	heal()
	if got.ID != "" || due != nil || all != nil {
		b.Fatalf("beside the error: %+v, %v, %v", got, due, all)
	}
	b.latestIs(r)
}
