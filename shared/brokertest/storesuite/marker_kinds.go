package storesuite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bindery/shared/broker"
)

func testMarkerKinds(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"each kind is read where decisions read it":      testMarkerReading,
		"each kind has its own epochs and can be lifted": testMarkerLifting,
		"an id of another kind's form is refused":        testMarkerForms,
		"ids that look alike are apart":                  testMarkerAlike,
		"a reader gets what it asked for and no more":    testMarkerAsked,
		"keys that nobody could have put are refused":    testMarkerKeysRefused,
		"markers that cannot be read are not absent":     testMarkerUnread,
		"of sixteen writers of all exactly one wins":     testMarkerRaceOfAll,
		"a wide marker is whole after a lost answer":     testMarkerLostOfAll,
	})
}

// everyKind is one marker of each kind.
func (b *bench) everyKind() []broker.Marker {
	var all []broker.Marker
	for kind, id := range map[broker.MarkerKind]string{
		broker.PrincipalMarker: alice, broker.AgentMarker: robot, broker.SessionMarker: session,
		broker.GroupMarker: group.Group, broker.IssuerMarker: "https://login.example.com/", broker.StoreMarker: "aws-sm",
		broker.EnvironmentMarker: b.environment, broker.EverythingMarker: b.environment,
		broker.ServerMarker: "github", broker.BindingMarker: "github/shared",
		broker.ReferenceMarker: "aws-sm:" + strings.Repeat("long/", 200) + "x", broker.ChangeMarker: "aws-sm:prod/github?stage=AWSPREVIOUS",
		broker.GrantMarker: alice + "/github",
	} {
		m := fullMarker(b.environment, kind, id)
		m.Revoked = kind != broker.ChangeMarker
		all = append(all, m)
	}
	return all
}

var (
	byKind    = cmpopts.SortSlices(func(x, y broker.Marker) bool { return x.Kind+broker.MarkerKind(x.ID) < y.Kind+broker.MarkerKind(y.ID) })
	inCatalog = func(m broker.Marker) bool {
		return !slices.Contains([]broker.MarkerKind{broker.ReferenceMarker, broker.ChangeMarker, broker.GrantMarker}, m.Kind)
	}
)

func keysOf(markers []broker.Marker) (keys []broker.MarkerKey) {
	for _, m := range markers {
		keys = append(keys, m.Key())
	}
	return keys
}

func (b *bench) marked(keys ...broker.MarkerKey) []broker.Marker {
	b.Helper()
	found, err := b.Marked.Markers(b.Context(), b.environment, keys)
	b.must(err)
	return found
}

func (b *bench) putAll(markers []broker.Marker) {
	b.Helper()
	for _, m := range markers {
		b.must(b.Markers.PutMarker(b.Context(), m))
	}
}

func testMarkerReading(b *bench) {
	all := b.everyKind()
	b.putAll(all)
	b.putAll(all) // repeated
	if d := cmp.Diff(all, b.marked(keysOf(all)...), byKind); d != "" {
		b.Fatal(d)
	}
	var want []broker.Marker
	for _, m := range all {
		if inCatalog(m) {
			want = append(want, m)
		}
	}
	for range 8 { // whichever copy is read
		if d := cmp.Diff(want, b.markers(), byKind); d != "" {
			b.Fatal(d)
		}
	}
	elsewhere := lookup(b.environment)
	elsewhere.Route.Server = "jira"
	for _, m := range b.snapshot(elsewhere).Markers {
		if m.Kind.OfServer() {
			b.Fatalf("a decision about another server reads %+v", m)
		}
	}
	if m := b.snapshot(lookup(b.other)).Markers; m != nil {
		b.Fatalf("another environment reads %+v", m)
	}
}

func testMarkerLifting(b *bench) {
	all := b.everyKind()
	b.putAll(all)
	for _, m := range all {
		m.Epoch = 3
		b.wants(b.Markers.PutMarker(b.Context(), m), broker.ErrConflict)
		m.Epoch = 1
		m.Reason = "another"
		b.wants(b.Markers.PutMarker(b.Context(), m), broker.ErrConflict)
	}
	for i := range all {
		all[i].Epoch, all[i].Revoked, all[i].Revocation = 2, false, ""
	}
	b.putAll(all)
	if d := cmp.Diff(all, b.marked(keysOf(all)...), byKind); d != "" {
		b.Fatal(d)
	}
	for range 8 {
		for _, m := range b.markers() {
			if m.Revoked {
				b.Fatalf("a copy still says that it is revoked: %+v", m)
			}
		}
	}
}

func testMarkerForms(b *bench) {
	for _, k := range []broker.MarkerKey{
		{Kind: broker.ServerMarker, ID: "Git Hub"}, {Kind: broker.ServerMarker, ID: "github/card"}, {Kind: broker.StoreMarker, ID: "aws-sm:x"},
		{Kind: broker.BindingMarker, ID: "github"}, {Kind: broker.BindingMarker, ID: "github/a/b"}, {Kind: broker.BindingMarker, ID: "/card"},
		{Kind: broker.GrantMarker, ID: alice}, {Kind: broker.GrantMarker, ID: "/github"}, {Kind: broker.GrantMarker, ID: alice + "/"},
		{Kind: broker.ReferenceMarker, ID: "prod/github"}, {Kind: broker.ReferenceMarker, ID: "aws-sm:prod/github#token"},
		{Kind: broker.ChangeMarker, ID: "aws-sm:prod/github#token"}, {Kind: broker.EnvironmentMarker, ID: b.other},
		{Kind: broker.EverythingMarker, ID: "*"}, {Kind: broker.GroupMarker}, {Kind: broker.IssuerMarker, ID: "\xff"},
	} {
		m := fullMarker(b.environment, k.Kind, k.ID)
		m.Revoked = false
		b.wants(b.Markers.PutMarker(b.Context(), m), broker.ErrInvalid)
	}
	b.wants(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.ChangeMarker, "aws-sm:prod/github")), broker.ErrInvalid)
}

func testMarkerAlike(b *bench) {
	var all []broker.Marker
	long := strings.Repeat("g", broker.MaxID)
	for _, id := range []string{"a", "a/b", "a%2Fb", "a#b", "#a", "group/a", long, long + "g", long + "h", "#" + broker.Digest(long+"g"), broker.Digest(long + "g")} {
		all = append(all, fullMarker(b.environment, broker.GroupMarker, id), fullMarker(b.environment, broker.IssuerMarker, id))
	}
	b.putAll(all)
	if d := cmp.Diff(all, b.markers(), byKind); d != "" {
		b.Fatal(d)
	}
	if d := cmp.Diff(all, b.marked(keysOf(all)...), byKind); d != "" {
		b.Fatal(d)
	}
}

func testMarkerAsked(b *bench) {
	const many = broker.MaxMarkers
	var all []broker.Marker
	for i := range many {
		all = append(all, fullMarker(b.environment, broker.ReferenceMarker, fmt.Sprint("aws-sm:prod/", i)))
	}
	if m := b.marked(keysOf(all)...); len(m) != 0 {
		b.Fatalf("nothing is stored, and %d are read", len(m))
	}
	b.putAll(all[:many-1])
	if d := cmp.Diff(all[:many-1], b.marked(keysOf(all)...), byKind); d != "" {
		b.Fatal(d)
	}
	if d := cmp.Diff(all[:1], b.marked(all[0].Key(), all[0].Key())); d != "" {
		b.Fatal(d)
	}
	if m := b.marked(); m != nil {
		b.Fatalf("nothing was asked for: %+v", m)
	}
}

func testMarkerKeysRefused(b *bench) {
	var many []broker.MarkerKey
	for range broker.MaxMarkers + 1 {
		many = append(many, broker.MarkerKey{Kind: broker.PrincipalMarker, ID: alice})
	}
	for _, keys := range [][]broker.MarkerKey{many, {{}}, {{Kind: "team", ID: "a"}}, {{Kind: broker.AgentMarker}}, {{Kind: broker.EverythingMarker, ID: b.other}}} {
		found, err := b.Marked.Markers(b.Context(), b.environment, keys)
		b.wants(err, broker.ErrInvalid)
		if found != nil {
			b.Fatalf("%+v beside the error", found)
		}
	}
	_, err := b.Marked.Markers(b.Context(), "Prod/x", nil)
	b.wants(err, broker.ErrInvalid)
}

func testMarkerUnread(b *bench) {
	all := b.everyKind()
	b.putAll(all)
	heal := b.Fail()
	found, err := b.Marked.Markers(b.Context(), b.environment, keysOf(all))
	heal()
	b.wants(err, broker.ErrUnavailable)
	if found != nil {
		b.Fatalf("%+v beside the error", found)
	}
}

func (b *bench) putEverything(epoch int64, reason string) error {
	m := fullMarker(b.environment, broker.EverythingMarker, b.environment)
	m.Epoch, m.Reason = epoch, reason
	return b.Markers.PutMarker(b.Context(), m)
}

func testMarkerRaceOfAll(b *bench) {
	for epoch := int64(1); epoch <= 2; epoch++ {
		var winner string
		for i, err := range race(racers, func(i int) error {
			return b.persist(func() error { return b.putEverything(epoch, text(i)) })
		}) {
			switch {
			case err != nil:
				b.wants(err, broker.ErrConflict)
			case winner != "":
				b.Fatalf("%s and %s won", winner, text(i))
			default:
				winner = text(i)
			}
		}
		for range 16 { // whichever copy is read
			if m := b.markers(); len(m) != 1 || m[0].Reason != winner || m[0].Epoch != epoch {
				b.Fatalf("%s was told it won, and %+v is stored", winner, m)
			}
		}
	}
}

func testMarkerLostOfAll(b *bench) {
	for i, losses := range []int{1, 3, 4} {
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error { return b.putEverything(int64(i+1), "lost") }))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		for range 16 {
			if m := b.markers(); len(m) != 1 || m[0].Epoch != int64(i+1) {
				b.Fatalf("stored: %+v", m)
			}
		}
	}
}
