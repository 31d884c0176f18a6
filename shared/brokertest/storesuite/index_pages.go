package storesuite

import (
	"cmp"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// expected is what a filter must find, worked out from the records alone.
func (b *bench) expected(f broker.AuditFilter, records []broker.Record) []broker.Entry {
	b.Helper()
	most := map[string]broker.Entry{}
	for _, r := range records {
		e, err := broker.EntryOf(r)
		b.must(err)
		if there, ok := most[e.Receipt]; !ok || e.Phase.Supersedes(there.Phase) {
			most[e.Receipt] = e
		}
	}
	var found []broker.Entry
	for _, e := range most {
		if f.Holds(e) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b broker.Entry) int { return cmp.Compare(b.Receipt, a.Receipt) })
	return found
}

func testIndexFilters(b *bench) {
	records := b.calls(40)
	b.index(records...)
	for _, f := range b.questions() {
		want := b.expected(f, records)
		if f.RequestID == "" && f.Principal != "p-nobody" && len(want) == 0 {
			b.Errorf("%v: the records hold nothing to find", f)
		}
		if d := gocmp.Diff(want, b.all(f, broker.MaxPage)); d != "" {
			b.Errorf("%v: %s", f, d)
		}
	}
}

func testIndexPages(b *bench) {
	records := b.calls(40)
	b.index(records...)
	for _, f := range b.questions() {
		for _, limit := range []int{3, 16} {
			if d := gocmp.Diff(b.expected(f, records), b.all(f, limit)); d != "" {
				b.Errorf("%v in pages of %d: %s", f, limit, d)
			}
		}
	}
}

func testIndexFarApart(b *bench) {
	old, last := b.recordOf(b.clock.Now().AddDate(-2, 0, 0), broker.Refused), b.recordOf(b.clock.Now(), broker.Refused)
	b.index(old, last)
	f := b.always()
	f.From = f.From.AddDate(-3, 0, 0)
	for _, f.Principal = range []string{"", "p-0"} {
		if d := gocmp.Diff(b.expected(f, []broker.Record{old, last}), b.all(f, 5)); d != "" {
			b.Error(d)
		}
	}
}

func testIndexTimes(b *bench) {
	month := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	records := []broker.Record{b.recordOf(month.Add(-time.Millisecond), broker.Refused), b.recordOf(month, broker.Refused), b.recordOf(month.Add(time.Millisecond), broker.Refused)}
	records[1].At = month.Add(time.Hour) // when it was written does not count
	b.index(records...)
	for _, span := range []struct {
		from, to time.Time
		want     int
	}{
		{month, month.Add(time.Millisecond), 1},
		{month.Add(-time.Millisecond), month.Add(time.Millisecond), 2},
		{month.Add(-time.Millisecond), month.Add(time.Millisecond + 1), 3},
		{month.Add(-time.Millisecond + 1), month.Add(time.Hour), 2},
		{month.Add(time.Millisecond + 1), month.Add(time.Hour), 0},
	} {
		f := broker.AuditFilter{Environment: b.environment, From: span.from, To: span.to}
		if got := b.all(f, 10); len(got) != span.want {
			b.Errorf("from %v to %v: %d", span.from, span.to, len(got))
		}
	}
}

func testIndexAfter(b *bench) {
	b.index(b.recordOf(b.clock.Now(), broker.Refused))
	f := b.always()
	before, later := f.From.Add(-time.Second), f.To.Add(time.Second)
	for _, after := range []string{"x", "entries/prod", strings.Repeat("0", 26), strings.Repeat("Z", 26), "\xff",
		b.recordOf(before, broker.Intent).Receipt, b.recordOf(later, broker.Intent).Receipt,
		b.recordOf(f.From, broker.Intent).Receipt + "/outcome", strings.ToLower(b.recordOf(b.clock.Now(), broker.Intent).Receipt)} {
		_, err := b.Evidence.Entries(b.Context(), f, after, 10)
		b.wants(err, broker.ErrInvalid)
	}
	for _, after := range []string{"x", strings.Repeat("A", 26), strings.Repeat("a", 27), "use/" + strings.Repeat("a", 22), "\xff"} {
		_, _, err := b.Evidence.SeenOf(b.Context(), b.environment, broker.SeenPrincipal, "p-0", after, 10)
		b.wants(err, broker.ErrInvalid)
	}
	for _, limit := range []int{0, -1, broker.MaxPage + 1} {
		_, err := b.Evidence.Entries(b.Context(), f, "", limit)
		b.wants(err, broker.ErrInvalid)
		_, _, err = b.Evidence.SeenOf(b.Context(), b.environment, broker.SeenPrincipal, "p-0", "", limit)
		b.wants(err, broker.ErrInvalid)
	}
	for _, spoil := range []func(*broker.AuditFilter){
		func(f *broker.AuditFilter) { f.Environment = "" }, func(f *broker.AuditFilter) { f.From = time.Time{} },
		func(f *broker.AuditFilter) { f.To = f.From }, func(f *broker.AuditFilter) { f.Binding = "team" },
		func(f *broker.AuditFilter) { f.Principal = "\xff" },
	} {
		wrong := f
		spoil(&wrong)
		_, err := b.Evidence.Entries(b.Context(), wrong, "", 10)
		b.wants(err, broker.ErrInvalid)
	}
}

func testIndexApart(b *bench) {
	b.index(b.calls(20)...)
	for _, r := range b.calls(20) {
		b.must(b.Audit.Append(b.Context(), r))
	}
	b.environment = b.other
	for question, answer := range b.answers() {
		switch a := answer.(type) {
		case []broker.Entry:
			if len(a) > 0 {
				b.Errorf("%s: %+v", question, a)
			}
		case []broker.Seen:
			if len(a) > 0 {
				b.Errorf("%s: %+v", question, a)
			}
		}
	}
	lag, err := b.Evidence.Lag(b.Context(), b.environment)
	b.must(err)
	if lag != (broker.Lag{}) {
		b.Errorf("%+v", lag)
	}
}

func testIndexLost(b *bench) {
	records := b.calls(20)
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return b.Index.IndexRecords(b.Context(), records) }))
	if n := left(); n > 0 {
		b.Fatalf("%d answers were not lost", n)
	}
	for _, f := range b.questions() {
		if d := gocmp.Diff(b.expected(f, records), b.all(f, broker.MaxPage)); d != "" {
			b.Errorf("%v: %s", f, d)
		}
	}
}

func testIndexUnavailable(b *bench) {
	records := b.calls(5)
	b.index(records...)
	heal := b.Fail()
	_, entries := b.Evidence.Entries(b.Context(), b.always(), "", 10)
	_, _, seen := b.Evidence.SeenOf(b.Context(), b.environment, broker.SeenPrincipal, "p-0", "", 10)
	_, usages := b.Evidence.Usages(b.Context(), b.environment, []broker.Binding{{Server: "github", Name: "team"}})
	_, rotations := b.Evidence.SeenVersions(b.Context(), b.environment, []string{"aws-sm:github/0"})
	_, lag := b.Evidence.Lag(b.Context(), b.environment)
	_, receipt := b.Evidence.Receipt(b.Context(), records[0].Receipt)
	index := b.Index.IndexRecords(b.Context(), records)
	heal()
	for _, err := range []error{entries, seen, usages, rotations, lag, receipt, index} {
		b.wants(err, broker.ErrUnavailable)
	}
}
