package storesuite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testReceipt(b *bench) {
	intent, outcome := b.recordOf(b.clock.Now(), broker.Intent), b.recordOf(b.clock.Now(), broker.Outcome)
	b.must(b.Audit.Append(b.Context(), outcome))
	b.must(b.Audit.Append(b.Context(), intent))
	got, err := b.Evidence.Receipt(b.Context(), intent.Receipt)
	b.must(err)
	if d := cmp.Diff([]broker.Record{intent, outcome}, got); d != "" {
		b.Error(d)
	}
	got, err = b.Evidence.Receipt(b.Context(), b.recordOf(b.clock.Now().Add(time.Hour), broker.Intent).Receipt)
	b.must(err)
	if len(got) != 0 {
		b.Errorf("%+v", got)
	}
	_, err = b.Evidence.Receipt(b.Context(), "")
	b.wants(err, broker.ErrInvalid)
}

func testSeen(b *bench) {
	at := b.clock.Now()
	intent, unread, refused := b.recordOf(at, broker.Intent), b.recordOf(at, broker.Outcome), b.recordOf(at, broker.Refused)
	unread.Accesses, unread.Reason = nil, broker.StoreDenied
	b.index(intent, unread, refused)
	asked := map[broker.SeenKind]string{broker.SeenReference: "aws-sm:prod/github", broker.SeenStore: "aws-sm",
		broker.SeenBinding: "github/team", broker.SeenPrincipal: "p-0", broker.SeenAgent: "a-1"}
	for kind, id := range asked {
		if got := b.allSeen(kind, id, 10); len(got) != 0 {
			b.Errorf("%s: %+v", kind, got)
		}
	}
	used := b.recordOf(at.Add(-time.Minute), broker.Outcome)
	used.Agent, used.Reason = "a-1", broker.UpstreamTimeout
	used.Accesses = append(used.Accesses, broker.Access{Reference: "no reference"}, broker.Access{Reference: "aws-sm:prod/github"})
	b.index(used)
	want := []broker.Seen{{Principal: "p-0", Agent: "a-1", Server: "github", Binding: "team", First: at.Add(-time.Minute), Last: at.Add(-time.Minute)}}
	for kind, id := range asked {
		if d := cmp.Diff(want, b.allSeen(kind, id, 10)); d != "" {
			b.Errorf("%s: %s", kind, d)
		}
	}
	for _, question := range [][2]string{{"", "x"}, {"person", "x"}, {"principal", ""}, {"principal", "\xff"}} {
		_, _, err := b.Evidence.SeenOf(b.Context(), b.environment, broker.SeenKind(question[0]), question[1], "", 10)
		b.wants(err, broker.ErrInvalid)
	}
}

func testSeenTimes(b *bench) {
	at := b.clock.Now()
	for _, minutes := range []int{5, 9, 2, 7, 2} {
		b.index(b.recordOf(at.Add(time.Duration(minutes)*time.Minute), broker.Outcome))
	}
	want := []broker.Seen{{Principal: "p-0", Server: "github", Binding: "team", First: at.Add(2 * time.Minute), Last: at.Add(9 * time.Minute)}}
	if d := cmp.Diff(want, b.allSeen(broker.SeenBinding, "github/team", 10)); d != "" {
		b.Error(d)
	}
}

func testSeenPages(b *bench) {
	var records []broker.Record
	want := map[string]bool{}
	for i := range 23 {
		r := b.recordOf(b.clock.Now().Add(time.Duration(i)*time.Second), broker.Outcome)
		r.Principal = fmt.Sprintf("p-%d/#", i)
		if i%2 == 0 {
			r.Agent = strings.Repeat("agent", 50)
		}
		records = append(records, r)
		want[r.Principal] = true
	}
	b.index(records...)
	for _, limit := range []int{1, 5, 23, 200} {
		seen := b.allSeen(broker.SeenStore, "aws-sm", limit)
		got := map[string]bool{}
		for _, s := range seen {
			got[s.Principal] = true
		}
		if len(seen) != len(want) || !cmp.Equal(want, got) {
			b.Errorf("in pages of %d: %d of %d", limit, len(seen), len(want))
		}
	}
}

func testUsages(b *bench) {
	at := b.clock.Now()
	ask := func() map[string]broker.Usage {
		b.Helper()
		team := broker.Binding{Server: "github", Name: "team"}
		got, err := b.Evidence.Usages(b.Context(), b.environment, []broker.Binding{team, {Server: "github", Name: "never"}, team})
		b.must(err)
		return got
	}
	good, bad, older := b.recordOf(at, broker.Outcome), b.recordOf(at.Add(time.Minute), broker.Outcome), b.recordOf(at.Add(-time.Minute), broker.Outcome)
	bad.Reason = broker.UpstreamTimeout
	b.index(bad, b.recordOf(at.Add(time.Hour), broker.Intent), b.recordOf(at.Add(time.Hour), broker.Refused))
	only := broker.Usage{Server: "github", Binding: "team", Last: at.Add(time.Minute), Reason: broker.UpstreamTimeout}
	if d := cmp.Diff(map[string]broker.Usage{"github/team": only}, ask()); d != "" {
		b.Error(d)
	}
	b.index(good)
	b.index(older)
	only.LastGood = at
	if d := cmp.Diff(map[string]broker.Usage{"github/team": only}, ask()); d != "" {
		b.Error(d)
	}
	again := b.recordOf(at.Add(2*time.Minute), broker.Outcome)
	b.index(again)
	only.Last, only.LastGood, only.Reason = at.Add(2*time.Minute), at.Add(2*time.Minute), ""
	if d := cmp.Diff(map[string]broker.Usage{"github/team": only}, ask()); d != "" {
		b.Error(d)
	}
	_, err := b.Evidence.Usages(b.Context(), b.environment, []broker.Binding{{Server: "github"}})
	b.wants(err, broker.ErrInvalid)
	_, err = b.Evidence.Usages(b.Context(), b.environment, make([]broker.Binding, broker.MaxPage+1))
	b.wants(err, broker.ErrInvalid)
}

func testRotations(b *bench) {
	const reference = "aws-sm:prod/github"
	at := b.clock.Now()
	saw := func(minutes int, version string) {
		r := b.recordOf(at.Add(time.Duration(minutes)*time.Minute), broker.Outcome)
		r.Accesses[0].Version = version
		b.index(r)
	}
	is := func(version string, minutes int) {
		b.Helper()
		got, err := b.Evidence.SeenVersions(b.Context(), b.environment, []string{reference, "aws-sm:prod/never"})
		b.must(err)
		want := map[string]broker.SeenVersion{reference: {Reference: reference, Version: version, Since: at.Add(time.Duration(minutes) * time.Minute)}}
		if d := cmp.Diff(want, got); d != "" {
			b.Error(d)
		}
	}
	saw(50, "old") // a straggler: the old version is still used after the new one came
	is("old", 50)
	saw(40, "new")
	is("old", 50)
	saw(10, "old")
	is("new", 40)
	saw(30, "new")
	is("new", 30)
	saw(60, "")
	is("new", 30)
	for _, wrong := range [][]string{{"no reference"}, {reference + "#key"}, slices.Repeat([]string{reference}, broker.MaxPage+1)} {
		_, err := b.Evidence.SeenVersions(b.Context(), b.environment, wrong)
		b.wants(err, broker.ErrInvalid)
	}
}

func testLag(b *bench) {
	is := func(want broker.Lag) {
		b.Helper()
		got, err := b.Evidence.Lag(b.Context(), b.environment)
		b.must(err)
		if d := cmp.Diff(want, got); d != "" {
			b.Error(d)
		}
	}
	is(broker.Lag{})
	at := b.clock.Now()
	b.clock.Advance(3 * time.Second)
	b.index(b.recordOf(at, broker.Intent))
	is(broker.Lag{Newest: at, Indexed: at.Add(3 * time.Second)})
	b.clock.Advance(time.Hour)
	b.index(b.recordOf(at.Add(-time.Hour), broker.Refused), b.recordOf(at, broker.Intent))
	is(broker.Lag{Newest: at, Indexed: at.Add(3 * time.Second)})
}
