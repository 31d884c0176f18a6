package storesuite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testSessions(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a session is listed and scanned as it was added, until it ends": testSessionLives,
		"a session that has expired is not given":                        testSessionExpires,
		"a person's sessions come on pages, each on exactly one":         testSessionsOfPages,
		"a scan finds every session of the environment and no other":     testSessionScan,
		"writes of sessions whose answers were lost may be repeated":     testSessionLost,
		"sessions and pages that no backend may keep are refused":        testSessionsRefused,
		"a backend that cannot be asked gives no session":                testSessionsUnavailable,
	})
}

func (b *bench) session(principal, name string) broker.LiveSession {
	return broker.LiveSession{Environment: b.environment, Digest: broker.Digest("session", name), Server: "github", Origin: "origin-1",
		Principal: principal, Agent: "okta:crawler/é", Issuer: "https://issuer.example", Groups: []string{"okta:dev", "é#/"}, Binding: "dev",
		Wrapped: "b1." + name, Expires: b.clock.Now().Add(time.Hour + 1).In(time.FixedZone("", 3600))}
}

// listed are a person's sessions, on pages of any size.
func (b *bench) listed(principal string, limit int) (found []broker.LiveSession) {
	b.Helper()
	return b.pages(limit, func(after string) ([]broker.LiveSession, string, error) {
		return b.Sessions.SessionsOf(b.Context(), b.environment, principal, after, limit)
	})
}

func (b *bench) scanned(limit int) (found []broker.LiveSession) {
	b.Helper()
	return b.pages(limit, func(after string) ([]broker.LiveSession, string, error) {
		return b.Sessions.ScanSessions(b.Context(), b.environment, after, limit)
	})
}

func (b *bench) pages(limit int, page func(after string) ([]broker.LiveSession, string, error)) (found []broker.LiveSession) {
	b.Helper()
	for after := ""; ; {
		some, next, err := page(after)
		b.must(err)
		if len(some) > limit || next != "" && next == after {
			b.Fatalf("%d sessions on a page of %d, next %q after %q", len(some), limit, next, after)
		}
		found = append(found, some...)
		if after = next; next == "" {
			slices.SortFunc(found, func(a, b broker.LiveSession) int { return strings.Compare(a.Digest, b.Digest) })
			return found
		}
	}
}

func testSessionLives(b *bench) {
	v := b.session("p-alice/1#", "1")
	b.must(b.Sessions.AddSession(b.Context(), v))
	b.must(b.Sessions.AddSession(b.Context(), v)) // again, the same
	other := v
	other.Wrapped = "b1.other"
	b.wants(b.Sessions.AddSession(b.Context(), other), broker.ErrConflict)
	plain := broker.LiveSession{Environment: v.Environment, Digest: broker.Digest("plain"), Server: "s", Origin: "o", Principal: v.Principal,
		Binding: "b", Wrapped: "w", Expires: v.Expires}
	b.must(b.Sessions.AddSession(b.Context(), plain))
	want := []broker.LiveSession{v, plain}
	slices.SortFunc(want, func(a, b broker.LiveSession) int { return strings.Compare(a.Digest, b.Digest) })
	if d := cmp.Diff([][]broker.LiveSession{want, want}, [][]broker.LiveSession{b.listed(v.Principal, 10), b.scanned(10)}, compare); d != "" {
		b.Fatal(d)
	}
	b.must(b.Sessions.EndSession(b.Context(), b.environment, "p-bob", v.Digest)) // is not his
	b.must(b.Sessions.EndSession(b.Context(), b.environment, plain.Principal, plain.Digest))
	for range 2 {
		if got := b.listed(v.Principal, 10); len(got) != 1 || got[0].Digest != v.Digest {
			b.Fatalf("left: %+v", got)
		}
		b.must(b.Sessions.EndSession(b.Context(), b.environment, plain.Principal, plain.Digest)) // it is not there
	}
}

func testSessionExpires(b *bench) {
	v := b.session("p-alice", "1")
	b.must(b.Sessions.AddSession(b.Context(), v))
	b.clock.Advance(time.Hour)
	if len(b.listed(v.Principal, 1)) != 1 || len(b.scanned(1)) != 1 {
		b.Fatal("it is gone before its end")
	}
	b.clock.Advance(1)
	if len(b.listed(v.Principal, 1)) != 0 || len(b.scanned(1)) != 0 {
		b.Fatal("it is there at its end")
	}
}

func testSessionsOfPages(b *bench) {
	var want []string
	for i := range 23 {
		v := b.session("p-alice", text(i))
		b.must(b.Sessions.AddSession(b.Context(), v))
		want = append(want, v.Digest)
	}
	for _, theirs := range []broker.LiveSession{b.session("p-alice2", "x"), b.session("p-alic", "y")} {
		b.must(b.Sessions.AddSession(b.Context(), theirs))
	}
	slices.Sort(want)
	for _, limit := range []int{1, 5, 23, broker.MaxPage} {
		var got []string
		for _, v := range b.listed("p-alice", limit) {
			got = append(got, v.Digest)
		}
		if !slices.Equal(got, want) {
			b.Fatalf("pages of %d: %q, want %q", limit, got, want)
		}
	}
}

func testSessionScan(b *bench) {
	var want []string
	for i := range 12 {
		v := b.session("p-"+text(i%5), text(i))
		b.must(b.Sessions.AddSession(b.Context(), v))
		want = append(want, v.Digest)
	}
	for i, environment := range []string{b.other, b.environment + "-2"} {
		elsewhere := b.session("p-alice", "elsewhere"+text(i))
		elsewhere.Environment = environment
		b.must(b.Sessions.AddSession(b.Context(), elsewhere))
	}
	slices.Sort(want)
	for _, limit := range []int{3, 50, broker.MaxScan} {
		var got []string
		for _, v := range b.scanned(limit) {
			got = append(got, v.Digest)
		}
		if !slices.Equal(got, want) {
			b.Fatalf("pages of %d: %q, want %q", limit, got, want)
		}
	}
}

func testSessionLost(b *bench) {
	v := b.session("p-alice", "1")
	left := b.LoseAnswers(2)
	b.must(b.persist(func() error { return b.Sessions.AddSession(b.Context(), v) }))
	if left() == 2 || len(b.listed(v.Principal, 1)) != 1 {
		b.Fatal("no answer was lost, or the session was")
	}
	b.LoseAnswers(2)
	b.must(b.persist(func() error { return b.Sessions.EndSession(b.Context(), b.environment, v.Principal, v.Digest) }))
	if len(b.listed(v.Principal, 1)) != 0 {
		b.Fatal("it is still there")
	}
}

func testSessionsRefused(b *bench) {
	for name, change := range map[string]func(*broker.LiveSession){
		"no environment":  func(v *broker.LiveSession) { v.Environment = "" },
		"no principal":    func(v *broker.LiveSession) { v.Principal = "" },
		"no digest":       func(v *broker.LiveSession) { v.Digest = "made-up" },
		"no server":       func(v *broker.LiveSession) { v.Server = "a/b" },
		"no origin":       func(v *broker.LiveSession) { v.Origin = "" },
		"no binding":      func(v *broker.LiveSession) { v.Binding = "" },
		"no id":           func(v *broker.LiveSession) { v.Wrapped = "" },
		"an id too long":  func(v *broker.LiveSession) { v.Wrapped = strings.Repeat("x", 4097) },
		"groups too many": func(v *broker.LiveSession) { v.Groups = slices.Repeat([]string{"g"}, 257) },
		"agent no text":   func(v *broker.LiveSession) { v.Agent = "\xff" },
		"no end":          func(v *broker.LiveSession) { v.Expires = time.Time{} },
	} {
		v := b.session("p-alice", "1")
		change(&v)
		if err := b.Sessions.AddSession(b.Context(), v); err == nil {
			b.Errorf("%s: it was stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	b.wants(b.Sessions.EndSession(b.Context(), b.environment, "p-alice", ""), broker.ErrInvalid)
	b.wants(b.Sessions.EndSession(b.Context(), "", "p-alice", broker.Digest("x")), broker.ErrInvalid)
	for _, limit := range []int{0, -1, broker.MaxScan + 1} {
		_, _, err := b.Sessions.ScanSessions(b.Context(), b.environment, "", limit)
		b.wants(err, broker.ErrInvalid)
		_, _, err = b.Sessions.SessionsOf(b.Context(), b.environment, "p-alice", "", limit)
		b.wants(err, broker.ErrInvalid)
	}
	for _, after := range []string{"x", "x ", " x", "x y z", "\xff x", strings.Repeat("x", 4096) + " y"} {
		_, _, err := b.Sessions.ScanSessions(b.Context(), b.environment, after, 1)
		b.wants(err, broker.ErrInvalid)
		_, _, err = b.Sessions.SessionsOf(b.Context(), b.environment, "p-alice", after, 1)
		b.wants(err, broker.ErrInvalid)
	}
}

func testSessionsUnavailable(b *bench) {
	v := b.session("p-alice", "1")
	b.must(b.Sessions.AddSession(b.Context(), v))
	heal := b.Fail()
	listed, _, err := b.Sessions.SessionsOf(b.Context(), b.environment, v.Principal, "", 1)
	b.wants(err, broker.ErrUnavailable)
	scanned, _, err := b.Sessions.ScanSessions(b.Context(), b.environment, "", 1)
	b.wants(err, broker.ErrUnavailable)
	if len(listed)+len(scanned) > 0 {
		b.Fatal("sessions were given beside the error")
	}
	b.wants(b.Sessions.AddSession(b.Context(), b.session("p-alice", "2")), broker.ErrUnavailable)
	b.wants(b.Sessions.EndSession(b.Context(), b.environment, v.Principal, v.Digest), broker.ErrUnavailable)
	heal()
	if got := b.listed(v.Principal, 10); len(got) != 1 {
		b.Fatalf("left: %+v", got)
	}
}
