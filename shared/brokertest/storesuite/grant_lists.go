package storesuite

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testGrantLists(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a person's grants are listed whole, without sealed texts": testGrantsOf,
		"a person's grants come on pages, each on exactly one":     testGrantsOfPages,
		"grants are due by expiry and cooling, oldest first":       testDue,
		"what cannot or need not be refreshed is not due":          testNotDue,
		"lists that no backend can give are refused":               testGrantListsRefused,
	})
}

func testGrantsOf(b *bench) {
	b.begin(0, "1")
	want := b.newGrant(0, "1").Begins()
	want.Sealed = nil
	theirs, elsewhere := b.newGrant(0, "theirs"), b.newGrant(0, "elsewhere")
	theirs.Principal, elsewhere.Environment = "p-alice/1#", b.other
	deleted := b.newGrant(0, "deleted")
	deleted.Server = "jira"
	revoked := b.newGrant(0, "revoked")
	revoked.Server = "slack"
	for _, g := range []broker.Grant{theirs, elsewhere, deleted, revoked} {
		b.must(b.Grants.BeginGrant(b.Context(), g, b.consent("okta:x/grant")))
	}
	for g, to := range map[broker.GrantKey]broker.State{deleted.GrantKey: broker.Deleted, revoked.GrantKey: broker.Revoked} {
		_, err := b.Grants.EndGrant(b.Context(), g, to, b.clock.Now())
		b.must(err)
	}
	ended := revoked.Begins()
	ended.State, ended.Sealed, ended.Ended = broker.Revoked, nil, b.clock.Now()
	got, next, err := b.Grants.GrantsOf(b.Context(), b.environment, want.Principal, "", 2)
	b.must(err)
	if d := cmp.Diff([]broker.Grant{want, ended}, got, compare); d != "" || next != "" {
		b.Fatalf("%s, next %q", d, next)
	}
}

func testGrantsOfPages(b *bench) {
	var want []string
	for _, server := range []string{"a", "a-", "a-b", "a0", "ab", "-", "z"} {
		for _, origin := range []string{"o", "o-x", "o0"} {
			g := b.newGrant(0, server)
			g.Server, g.Origin = server, origin
			for i := range 3 {
				b.must(b.Grants.BeginGrant(b.Context(), g, b.consent(text(i))))
				g.Generation++
			}
			want = append(want, g.Token())
		}
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 5, len(want), broker.MaxPage} {
		var got []string
		for after := ""; ; {
			page, next, err := b.Grants.GrantsOf(b.Context(), b.environment, b.grantKey().Principal, after, limit)
			b.must(err)
			if len(page) < limit && next != "" || len(page) > limit {
				b.Fatalf("%d grants on a page of %d, next %q", len(page), limit, next)
			}
			for _, g := range page {
				got = append(got, g.Token())
			}
			if after = next; next == "" {
				break
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			b.Fatalf("pages of %d: %q, want %q", limit, got, want)
		}
	}
}

// owe begins a grant at a server of its own, whose token expires then.
func (b *bench) owe(server string, in time.Duration, also ...func(*broker.Grant)) broker.Grant {
	b.Helper()
	g := b.newGrant(0, server)
	g.Server, g.Expires = server, b.clock.Now().Add(in)
	for _, f := range also {
		f(&g)
	}
	b.must(b.Grants.BeginGrant(b.Context(), g, b.consent("")))
	v, err := b.Grants.Grant(b.Context(), g.GrantKey)
	b.must(err)
	return v.Grant
}

func (b *bench) due(in time.Duration, limit int, want ...string) {
	b.Helper()
	due, err := b.Grants.DueGrants(b.Context(), b.environment, b.clock.Now().Add(in), limit)
	b.must(err)
	var got []string
	for _, g := range due {
		got = append(got, g.Server)
		v, err := b.Grants.Grant(b.Context(), g.GrantKey)
		b.must(err)
		if d := cmp.Diff(v.Grant, g, compare); d != "" {
			b.Fatal(d)
		}
	}
	if !slices.Equal(got, want) {
		b.Fatalf("due: %q, want %q", got, want)
	}
}

func testDue(b *bench) {
	b.due(time.Hour, 10)
	b.owe("three", 3*time.Minute)
	one := b.owe("one", time.Minute)
	two := b.owe("two", 2*time.Minute)
	for _, person := range []string{"p-1", "p-2", "p-3", "p-4", "p-5", "p-6"} {
		b.owe("four", 4*time.Minute, func(g *broker.Grant) { g.Principal = person })
	}
	b.due(time.Minute, 10)
	b.due(time.Minute+1, 10, "one")
	b.due(4*time.Minute, 10, "one", "two", "three")
	b.due(4*time.Minute, 2, "one", "two")
	b.due(5*time.Minute, 9, "one", "two", "three", "four", "four", "four", "four", "four", "four")
	b.must(b.Grants.CoolGrant(b.Context(), b.lease(two, "h-1").Grant, b.clock.Now().Add(3*time.Minute+1), "503"))
	b.due(3*time.Minute+1, 10, "one", "three")
	b.due(3*time.Minute+2, 10, "one", "three", "two")
	leased := b.lease(one, "h-1").Grant
	b.due(2*time.Minute, 10, "one") // taken, and still due
	fresh := tokenSet(leased, "2")
	fresh.Expires = b.clock.Now().Add(time.Hour)
	_, err := b.Grants.StoreTokens(b.Context(), leased, fresh, b.clock.Now())
	b.must(err)
	b.due(3*time.Minute+1, 10, "three")
}

func testNotDue(b *bench) {
	soon := time.Minute
	b.owe("without-refresh", soon, func(g *broker.Grant) { g.Refreshes = false })
	b.owe("without-expiry", soon, func(g *broker.Grant) { g.Expires = time.Time{} })
	b.owe("elsewhere", soon, func(g *broker.Grant) { g.Environment = b.other })
	b.owe("over-before", soon, func(g *broker.Grant) { g.Until = g.Expires })
	b.owe("over-soon", soon, func(g *broker.Grant) { g.Until = g.Expires.Add(time.Second) })
	revoked, deleted := b.owe("revoked", soon), b.owe("deleted", soon)
	_, err := b.Grants.EndGrant(b.Context(), revoked.GrantKey, broker.Revoked, b.clock.Now())
	b.must(err)
	_, err = b.Grants.EndGrant(b.Context(), deleted.GrantKey, broker.Deleted, b.clock.Now())
	b.must(err)
	dead := b.lease(b.owe("dead", soon), "h-1").Grant
	_, err = b.Grants.KillGrant(b.Context(), dead, b.clock.Now(), "invalid_grant", b.death())
	b.must(err)
	last := b.lease(b.owe("last", soon), "h-1").Grant
	_, err = b.Grants.StoreTokens(b.Context(), last, broker.Tokens{Sealed: []byte("x"), Expires: last.Expires}, b.clock.Now())
	b.must(err)
	b.owe("for-ever", soon-time.Second, func(g *broker.Grant) { g.Until = time.Time{} })
	b.due(soon+2*time.Second, 10, "for-ever")
	b.due(soon+1, 10, "for-ever", "over-soon")
	b.must(b.Grants.BeginGrant(b.Context(), func() broker.Grant {
		g := dead
		g.Expires = b.clock.Now().Add(soon / 2)
		return g
	}(), b.consent("")))
	b.due(soon/2+1, 10, "dead") // begun anew
}

func testGrantListsRefused(b *bench) {
	for _, limit := range []int{0, -1, broker.MaxPage + 1} {
		_, _, err := b.Grants.GrantsOf(b.Context(), b.environment, "p-alice", "", limit)
		b.wants(err, broker.ErrInvalid)
		_, err = b.Grants.DueGrants(b.Context(), b.environment, b.clock.Now(), limit)
		b.wants(err, broker.ErrInvalid)
	}
	for _, after := range []string{"github", "github/", "/", "a/b/c", "A/b", "\xff/b"} {
		_, _, err := b.Grants.GrantsOf(b.Context(), b.environment, "p-alice", after, 1)
		b.wants(err, broker.ErrInvalid)
	}
	_, _, err := b.Grants.GrantsOf(b.Context(), "", "p-alice", "", 1)
	b.wants(err, broker.ErrInvalid)
	_, _, err = b.Grants.GrantsOf(b.Context(), b.environment, "", "", 1)
	b.wants(err, broker.ErrInvalid)
	_, err = b.Grants.DueGrants(b.Context(), "a/b", b.clock.Now(), 1)
	b.wants(err, broker.ErrInvalid)
	_, err = b.Grants.DueGrants(b.Context(), b.environment, time.Time{}, 1)
	b.wants(err, broker.ErrInvalid)
}
