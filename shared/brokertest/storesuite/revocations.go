package storesuite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testRevocations(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a case comes back":                   testCaseWhole,
		"cases that nobody could read are refused":           testCaseRefused,
		"a case replaces its own version and no other":       testCaseVersions,
		"of sixteen writers of a case exactly one wins":      testCaseRace,
		"a case whose answer was lost is recognised":         testCaseLost,
		"open cases are found, oldest first":                 testCasesOpen,
		"cases are listed newest first, page by page":        testCasesListed,
		"a case is one of its own environment":               testCaseApart,
		"cases cannot be read or listed when storage is out": testCasesUnavailable,
	})
}

// caseID is the id of the n-th case.
func caseID(n int) string {
	return broker.FirstReceipt(leaked.Add(time.Duration(n)*time.Second)) + fmt.Sprintf("%016d", n)
}

func openCase(environment string, n int) broker.Revocation {
	return broker.Revocation{Environment: environment, ID: caseID(n), Kind: broker.PrincipalMarker, Subject: alice, Epoch: 1,
		By: "p-admin", Via: broker.ViaAdmin, Reason: "left <the company>", At: leaked, Work: broker.WorkOpen}
}

func fullCase(environment string, n int) broker.Revocation {
	r := openCase(environment, n)
	r.Kind, r.Subject, r.Epoch, r.Lifts, r.Via = broker.ReferenceMarker, "aws-sm:prod/github", 7, true, broker.ViaEvent
	r.Work, r.NextTry, r.Tries, r.Done = broker.WorkDone, leaked.Add(time.Minute), 3, leaked.Add(time.Hour)
	r.Sessions, r.Grants, r.Values = broker.Tally{Found: 3, Ended: 1, GivenUp: 1}, broker.Tally{Found: 5, Ended: 5}, broker.Tally{Found: 1, Ended: 1}
	r.Accepted, r.Unknown, r.Counted = leaked.Add(2*time.Hour), []string{"tokens that <a provider> issued"}, []string{text(1), text(2)}
	r.Counted = []string{"é1", "2"}
	for i := range broker.MaxUnreached {
		r.Unreached = append(r.Unreached, broker.Unreached{What: "session", ID: text(i), Server: "github", Provider: "acme", Fault: "unreachable",
			Until: leaked.Add(time.Duration(i) * time.Minute), GivenUp: i%2 == 0})
	}
	r.Unreached[1].Until = time.Time{}
	return r
}

func (b *bench) caseOf(n int) broker.Revocation {
	b.Helper()
	r, err := b.Cases.Revocation(b.Context(), b.environment, caseID(n))
	b.must(err)
	return r
}

func testCaseWhole(b *bench) {
	for n, want := range []broker.Revocation{openCase(b.environment, 0), fullCase(b.environment, 1)} {
		b.must(b.Cases.AddRevocation(b.Context(), want))
		b.must(b.Cases.AddRevocation(b.Context(), want)) // repeated
		want.Version = 1
		if d := cmp.Diff(want, b.caseOf(n), compare); d != "" {
			b.Fatal(d)
		}
	}
	_, err := b.Cases.Revocation(b.Context(), b.environment, caseID(2))
	b.wants(err, broker.ErrNotFound)
}

func testCaseRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Revocation){
		"no environment":               func(r *broker.Revocation) { r.Environment = "" },
		"an id that is no receipt":     func(r *broker.Revocation) { r.ID = "first" },
		"a kind that is not known":     func(r *broker.Revocation) { r.Kind = "planet" },
		"a change":                     func(r *broker.Revocation) { r.Kind, r.Subject = broker.ChangeMarker, "aws-sm:prod/github" },
		"no subject":                   func(r *broker.Revocation) { r.Subject = "" },
		"no epoch":                     func(r *broker.Revocation) { r.Epoch = 0 },
		"an unknown way":               func(r *broker.Revocation) { r.Via = "mail" },
		"no time":                      func(r *broker.Revocation) { r.At = time.Time{} },
		"a reason of no text":          func(r *broker.Revocation) { r.Reason = "\xff" },
		"work of no state":             func(r *broker.Revocation) { r.Work = "" },
		"work that is done at no time": func(r *broker.Revocation) { r.Work = broker.WorkDone },
		"open work that is done":       func(r *broker.Revocation) { r.Done = leaked },
		"a negative tally":             func(r *broker.Revocation) { r.Grants.Ended = -1 },
		"too many counted things":      func(r *broker.Revocation) { r.Counted = make([]string, broker.MaxUnreached+1) },
		"too many unreached things":    func(r *broker.Revocation) { r.Unreached = make([]broker.Unreached, broker.MaxUnreached+1) },
		"an unreached thing too long": func(r *broker.Revocation) {
			r.Unreached = []broker.Unreached{{ID: strings.Repeat("a", 2000), Server: strings.Repeat("a", 2000)}}
		},
		"a version, as of one that is there": func(r *broker.Revocation) { r.Version = 1 },
	} {
		r := openCase(b.environment, 1)
		spoil(&r)
		if err := b.Cases.AddRevocation(b.Context(), r); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	b.wants(b.Cases.PutRevocation(b.Context(), openCase(b.environment, 1)), broker.ErrInvalid)
	for _, bad := range []string{"", "a/b", "\xff"} {
		_, err := b.Cases.Revocation(b.Context(), b.environment, bad)
		b.wants(err, broker.ErrInvalid)
		_, err = b.Cases.RevocationsOf(b.Context(), bad, "", 1)
		b.wants(err, broker.ErrInvalid)
	}
	for _, limit := range []int{0, broker.MaxPage + 1} {
		_, err := b.Cases.OpenRevocations(b.Context(), b.environment, limit)
		b.wants(err, broker.ErrInvalid)
	}
	if all := b.cases("", 1); len(all) != 0 {
		b.Fatalf("stored: %+v", all)
	}
}

func testCaseVersions(b *bench) {
	r := openCase(b.environment, 1)
	early := r
	early.Version = 1
	b.wants(b.Cases.PutRevocation(b.Context(), early), broker.ErrConflict)
	b.must(b.Cases.AddRevocation(b.Context(), r))
	other := r
	other.Reason = "another"
	b.wants(b.Cases.AddRevocation(b.Context(), other), broker.ErrConflict)
	r.Version, r.Tries = 1, 1
	b.must(b.Cases.PutRevocation(b.Context(), r))
	b.must(b.Cases.PutRevocation(b.Context(), r)) // repeated
	r.Tries = 2
	b.wants(b.Cases.PutRevocation(b.Context(), r), broker.ErrConflict)
	b.wants(b.Cases.AddRevocation(b.Context(), openCase(b.environment, 1)), broker.ErrConflict)
	if got := b.caseOf(1); got.Version != 2 || got.Tries != 1 {
		b.Fatalf("stored: %+v", got)
	}
}

func testCaseRace(b *bench) {
	b.must(b.Cases.AddRevocation(b.Context(), openCase(b.environment, 1)))
	errs := race(racers, func(i int) error {
		r := openCase(b.environment, 1)
		r.Version, r.Reason = 1, text(i)
		return b.persist(func() error { return b.Cases.PutRevocation(b.Context(), r) })
	})
	winners := 0
	for i, err := range errs {
		switch {
		case err == nil:
			winners++
			if got := b.caseOf(1); got.Reason != text(i) || got.Version != 2 {
				b.Fatalf("writer %d was told it won, and %+v is stored", i, got)
			}
		case !errors.Is(err, broker.ErrConflict):
			b.Fatal(err)
		}
	}
	if winners != 1 {
		b.Fatalf("%d winners", winners)
	}
}

func testCaseLost(b *bench) {
	r := openCase(b.environment, 1)
	for _, losses := range []int{1, 3} {
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			if r.Version == 0 {
				return b.Cases.AddRevocation(b.Context(), r)
			}
			return b.Cases.PutRevocation(b.Context(), r)
		}))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		r.Version, r.Tries = r.Version+1, r.Tries+1
	}
	if got := b.caseOf(1); got.Version != 2 || got.Tries != 1 {
		b.Fatalf("stored: %+v", got)
	}
}

func (b *bench) cases(after string, limit int) (ids []string) {
	b.Helper()
	found, err := b.Cases.RevocationsOf(b.Context(), b.environment, after, limit)
	b.must(err)
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return ids
}

func (b *bench) open(limit int) (ids []string) {
	b.Helper()
	found, err := b.Cases.OpenRevocations(b.Context(), b.environment, limit)
	b.must(err)
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return ids
}

func testCasesOpen(b *bench) {
	for _, n := range []int{3, 1, 2, 4} {
		b.must(b.Cases.AddRevocation(b.Context(), openCase(b.environment, n)))
	}
	b.must(b.Cases.AddRevocation(b.Context(), fullCase(b.environment, 0)))
	b.must(b.Cases.AddRevocation(b.Context(), openCase(b.other, 9)))
	if got, want := b.open(broker.MaxPage), []string{caseID(1), caseID(2), caseID(3), caseID(4)}; !slices.Equal(got, want) {
		b.Fatalf("open: %v", got)
	}
	if got, want := b.open(2), []string{caseID(1), caseID(2)}; !slices.Equal(got, want) {
		b.Fatalf("the two oldest: %v", got)
	}
	done := openCase(b.environment, 2)
	done.Version, done.Work, done.Done = 1, broker.WorkDone, leaked
	b.must(b.Cases.PutRevocation(b.Context(), done))
	if got, want := b.open(2), []string{caseID(1), caseID(3)}; !slices.Equal(got, want) {
		b.Fatalf("with one done: %v", got)
	}
	again := openCase(b.environment, 2)
	again.Version = 2
	b.must(b.Cases.PutRevocation(b.Context(), again))
	if got, want := b.open(2), []string{caseID(1), caseID(2)}; !slices.Equal(got, want) {
		b.Fatalf("opened again: %v", got)
	}
}

func testCasesListed(b *bench) {
	var want []string
	for n := range 7 {
		b.must(b.Cases.AddRevocation(b.Context(), openCase(b.environment, n)))
		want = append([]string{caseID(n)}, want...)
	}
	var got []string
	for after := ""; ; {
		page := b.cases(after, 3)
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
		after = page[2]
	}
	if !slices.Equal(got, want) {
		b.Fatalf("listed %v", got)
	}
	if last := b.cases(caseID(0), 3); len(last) != 0 {
		b.Fatalf("older than the oldest: %v", last)
	}
	between := caseID(3)[:25] + "Z" // later than the third, and there is no such case
	if got, want := b.cases(between, 1), []string{caseID(3)}; !slices.Equal(got, want) {
		b.Fatalf("after one that is not there: %v", got)
	}
}

func testCaseApart(b *bench) {
	b.must(b.Cases.AddRevocation(b.Context(), openCase(b.other, 1)))
	_, err := b.Cases.Revocation(b.Context(), b.environment, caseID(1))
	b.wants(err, broker.ErrNotFound)
	if all := append(b.cases("", 5), b.open(5)...); len(all) != 0 {
		b.Fatalf("cases of another environment are listed: %v", all)
	}
}

func testCasesUnavailable(b *bench) {
	heal := b.Fail()
	defer heal()
	_, one := b.Cases.Revocation(b.Context(), b.environment, caseID(1))
	_, open := b.Cases.OpenRevocations(b.Context(), b.environment, 1)
	_, all := b.Cases.RevocationsOf(b.Context(), b.environment, "", 1)
	for _, err := range []error{one, open, all, b.Cases.AddRevocation(b.Context(), openCase(b.environment, 1))} {
		b.wants(err, broker.ErrUnavailable)
	}
}

func testCasesUndecodable(b *bench) {
	var want []string
	for i := range 9 {
		r := openCase(b.environment, i+1)
		b.must(b.Cases.AddRevocation(b.Context(), r))
		if spoiltAmong(i) {
			b.Spoil(b.environment, r)
			continue
		}
		want = append(want, r.ID)
	}
	holds(b, want, 4, func(r broker.Revocation) string { return r.ID }, func(after string, limit int) ([]broker.Revocation, string, error) {
		rows, err := b.Cases.RevocationsOf(b.Context(), b.environment, after, limit)
		if len(rows) < limit { // a page that is full may be followed by another
			return rows, "", err
		}
		return rows, rows[limit-1].ID, err
	})
	open, err := b.Cases.OpenRevocations(b.Context(), b.environment, broker.MaxPage)
	if len(open) != len(want) || broker.Unread(err) != 4 {
		b.Fatalf("%d open cases: %v", len(open), err)
	}
}
