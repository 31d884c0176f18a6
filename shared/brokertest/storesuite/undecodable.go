package storesuite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testUndecodable(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a person's grants are given without it, and it is counted once":    testGrantsUndecodable,
		"a person's sessions are given without it, and it is counted once":  testSessionsUndecodable,
		"audit entries are given without it, and it is counted once":        testEntriesUndecodable,
		"an outcome that does not decode leaves its intent, and is counted": testOutcomeUndecodable,
		"an intent that does not decode takes nothing from its outcome":     testIntentUndecodable,
		"who was seen is given without it, and it is counted once":          testSeenUndecodable,
		"usages and versions are given without it, and none is made up":     testUseUndecodable,
		"a sealed value that does not decode is no other's, and no absence": testSealedUndecodable,
		"cases are given without it, the open ones too, and it is counted":  testCasesUndecodable,
		"incidents are given without it, and it is counted once":            testIncidentsUndecodable,
		"a page on which nothing decodes says so, and leads on":             testPageUndecodable,
		"a grant that does not decode is no absence, and nobody changes it": testGrantUndecodable,
	})
}

// paged reads a list to its end, on pages of so many, and counts what was passed
// over. Nothing may be on two pages.
func paged[V any](b *bench, limit int, page func(after string, limit int) ([]V, string, error)) (found []V, passed int) {
	b.Helper()
	for after, pages := "", 0; ; pages++ {
		some, next, err := page(after, limit)
		if rows := broker.Unread(err); rows > 0 {
			b.wants(err, broker.ErrUndecodable)
			passed, err = passed+rows, nil
		}
		b.must(err)
		if len(some) > limit || pages > 1000 {
			b.Fatalf("%d rows on page %d of %d", len(some), pages, limit)
		}
		found = append(found, some...)
		if after = next; next == "" {
			return found, passed
		}
	}
}

// holds reads a list on pages of several sizes.
func holds[V any](b *bench, want []string, passed int, name func(V) string, page func(after string, limit int) ([]V, string, error)) {
	b.Helper()
	slices.Sort(want)
	for _, limit := range []int{1, 2, 3, 7, broker.MaxPage} {
		found, rows := paged(b, limit, page)
		var got []string
		for _, v := range found {
			got = append(got, name(v))
		}
		slices.Sort(got)
		if d := gocmp.Diff(want, got); d != "" || rows != passed {
			b.Fatalf("on pages of %d: %d passed over, want %d\n%s", limit, rows, passed, d)
		}
	}
}

// spoiltAmong are the places of rows in a list of nine: its ends, its middle, and
// two in a row.
func spoiltAmong(i int) bool { return slices.Contains([]int{0, 3, 4, 8}, i) }

func (b *bench) grantsOf(after string, limit int) ([]broker.Grant, string, error) {
	return b.Grants.GrantsOf(b.Context(), b.environment, b.grantKey().Principal, after, limit)
}

func testGrantsUndecodable(b *bench) {
	var want []string
	for i := range 9 {
		g := b.newGrant(0, "1")
		g.Server = fmt.Sprint("s", i)
		b.must(b.Grants.BeginGrant(b.Context(), g, b.consent("")))
		if spoiltAmong(i) {
			b.Spoil(b.environment, g.GrantKey)
			continue
		}
		want = append(want, g.Server)
	}
	holds(b, want, 4, func(g broker.Grant) string { return g.Server }, b.grantsOf)
	all, passed := paged(b, broker.MaxPage, func(after string, limit int) ([]broker.Grant, string, error) {
		return b.Scanner.ScanGrants(b.Context(), b.environment, after, limit)
	})
	if len(all) != 5 || passed != 4 {
		b.Fatalf("a scan gives %d and passes over %d", len(all), passed)
	}
}

func testIncidentsUndecodable(b *bench) {
	var want []string
	for i := range 9 {
		v := fullIncident(b.environment, fmt.Sprint("i", i))
		b.must(b.Incidents.PutIncident(b.Context(), v))
		if spoiltAmong(i) {
			b.Spoil(b.environment, v)
			_, err := b.Incidents.Incident(b.Context(), b.environment, v.ID)
			b.wants(err, broker.ErrUndecodable)
			continue
		}
		want = append(want, v.ID)
	}
	holds(b, want, 4, func(v broker.Incident) string { return v.ID }, func(after string, limit int) ([]broker.Incident, string, error) {
		rows, err := b.Incidents.Incidents(b.Context(), b.environment, broker.Page{After: after, Limit: limit})
		if len(rows) < limit { // a page that is full may be followed by another
			return rows, "", err
		}
		return rows, rows[limit-1].ID, err
	})
}

func testPageUndecodable(b *bench) {
	for i := range 3 {
		g := b.newGrant(0, "1")
		g.Server = fmt.Sprint("s", i)
		b.must(b.Grants.BeginGrant(b.Context(), g, b.consent("")))
		b.Spoil(b.environment, g.GrantKey)
	}
	holds(b, nil, 3, func(g broker.Grant) string { return g.Server }, b.grantsOf)
}

func testGrantUndecodable(b *bench) {
	g := b.begin(0, "1")
	b.Spoil(b.environment, g.GrantKey)
	_, err := b.Grants.Grant(b.Context(), g.GrantKey)
	b.wants(err, broker.ErrUndecodable)
	_, err = b.Grants.EndGrant(b.Context(), g.GrantKey, broker.Revoked, b.clock.Now())
	b.wants(err, broker.ErrUndecodable)
	_, err = b.Grants.LeaseGrant(b.Context(), g, "h-1", b.clock.Now(), b.clock.Now().Add(time.Minute))
	b.wants(err, broker.ErrUndecodable)
}

func testSessionsUndecodable(b *bench) {
	var want, all []string
	for i := range 9 {
		all = append(all, b.session("p-alice", text(i)).Digest)
	}
	slices.Sort(all)
	for i := range 9 {
		v := b.session("p-alice", text(i))
		b.must(b.Sessions.AddSession(b.Context(), v))
		if spoiltAmong(slices.Index(all, v.Digest)) {
			b.Spoil(b.environment, v)
			continue
		}
		want = append(want, v.Digest)
	}
	theirs := b.session("p-bob", "theirs")
	b.must(b.Sessions.AddSession(b.Context(), theirs))
	digest := func(v broker.LiveSession) string { return v.Digest }
	holds(b, want, 4, digest, func(after string, limit int) ([]broker.LiveSession, string, error) {
		return b.Sessions.SessionsOf(b.Context(), b.environment, "p-alice", after, limit)
	})
	holds(b, []string{theirs.Digest}, 0, digest, func(after string, limit int) ([]broker.LiveSession, string, error) {
		return b.Sessions.SessionsOf(b.Context(), b.environment, "p-bob", after, limit)
	})
}

func (b *bench) entries(f broker.AuditFilter) func(after string, limit int) ([]broker.Entry, string, error) {
	return func(after string, limit int) ([]broker.Entry, string, error) {
		page, err := b.Evidence.Entries(b.Context(), f, after, limit)
		return page.Entries, page.Next, err
	}
}

func receiptOf(e broker.Entry) string { return e.Receipt }

func testEntriesUndecodable(b *bench) {
	for _, by := range []func(*broker.AuditFilter){func(*broker.AuditFilter) {}, func(f *broker.AuditFilter) { f.Server = "github" },
		func(f *broker.AuditFilter) { f.Principal = "p-0" }} {
		f := b.always()
		by(&f)
		var want []string
		for i := range 9 {
			r := b.recordOf(b.clock.Now().Add(-time.Duration(i)*11*24*time.Hour), broker.Outcome)
			b.index(r)
			if spoiltAmong(i) {
				b.Spoil(b.environment, r)
			} else {
				want = append(want, r.Receipt)
			}
		}
		holds(b, slices.Clone(want), 4, receiptOf, b.entries(f))
	}
}

func testOutcomeUndecodable(b *bench) {
	var want []string
	for i := range 9 {
		intent := b.recordOf(b.clock.Now().Add(-time.Duration(i)*time.Minute), broker.Intent)
		outcome := intent
		outcome.Phase = broker.Outcome
		b.index(intent)
		b.index(outcome)
		b.Spoil(b.environment, outcome)
		want = append(want, intent.Receipt)
	}
	holds(b, want, 9, receiptOf, b.entries(b.always()))
}

func testIntentUndecodable(b *bench) {
	intent := b.recordOf(b.clock.Now(), broker.Intent)
	outcome := intent
	outcome.Phase = broker.Outcome
	b.index(intent)
	b.Spoil(b.environment, intent)
	holds(b, nil, 1, receiptOf, b.entries(b.always()))
	b.index(outcome)
	holds(b, []string{outcome.Receipt}, 0, receiptOf, b.entries(b.always()))
}

func testSeenUndecodable(b *bench) {
	var uses, want []string
	var records []broker.Record
	for i := range 9 {
		r := b.recordOf(b.clock.Now().Add(time.Duration(i)*time.Minute), broker.Outcome)
		r.Principal = fmt.Sprint("p-", i)
		records = append(records, r)
		uses = append(uses, sightingOf(r).Use())
	}
	b.index(records...)
	slices.Sort(uses)
	for _, r := range records {
		if s := sightingOf(r); spoiltAmong(slices.Index(uses, s.Use())) {
			b.Spoil(b.environment, s)
			continue
		}
		want = append(want, r.Principal)
	}
	holds(b, want, 4, func(s broker.Seen) string { return s.Principal }, func(after string, limit int) ([]broker.Seen, string, error) {
		return b.Evidence.SeenOf(b.Context(), b.environment, broker.SeenBinding, "github/team", after, limit)
	})
}

// sightingOf is what a record says of its binding.
func sightingOf(r broker.Record) broker.Sighting {
	all := broker.Sightings(r)
	return all[slices.IndexFunc(all, func(s broker.Sighting) bool { return s.By == broker.SeenBinding })]
}

func testUseUndecodable(b *bench) {
	good, bad := b.recordOf(b.clock.Now(), broker.Outcome), b.recordOf(b.clock.Now().Add(time.Minute), broker.Outcome)
	bad.Binding, bad.Accesses = "own", []broker.Access{{Reference: "aws-sm:prod/jira", Version: "v1"}}
	later := bad
	later.Receipt, later.Accesses = b.recordOf(b.clock.Now().Add(time.Hour), broker.Outcome).Receipt, []broker.Access{{Reference: "aws-sm:prod/jira", Version: "v2"}}
	later.At = b.clock.Now().Add(time.Hour)
	b.index(good, bad, later)
	b.Spoil(b.environment, broker.Binding{Server: "github", Name: "own"})
	b.Spoil(b.environment, broker.SeenVersion{Reference: "aws-sm:prod/jira", Version: "v1"})
	usages, err := b.Evidence.Usages(b.Context(), b.environment, []broker.Binding{{Server: "github", Name: "team"}, {Server: "github", Name: "own"}})
	if _, has := usages["github/team"]; !has || len(usages) != 1 || broker.Unread(err) != 1 {
		b.Errorf("usages: %v, %v", usages, err)
	}
	versions, err := b.Evidence.SeenVersions(b.Context(), b.environment, []string{"aws-sm:prod/github", "aws-sm:prod/jira"})
	if _, has := versions["aws-sm:prod/github"]; !has || len(versions) != 1 || broker.Unread(err) != 1 {
		b.Errorf("versions: %v, %v", versions, err)
	}
}

func testSealedUndecodable(b *bench) {
	v, other := b.sealedValue(1, "made-up"), b.sealedValue(1, "made-up too")
	other.ID = "other"
	b.must(b.Sealed.PutSealed(b.Context(), v))
	b.must(b.Sealed.PutSealed(b.Context(), other))
	b.Spoil(b.environment, v)
	_, err := b.Sealed.Latest(b.Context(), b.environment, v.ID)
	b.wants(err, broker.ErrUndecodable)
	_, err = b.Rows.SealedRow(b.Context(), b.environment, v.ID)
	b.wants(err, broker.ErrUndecodable)
	b.wants(b.Sealed.PutSealed(b.Context(), b.sealedValue(2, "made-up")), broker.ErrUndecodable)
	if found, err := b.Sealed.Latest(b.Context(), b.environment, other.ID); err != nil || len(found) != 1 {
		b.Errorf("another value: %d, %v", len(found), err)
	}
}
