package dynamo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// everyKey builds the keys of all rows that these parts could name, with what
// each stands for.
func everyKey(a, b, c string) map[string]key {
	r := broker.Route{Environment: a, Server: b}
	keys := map[string]key{
		fmt.Sprintf("server %q %q", a, b):           serverKey(r),
		fmt.Sprintf("shared %q %q %q", a, b, c):     bindingKey(r, "", c),
		fmt.Sprintf("head %q %q %q", a, b, c):       headKey(r, c),
		fmt.Sprintf("version %q %q %q 1", a, b, c):  versionKey(r, c, 1),
		fmt.Sprintf("version %q %q %q 2", a, b, c):  versionKey(r, c, 2),
		fmt.Sprintf("tool %q %q %q", a, b, c):       toolKey(r, c),
		fmt.Sprintf("agent %q %q", a, b):            agentKey(a, b),
		fmt.Sprintf("index %q %q", a, b):            indexKey(r),
		fmt.Sprintf("attempt %q %q %q", a, b, c):    attemptKey(a, b, c),
		fmt.Sprintf("assignment %q %q", a, b):       assignmentKey(a, b),
		fmt.Sprintf("plan %q %q", a, b):             rotationPlanKey(a, b),
		fmt.Sprintf("claim of plan %q %q", a, b):    planClaimKey(a, b),
		fmt.Sprintf("policy set %q %q", a, b):       policySetKey(a, b),
		fmt.Sprintf("name of set %q %q", a, b):      policySetNameKey(a, b),
		fmt.Sprintf("use %q %q %q", a, b, c):        useKey(a, b, c),
		fmt.Sprintf("provider %q %q", a, b):         providerKey(a, b),
		fmt.Sprintf("grant %q %q %q", a, b, c):      grantKey(broker.GrantKey{Environment: "e", Principal: a, Server: b, Origin: c}),
		fmt.Sprintf("consent %q %q %q", a, b, c):    consentKey(broker.GrantKey{Environment: "e", Principal: "p", Server: a, Origin: b}, c),
		fmt.Sprintf("registered %q %q %q", a, b, c): registeredKey(a, b, c),
		fmt.Sprintf("handle %q %q %q", a, b, c):     handleKey(a, b, c),
		fmt.Sprintf("sealed %q %q", a, b):           sealedKey(a, b),
		fmt.Sprintf("name of sealed %q %q", a, b):   sealedNameKey(a, b),
		fmt.Sprintf("set %q %q", a, b):              keySetKey(a, b),
		fmt.Sprintf("claim %q %q", a, b):            claimKey(a, b),
		fmt.Sprintf("rolling %q", a):                rollingKeyKey(a, 20513),
		fmt.Sprintf("window %q %q", a, b):           windowKey(broker.Quota{Environment: a, Subject: b}, time.Unix(0, 0)),
		fmt.Sprintf("place %q %q", a, b):            placeKey(a, b, 0),
	}
	if b != "" { // without a principal it is the shared binding
		keys[fmt.Sprintf("personal %q s %q %q", a, b, c)] = bindingKey(broker.Route{Environment: a, Server: "s"}, b, c)
	}
	for _, kind := range []broker.MarkerKind{broker.PrincipalMarker, broker.AgentMarker, broker.SessionMarker, broker.ServerMarker,
		broker.ReferenceMarker, broker.GrantMarker, broker.ChangeMarker} {
		keys[fmt.Sprintf("marker %q %s %q", a, kind, b)] = markerKey(a, broker.MarkerKey{Kind: kind, ID: b})
	}
	if !strings.Contains(b, "/") { // no server's name has one
		keys[fmt.Sprintf("marker %q binding %q %q", a, b, c)] = markerKey(a, broker.MarkerKey{Kind: broker.BindingMarker, ID: b + "/" + c})
	}
	for _, shard := range []int{0, 7} {
		for _, kind := range []broker.MarkerKind{broker.GroupMarker, broker.IssuerMarker, broker.StoreMarker, broker.EnvironmentMarker, broker.EverythingMarker} {
			keys[fmt.Sprintf("marker %q %s %q %d", a, kind, b, shard)] = wideMarkerKey(a, broker.MarkerKey{Kind: kind, ID: b}, shard)
		}
		keys[fmt.Sprintf("environment %q %d", a, shard)] = environmentKey(a, shard)
		keys[fmt.Sprintf("store %q %q %d", a, b, shard)] = storeKey(a, b, shard)
	}
	return keys
}

// apart fails if two different rows of one table share a key.
func apart(t *testing.T, tuples [][3]string) {
	t.Helper()
	owner := map[key]string{}
	for _, tuple := range tuples {
		for what, k := range everyKey(tuple[0], tuple[1], tuple[2]) {
			if other, taken := owner[k]; taken && other != what {
				t.Fatalf("%s and %s share the key %q", what, other, k)
			}
			owner[k] = what
		}
	}
}

func TestNoTwoRowsShareAKey(t *testing.T) {
	parts := []string{"", "a", "b", "/", "#", "%", "a/b", "a/", "/a", "a#0", "a#", "#0", "%2F", "a%2Fb", "%252F", "state", "server",
		"binding/a", "binding", "store/a", "name/a", "id/a", "1", "a/0000000000000001", "\xff", "\xfe", "\uFFFD", "é", " ", "+", "..", "."}
	var tuples [][3]string
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				tuples = append(tuples, [3]string{a, b, c})
			}
		}
	}
	apart(t, tuples)
}

func FuzzNoTwoRowsShareAKey(f *testing.F) {
	f.Add("a/b", "c", "d", "a", "b/c", "d")
	f.Add("a", "b#1", "\xff", "a#", "b", "\xfe")
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g string) {
		apart(t, [][3]string{{a, b, c}, {d, e, g}, {a, e, c}, {a + "/" + b, c, g}, {a, b + "/" + c, g}})
	})
}

func TestTheLongestIdsFitIntoAKey(t *testing.T) {
	name, id := strings.Repeat("n", broker.MaxName), strings.Repeat("é", broker.MaxID/2)
	r := broker.Route{Environment: name, Server: name}
	for _, k := range []key{toolKey(r, id), agentKey(name, id), bindingKey(r, id, name), markerKey(name, broker.MarkerKey{Kind: broker.PrincipalMarker, ID: id}),
		markerKey(name, broker.MarkerKey{Kind: broker.GroupMarker, ID: id}), markerKey(name, broker.MarkerKey{Kind: broker.ReferenceMarker, ID: strings.Repeat("/", broker.MaxReference)}),

		sealedKey(name, id), sealedNameKey(name, id), useKey(name, name, strings.Repeat("x", 53)), attemptKey(name, id, id), claimKey(name, id), versionKey(r, name, 1<<53),
		consentKey(broker.GrantKey{Environment: name, Principal: id, Server: name, Origin: name}, id), registeredKey(name, name, id), handleKey(name, name, id), placeKey(name, id+name, 1_000_000)} {
		if len(k.pk) > 2048 || len(k.sk) > 1024 {
			t.Fatalf("%d bytes of pk and %d of sk are more than DynamoDB takes", len(k.pk), len(k.sk))
		}
	}
}

func TestVersionsOfABindingSortByNumber(t *testing.T) {
	r := broker.Route{Environment: "prod", Server: "github"}
	if a, b := versionKey(r, "card", 9), versionKey(r, "card", 10); a.sk >= b.sk {
		t.Fatalf("%q does not sort before %q", a.sk, b.sk)
	}
}

// onEitherSide fails unless a name lies either after another one or not, as
// its key says, and within the bounds of its kind alone.
func onEitherSide(t *testing.T, a, b string) {
	t.Helper()
	at := agentKey("prod", b).sk
	first, last := after("id", a)
	if got, want := first <= at && at <= last, at > agentKey("prod", a).sk; got != want {
		t.Fatalf("%q after %q: %v, want %v", b, a, got, want)
	}
	for _, other := range []string{"", "name", "ie", "ic"} {
		if at := join(other, b); first <= at && at <= last {
			t.Fatalf("%q lies among the ids after %q", at, a)
		}
	}
}

func TestAPageBeginsRightAfterItsName(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for _, names := range [][2]string{{string([]byte{byte(a)}), string([]byte{byte(b)})}, {"n", string([]byte{'n', byte(b)})},
				{string([]byte{'n', byte(a)}), string([]byte{'n', byte(b), byte(a)})}} {
				onEitherSide(t, names[0], names[1])
			}
		}
	}
}

func TestThePageOfAReferenceHoldsItsUsesAlone(t *testing.T) {
	digest := func(s string) string { return broker.Digest(s) }
	mine, other := digest("mine"), []string{strings.Repeat("2", 26), strings.Repeat("7", 26), strings.Repeat("a", 26), strings.Repeat("z", 26), digest("other")}
	other = append(other, mine[:25]+"a", mine[:25]+"z", mine[:25]+"2", mine[:25]+"7") // neighbours that differ late
	first, last := usesBetween(mine, "")
	whole, end := usesBetween("", "")
	for _, binding := range append(other, mine) {
		if sk := useKey("prod", "aws-sm", mine+"."+binding).sk; sk < first || sk > last {
			t.Fatalf("%q lies outside", sk)
		}
		for _, reference := range other {
			sk := useKey("prod", "aws-sm", reference+"."+binding).sk
			if reference != mine && first <= sk && sk <= last {
				t.Fatalf("%q lies among the uses of %q", sk, mine)
			}
			if sk < whole || sk > end {
				t.Fatalf("%q lies outside of its store", sk)
			}
			if rest, _ := usesBetween("", reference+"."+binding); sk >= rest {
				t.Fatalf("%q comes after itself", sk)
			}
		}
	}
}

func FuzzAPageBeginsRightAfterItsName(f *testing.F) {
	f.Add("a/b", "a")
	f.Add("", "\x00")
	f.Fuzz(onEitherSide)
}

func TestThePageOfGrantsBeginsRightAfterItsGrant(t *testing.T) {
	names := []string{"-", "-a", "0", "a", "a-", "a-b", "a0", "ab", "z", "zz", strings.Repeat("z", broker.MaxName)}
	sorts := func(server, origin string) string {
		return grantKey(broker.GrantKey{Environment: "e", Principal: "p", Server: server, Origin: origin}).sk
	}
	for _, a := range names {
		for _, b := range names {
			first, last := grantsAfter(a + "/" + b)
			begin, end := grantsAfter("")
			for _, c := range names {
				for _, d := range names {
					at := sorts(c, d)
					if got, want := first <= at && at <= last, at > sorts(a, b); got != want {
						t.Fatalf("%s/%s after %s/%s: %v, want %v", c, d, a, b, got, want)
					}
					if at < begin || at > end {
						t.Fatalf("%s/%s is on no page", c, d)
					}
					stem := grantStem(a, b)
					if mine := stem+"/" <= at && at <= stem+"0"; mine != (a == c && b == d) {
						t.Fatalf("%s/%s read with %s/%s: %v", c, d, a, b, mine)
					}
				}
			}
		}
	}
}
