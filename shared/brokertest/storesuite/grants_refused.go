package storesuite

import (
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testGrantApart(b *bench) {
	b.begin(0, "1")
	for _, alter := range []func(*broker.GrantKey){
		func(k *broker.GrantKey) { k.Environment = b.other },
		func(k *broker.GrantKey) { k.Principal = "p-alice" },
		func(k *broker.GrantKey) { k.Server = "github-x" },
		func(k *broker.GrantKey) { k.Origin = broker.Digest("moved") },
		func(k *broker.GrantKey) { k.Origin += "-x" },
	} {
		other := b.newGrant(0, "theirs")
		alter(&other.GrantKey)
		_, err := b.Grants.Grant(b.Context(), other.GrantKey)
		b.wants(err, broker.ErrNotFound)
		b.must(b.Grants.BeginGrant(b.Context(), other, b.consent("okta:theirs")))
		_, err = b.Grants.EndGrant(b.Context(), other.GrantKey, broker.Revoked, b.clock.Now())
		b.must(err)
	}
	if v := b.granted(); len(v.Consents) != 1 || v.Grant.State != broker.Active {
		b.Fatalf("%+v", v)
	}
}

func testGrantRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Grant){
		"no environment":          func(g *broker.Grant) { g.Environment = "" },
		"a path for environment":  func(g *broker.Grant) { g.Environment = "prod/eu" },
		"no principal":            func(g *broker.Grant) { g.Principal = "" },
		"a server that is none":   func(g *broker.Grant) { g.Server = "a/b" },
		"no origin":               func(g *broker.Grant) { g.Origin = "" },
		"an origin that is a URL": func(g *broker.Grant) { g.Origin = "https://x" },
		"a provider that is none": func(g *broker.Grant) { g.Provider = "Okta" },
		"a negative generation":   func(g *broker.Grant) { g.Generation = -1 },
		"no tokens":               func(g *broker.Grant) { g.Sealed = nil },
		"huge tokens":             func(g *broker.Grant) { g.Sealed = make([]byte, 64<<10+1) },
		"no time":                 func(g *broker.Grant) { g.Consented = time.Time{} },
		"a scope that is no text": func(g *broker.Grant) { g.Scopes = []string{"\xff"} },
		"too many scopes":         func(g *broker.Grant) { g.Scopes = make([]string, 257) },
	} {
		g := b.newGrant(0, "1")
		spoil(&g)
		if err := b.Grants.BeginGrant(b.Context(), g, b.consent("")); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "1"), b.consent(strings.Repeat("x", broker.MaxID+1))), broker.ErrInvalid)
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "1"), broker.Consent{}), broker.ErrInvalid)
	for _, to := range []broker.State{broker.Active, broker.Pending, "", "gone"} {
		_, err := b.Grants.EndGrant(b.Context(), b.grantKey(), to, b.clock.Now())
		b.wants(err, broker.ErrInvalid)
	}
	_, err := b.Grants.Grant(b.Context(), broker.GrantKey{})
	b.wants(err, broker.ErrInvalid)
	_, err = b.Grants.Grant(b.Context(), b.grantKey())
	b.wants(err, broker.ErrNotFound)
}

func testGrantKept(b *bench) {
	mine := b.newGrant(0, "1")
	b.must(b.Grants.BeginGrant(b.Context(), mine, b.consent(robot)))
	mine.Sealed[0], mine.Scopes[0] = 'x', "admin"
	b.stands(b.newGrant(0, "1").Begins())
}

func testGrantUnavailable(b *bench) {
	g := b.begin(0, "1")
	heal := b.Fail()
	v, err := b.Grants.Grant(b.Context(), b.grantKey())
	b.wants(err, broker.ErrUnavailable)
	begun := b.Grants.BeginGrant(b.Context(), b.newGrant(1, "2"), b.consent(""))
	under, leased := b.Grants.LeaseGrant(b.Context(), g, "h-1", b.clock.Now(), b.clock.Now().Add(time.Minute))
	was, ended := b.Grants.EndGrant(b.Context(), b.grantKey(), broker.Revoked, b.clock.Now())
	list, next, listed := b.Grants.GrantsOf(b.Context(), b.environment, g.Principal, "", 1)
	due, dued := b.Grants.DueGrants(b.Context(), b.environment, g.Expires.Add(1), 1)
	heal()
	for _, err := range []error{begun, leased, ended, listed, dued} {
		b.wants(err, broker.ErrUnavailable)
	}
	if d := cmp.Diff([]any{broker.GrantView{}, broker.GrantView{}, broker.Grant{}}, []any{v, under, was}, compare); d != "" || list != nil || next != "" || due != nil {
		b.Fatalf("something was given beside the error: %s", d)
	}
	b.stands(g)
}
