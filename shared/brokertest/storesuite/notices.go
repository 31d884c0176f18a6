package storesuite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func fullNotice(environment, subject string) broker.Notice {
	at := time.Date(2026, 4, 5, 6, 7, 8, 9, time.UTC)
	return broker.Notice{Environment: environment, ID: broker.NoticeID(broker.NoticeDeleting, subject), Kind: broker.NoticeDeleting, Subject: subject,
		Server: "github", Bindings: []string{"github/dev", "github/ops"}, State: broker.NoticeAcknowledged, Since: at, Seen: at.Add(time.Hour),
		By: alice, Note: "we know <it>", Due: at.Add(240 * time.Hour), Told: broker.NoticeOpen, ToldAt: at.Add(time.Second), Telling: "01KJMMA2G10000000000000001"}
}

func smallNotice(environment, subject string, state broker.NoticeState) broker.Notice {
	at := time.Date(2026, 4, 5, 6, 7, 8, 0, time.UTC)
	return broker.Notice{Environment: environment, ID: broker.NoticeID(broker.NoticeMissing, subject), Kind: broker.NoticeMissing, Subject: subject,
		State: state, Since: at, Seen: at}
}

func fullScan(environment string) broker.Scan {
	at := time.Date(2026, 4, 5, 6, 7, 8, 9, time.UTC)
	return broker.Scan{Environment: environment, Begun: at, Ended: at.Add(-time.Hour), Phase: "store/aws-sm", After: "x.y", Holder: "run-1",
		HeldUntil: at.Add(time.Minute), Told: 7, Unknown: []string{"store/vault"}}
}

func testNotices(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a notice comes back":             testNoticeWhole,
		"notices that nobody could read are refused":     testNoticeRefused,
		"of two who change a notice one is told":         testNoticeRace,
		"a lost answer to a notice is recognised":        testNoticeLost,
		"a list has those first that are not closed":     testNoticeList,
		"tables that cannot be read are not empty lists": testNoticeFaults,
		"a scan comes back, and one run holds it":        testScan,
	})
}

func testNoticeWhole(b *bench) {
	for _, want := range []broker.Notice{fullNotice(b.environment, "reference/aws-sm:prod/github"), smallNotice(b.environment, "binding/github/dev", broker.NoticePending)} {
		b.must(b.Notices.PutNotice(b.Context(), want))
		want.Version = 1
		got, err := b.Notices.Notice(b.Context(), b.environment, want.ID)
		b.must(err)
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
		_, err = b.Notices.Notice(b.Context(), b.other, want.ID)
		b.wants(err, broker.ErrNotFound)
	}
}

func testNoticeRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Notice){
		"no environment":      func(v *broker.Notice) { v.Environment = "" },
		"no subject":          func(v *broker.Notice) { v.Subject = "" },
		"another's id":        func(v *broker.Notice) { v.ID = broker.NoticeID(v.Kind, "reference/aws-sm:other") },
		"an unknown kind":     func(v *broker.Notice) { v.Kind = "odd" },
		"an unknown state":    func(v *broker.Notice) { v.State = "alive" },
		"too many bindings":   func(v *broker.Notice) { v.Bindings = make([]string, broker.MaxNoticeBindings+1) },
		"a note of no text":   func(v *broker.Notice) { v.Note = "\xff" },
		"a note without end":  func(v *broker.Notice) { v.Note = string(make([]byte, 4096)) },
		"no beginning":        func(v *broker.Notice) { v.Since = time.Time{} },
		"told what is no end": func(v *broker.Notice) { v.Told = broker.NoticePending },
	} {
		v := fullNotice(b.environment, "reference/aws-sm:prod/github")
		spoil(&v)
		if err := b.Notices.PutNotice(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, token := range []string{"x", "o.x", "c.../", "\xff"} {
		_, _, err := b.Notices.NoticesOf(b.Context(), b.environment, token, 10)
		b.wants(err, broker.ErrInvalid)
	}
	_, _, err := b.Notices.NoticesOf(b.Context(), b.environment, "", 0)
	b.wants(err, broker.ErrInvalid)
}

func testNoticeRace(b *bench) {
	n := smallNotice(b.environment, "binding/github/dev", broker.NoticeOpen)
	b.must(b.Notices.PutNotice(b.Context(), n))
	won := 0
	for _, err := range race(racers, func(i int) error {
		mine := n
		mine.Version, mine.Note = 1, fmt.Sprint("mine ", i)
		return b.Notices.PutNotice(b.Context(), mine)
	}) {
		if err == nil {
			won++
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	if won != 1 {
		b.Fatalf("%d won", won)
	}
}

func testNoticeLost(b *bench) {
	n := smallNotice(b.environment, "binding/github/dev", broker.NoticeOpen)
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Notices.PutNotice(b.Context(), n) }))
	s := fullScan(b.environment)
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	left = b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Scans.PutScan(b.Context(), s) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
}

func testNoticeList(b *bench) {
	var open, closed []string
	for i := range 25 {
		state := []broker.NoticeState{broker.NoticeOpen, broker.NoticeAcknowledged, broker.NoticeClosedState, broker.NoticePending}[i%4]
		n := smallNotice(b.environment, fmt.Sprint("binding/github/card-", i), state)
		b.must(b.Notices.PutNotice(b.Context(), n))
		if state.IsOpen() {
			open = append(open, n.ID)
		} else {
			closed = append(closed, n.ID)
		}
	}
	b.must(b.Notices.PutNotice(b.Context(), smallNotice(b.other, "binding/github/card", broker.NoticeOpen)))
	b.must(b.Scans.PutScan(b.Context(), fullScan(b.environment))) // is none of them
	slices.Sort(open)
	slices.Sort(closed)
	for _, limit := range []int{1, 3, 13, 14, 25, broker.MaxPage} {
		var got []string
		for after, pages := "", 0; ; pages++ {
			if pages > 30 {
				b.Fatal("the list does not end")
			}
			found, next, err := b.Notices.NoticesOf(b.Context(), b.environment, after, limit)
			b.must(err)
			if len(found) > limit {
				b.Fatalf("%d on a page of %d", len(found), limit)
			}
			for _, n := range found {
				got = append(got, n.ID)
			}
			if after = next; after == "" {
				break
			}
		}
		if d := cmp.Diff(slices.Concat(open, closed), got); d != "" {
			b.Fatalf("pages of %d: %s", limit, d)
		}
	}
}

func testNoticeFaults(b *bench) {
	n := smallNotice(b.environment, "binding/github/dev", broker.NoticeOpen)
	b.must(b.Notices.PutNotice(b.Context(), n))
	heal := b.Fail()
	defer heal()
	_, _, err := b.Notices.NoticesOf(b.Context(), b.environment, "", 10)
	b.wants(err, broker.ErrUnavailable)
	_, err = b.Notices.Notice(b.Context(), b.environment, n.ID)
	b.wants(err, broker.ErrUnavailable)
	_, err = b.Scans.Scan(b.Context(), b.environment)
	b.wants(err, broker.ErrUnavailable)
}

func testScan(b *bench) {
	_, err := b.Scans.Scan(b.Context(), b.environment)
	b.wants(err, broker.ErrNotFound)
	want := fullScan(b.environment)
	b.must(b.Scans.PutScan(b.Context(), want))
	want.Version = 1
	got, err := b.Scans.Scan(b.Context(), b.environment)
	b.must(err)
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
	won := 0
	for _, err := range race(racers, func(i int) error {
		mine := want
		mine.Holder = fmt.Sprint("run-", i+2)
		return b.Scans.PutScan(b.Context(), mine)
	}) {
		if err == nil {
			won++
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	if won != 1 {
		b.Fatalf("%d hold it", won)
	}
	b.wants(b.Scans.PutScan(b.Context(), broker.Scan{Environment: b.environment}), broker.ErrInvalid)
}
