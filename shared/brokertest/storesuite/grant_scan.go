package storesuite

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testGrantScan(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a scan finds every grant that is not deleted, with its text": testScanGrants,
		"scans that no backend can make are refused":                  testScanGrantsRefused,
		"a backend that cannot be asked scans nothing":                testScanGrantsUnavailable,
	})
}

func (b *bench) scanGrants(limit int) (found []broker.Grant) {
	b.Helper()
	for after := ""; ; {
		some, next, err := b.Scanner.ScanGrants(b.Context(), b.environment, after, limit)
		b.must(err)
		if len(some) > limit || next != "" && next == after {
			b.Fatalf("%d grants on a page of %d, next %q after %q", len(some), limit, next, after)
		}
		found = append(found, some...)
		if after = next; next == "" {
			return found
		}
	}
}

func testScanGrants(b *bench) {
	want := map[broker.GrantKey]broker.Grant{}
	for i := range 12 {
		g := b.newGrant(0, text(i))
		g.Principal, g.Server = "p-"+text(i%5), "s"+text(i)
		b.must(b.Grants.BeginGrant(b.Context(), g, b.consent("okta:x/grant"))) // a consent, too, whose key looks like a grant's
		switch i {
		case 3:
			_, err := b.Grants.EndGrant(b.Context(), g.GrantKey, broker.Deleted, b.clock.Now())
			b.must(err)
			continue
		case 4:
			_, err := b.Grants.EndGrant(b.Context(), g.GrantKey, broker.Revoked, b.clock.Now())
			b.must(err)
		}
		v, err := b.Grants.Grant(b.Context(), g.GrantKey)
		b.must(err)
		want[g.GrantKey] = v.Grant
	}
	for _, environment := range []string{b.other, b.environment + "-2"} {
		elsewhere := b.newGrant(0, "elsewhere")
		elsewhere.Environment = environment
		b.must(b.Grants.BeginGrant(b.Context(), elsewhere, b.consent("")))
	}
	for _, limit := range []int{4, 50, broker.MaxScan} {
		got := map[broker.GrantKey]broker.Grant{}
		for _, g := range b.scanGrants(limit) {
			got[g.GrantKey] = g
		}
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatalf("pages of %d: %s", limit, d)
		}
	}
}

func testScanGrantsRefused(b *bench) {
	for _, limit := range []int{0, broker.MaxScan + 1} {
		_, _, err := b.Scanner.ScanGrants(b.Context(), b.environment, "", limit)
		b.wants(err, broker.ErrInvalid)
	}
	for _, after := range []string{"x", "x y z"} {
		_, _, err := b.Scanner.ScanGrants(b.Context(), b.environment, after, 1)
		b.wants(err, broker.ErrInvalid)
	}
	_, _, err := b.Scanner.ScanGrants(b.Context(), "", "", 1)
	b.wants(err, broker.ErrInvalid)
}

func testScanGrantsUnavailable(b *bench) {
	b.begin(0, "1")
	heal := b.Fail()
	found, next, err := b.Scanner.ScanGrants(b.Context(), b.environment, "", 10)
	b.wants(err, broker.ErrUnavailable)
	if len(found) > 0 || next != "" {
		b.Fatal("grants were given beside the error")
	}
	heal()
	if len(b.scanGrants(10)) != 1 {
		b.Fatal("the grant is gone")
	}
}
