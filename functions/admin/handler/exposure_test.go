package handler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// world is two servers with cards of every form of actor.
func world(t testing.TB) *fixture {
	t.Helper()
	f := newFixture(t)
	f.seed(t) // notes: dev-notes for the group dev
	f.server(t, "wiki", "team-other")
	f.bind(t, "notes", "alice", `{"principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa"}`)
	f.bind(t, "notes", "alice-bot", `{"principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa","agent":"oidc:bot"}`)
	f.bind(t, "notes", "bob", `{"principal":"p-bobaaaaaaaaaaaaaaaaaaaaaaa"}`)
	f.bind(t, "wiki", "any", `{"anyone":true}`)
	f.bind(t, "wiki", "bot", `{"agent":"oidc:bot"}`)
	f.bind(t, "wiki", "ci", `{"attribute":{"name":"service","value":"ci"}}`)
	return f
}

// TestWhoCouldUse: each subject leads to its cards, and says by what they cover.
func TestWhoCouldUse(t *testing.T) {
	f := world(t)
	f.call(t, "root", "DELETE", "/servers/wiki/bindings/ci", nil, "If-Match", `"v1"`).want(t, 204, "")
	all := []string{"alice person", "alice-bot person", "bob person", "dev-notes group", "any anyone", "bot agent"}
	for query, want := range map[string][]string{
		"store=aws-sm":                           slices.Clone(all),
		"reference=aws-sm:prod/notes%23else":     all,
		"reference=aws-sm:prod/other":            nil,
		"store=none":                             nil,
		"server=notes&binding=bob":               {"bob person"},
		"server=notes&binding=none":              nil,
		"server=none&binding=bob":                nil,
		"principal=p-aliceaaaaaaaaaaaaaaaaaaaaa": {"alice person", "alice-bot person", "dev-notes group", "any anyone", "bot agent"},
		"principal=p-nobodyknowsaaaaaaaaaaaaaaa": {"dev-notes group", "any anyone", "bot agent"},
		"agent=oidc:bot":                         {"alice person", "alice-bot person", "bob person", "dev-notes group", "any anyone", "bot agent"},
		"agent=oidc:else":                        {"alice person", "bob person", "dev-notes group", "any anyone"},
	} {
		a := f.call(t, "auditor", "GET", "/exposure/bindings?"+query, nil).want(t, 200, "")
		var got []string
		for i, name := range a.items("binding") {
			got = append(got, name+" "+a.items("by")[i])
		}
		for _, list := range [][]string{want, got} { // an index of uses has an order of its own
			slices.Sort(list)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", query, d)
		}
		for _, limit := range []string{"1", "2"} {
			if d := cmp.Diff(a.items("binding"), f.pages(t, "auditor", "/exposure/bindings?limit="+limit+"&"+query, "binding")); d != "" {
				t.Errorf("%s, %s a page: %s", query, limit, d)
			}
		}
	}
	f.clean(t)
}

// TestWhatAnExposedBindingSays: all that tells whether it is a way in now.
func TestWhatAnExposedBindingSays(t *testing.T) {
	f := world(t)
	two := strings.Replace(bindingBody, `"state":"active"`, `"expires":"2090-01-01T00:00:00Z","state":"suspended"`, 1)
	f.call(t, "root", "PUT", "/servers/notes/bindings/dev-notes", two, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/wiki", strings.Replace(serverBody, "notes.example.com", "moved.example.com", 1), "If-Match", `"v1"`).want(t, 200, "")
	group := f.call(t, "auditor", "GET", "/exposure/bindings?server=notes&binding=dev-notes", nil).body
	want := map[string]any{"server": "notes", "binding": "dev-notes", "version": 2.0, "environment": "prod", "by": "group", "actor": map[string]any{"group": "dev"},
		"references": []any{"token=aws-sm:prod/notes#token"}, "mode": "service_account", "owner": "team-notes", "state": "suspended", "server_state": "active",
		"pending": false, "expires": "2090-01-01T00:00:00Z", "cannot_enumerate": unknown("group"),
		"calls": "stopped", "revoked": []any{}}
	if d := cmp.Diff(want, group["items"].([]any)[0]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]any{unknown("group")}, group["cannot_enumerate"]); d != "" {
		t.Error(d)
	}
	moved := f.call(t, "auditor", "GET", "/exposure/bindings?server=wiki&binding=any", nil)
	if !slices.Equal(moved.items("pending"), []string{"true"}) {
		t.Errorf("%s", moved.Body)
	}
	f.call(t, "root", "PUT", "/stores/vault", strings.Replace(vaultBody, "prod/vault#token", "prod/notes#token", 1), "If-None-Match", "*").want(t, 200, "")
	reference := f.call(t, "auditor", "GET", "/exposure/bindings?reference=aws-sm:prod/notes", nil).body
	if d := cmp.Diff([]any{"vault"}, reference["signs_in"]); d != "" || reference["cannot_enumerate"].([]any)[0] != otherSpellings {
		t.Errorf("%s, %v", d, reference["cannot_enumerate"])
	}
}

// TestACardThatNoLongerHasTheReferenceIsNotExposed, though the index of uses
// forgets nothing.
func TestACardThatNoLongerHasTheReferenceIsNotExposed(t *testing.T) {
	f := world(t)
	b, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "notes"}, "dev-notes")
	if err != nil {
		t.Fatal(err)
	}
	second, err := broker.ParseReference("aws-sm:prod/second#token")
	if err != nil {
		t.Fatal(err)
	}
	b.Fields = []broker.Field{{Name: "token", Reference: second}}
	if err := f.tables.PutBinding(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := f.call(t, "auditor", "GET", "/exposure/bindings?reference=aws-sm:prod/notes", nil).items("binding"); slices.Contains(got, "dev-notes") {
		t.Errorf("%v", got)
	}
	if got := f.call(t, "auditor", "GET", "/exposure/bindings?store=aws-sm", nil).items("binding"); strings.Count(strings.Join(got, " "), "dev-notes") != 1 {
		t.Errorf("%v", got)
	}
}

// TestExactlyOneSubject.
func TestExactlyOneSubject(t *testing.T) {
	f := world(t)
	for _, query := range []string{"", "server=notes", "binding=dev-notes", "store=aws-sm&agent=a", "principal=p&agent=a", "server=notes&binding=bob&store=aws-sm",
		"reference=" + canary, "reference=" + canary + "&store=aws-sm", "store=" + canary, "principal=" + strings.Repeat("p", 257), "agent=%ff"} {
		for _, table := range []string{"bindings", "people"} {
			f.call(t, "auditor", "GET", "/exposure/"+table+"?"+query, nil).want(t, 422, "invalid")
		}
	}
	f.clean(t)
}

// TestWhoUsedIt: people and agents that were really seen, of a group's card too.
func TestWhoUsedIt(t *testing.T) {
	f := world(t)
	first, last := time.Now().Add(-48*time.Hour).UTC().Truncate(time.Millisecond), time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	for _, c := range []called{
		{principal: "p-carolaaaaaaaaaaaaaaaaaaaaa", binding: "dev-notes", reference: "aws-sm:prod/notes#token", at: last},
		{principal: "p-carolaaaaaaaaaaaaaaaaaaaaa", binding: "dev-notes", reference: "aws-sm:prod/notes#token", at: first},
		{principal: "p-daveaaaaaaaaaaaaaaaaaaaaaa", agent: "oidc:bot", binding: "dev-notes", reference: "aws-sm:prod/notes#token", at: last, reason: broker.UpstreamFailed},
		{principal: "p-erinaaaaaaaaaaaaaaaaaaaaaa", binding: "dev-notes", at: last, reason: broker.SecretMissing}, // got no credential
	} {
		c.server = "notes"
		f.happened(t, c)
	}
	for query, want := range map[string][]string{
		"server=notes&binding=dev-notes":         {"p-carolaaaaaaaaaaaaaaaaaaaaa", "p-daveaaaaaaaaaaaaaaaaaaaaaa"},
		"store=aws-sm":                           {"p-carolaaaaaaaaaaaaaaaaaaaaa", "p-daveaaaaaaaaaaaaaaaaaaaaaa"},
		"reference=aws-sm:prod/notes":            {"p-carolaaaaaaaaaaaaaaaaaaaaa", "p-daveaaaaaaaaaaaaaaaaaaaaaa"},
		"principal=p-daveaaaaaaaaaaaaaaaaaaaaaa": {"p-daveaaaaaaaaaaaaaaaaaaaaaa"},
		"agent=oidc:bot":                         {"p-daveaaaaaaaaaaaaaaaaaaaaaa"},
		"principal=p-erinaaaaaaaaaaaaaaaaaaaaaa": nil,
		"store=none":                             nil,
	} {
		for _, limit := range []string{"1", "200"} {
			got := f.pages(t, "auditor", "/exposure/people?limit="+limit+"&"+query, "principal")
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s a page: %s", query, limit, d)
			}
		}
	}
	a := f.call(t, "auditor", "GET", "/exposure/people?principal=p-carolaaaaaaaaaaaaaaaaaaaaa", nil)
	want := map[string]any{"principal": "p-carolaaaaaaaaaaaaaaaaaaaaa", "server": "notes", "binding": "dev-notes", "first": stamp(first), "last": stamp(last)}
	if d := cmp.Diff(want, a.body["items"].([]any)[0]); d != "" || a.body["lag"].(map[string]any)["newest"] == nil {
		t.Errorf("%s %s", d, a.Body)
	}
}

// TestPagesAreWholeWhileCardsAreMade: each card that was there before the first
// page stands on one page, once.
func TestPagesAreWholeWhileCardsAreMade(t *testing.T) {
	for _, path := range []string{"/exposure/bindings?store=aws-sm&limit=2", "/exposure/bindings?principal=p-nobodyaaaaaaaaaaaaaaaaaaaa&limit=2", "/posture?limit=2"} {
		f := newFixture(t)
		f.seed(t)
		for i := range 15 {
			f.bind(t, "notes", fmt.Sprintf("there-%02d", i), `{"anyone":true}`)
		}
		stop := make(chan struct{})
		var making sync.WaitGroup
		making.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f.bind(t, "notes", fmt.Sprintf("%c-%04d", "amz"[i%3], i), `{"anyone":true}`)
					time.Sleep(time.Millisecond)
				}
			}
		})
		seen := map[string]int{}
		for _, name := range f.pages(t, "auditor", path, "binding") {
			seen[name]++
		}
		close(stop)
		making.Wait()
		for i := range 15 {
			if name := fmt.Sprintf("there-%02d", i); seen[name] != 1 {
				t.Errorf("%s has %s %d times", path, name, seen[name])
			}
		}
	}
}

// TestAPageIsBounded: it ends after so many reads, with a place to go on from,
// however little it found.
func TestAPageIsBounded(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for i := range pageReads + 5 {
		f.server(t, fmt.Sprintf("s-%03d", i), "team-notes")
		f.bind(t, fmt.Sprintf("s-%03d", i), "one", `{"principal":"p-elseaaaaaaaaaaaaaaaaaaaaaa"}`)
	}
	f.bind(t, "s-068", "found", `{"principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa"}`)
	before := f.tables.Calls(memory.ListBindings)
	a := f.call(t, "auditor", "GET", "/exposure/bindings?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&limit=200", nil).want(t, 200, "")
	if read := f.tables.Calls(memory.ListBindings) - before; read > pageReads || a.body["next"] == nil {
		t.Errorf("%d reads, next %v", read, a.body["next"])
	}
	if got := f.pages(t, "auditor", "/exposure/bindings?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&limit=200", "server"); !slices.Equal(got, []string{"notes", "s-068"}) {
		t.Errorf("found %v", got)
	}
}

// TestAPageThatTakesTooLongIsCutShort, and one that comes nowhere fails.
func TestAPageThatTakesTooLongIsCutShort(t *testing.T) {
	slow := memory.Fault{Wait: func(ctx context.Context) { <-ctx.Done() }}
	for name, c := range map[string]struct {
		path string
		op   memory.Op
	}{
		"by going through all cards": {"/exposure/bindings?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa", memory.ListBindings},
		"by the index of uses":       {"/exposure/bindings?store=aws-sm", memory.ListUses},
		"posture":                    {"/posture?x=", memory.ListBindings},
	} {
		t.Run(name, func(t *testing.T) {
			f := world(t)
			for i := range exposedStep {
				f.bind(t, "notes", fmt.Sprintf("n-%02d", i), `{"anyone":true}`)
			}
			path := strings.TrimSuffix(c.path, "?x=")
			all := f.pages(t, "auditor", path, "binding")
			synctest.Test(t, func(t *testing.T) {
				f.tables.Inject(c.op, slow)
				f.call(t, "auditor", "GET", path, nil).want(t, 503, "unavailable")
				f.tables.Inject(c.op, memory.Fault{}, slow)
				got := f.pages(t, "auditor", path+map[bool]string{true: "&limit=200", false: ""}[strings.Contains(path, "?")], "binding")
				if d := cmp.Diff(all, got); d != "" {
					t.Errorf("with a page that was cut short: %s", d)
				}
			})
		})
	}
}

// TestExposureFailsWhole: what cannot be read is not left out.
func TestExposureFailsWhole(t *testing.T) {
	f := world(t)
	for path, op := range map[string]memory.Op{
		"/exposure/bindings?store=aws-sm":                           memory.ListUses,
		"/exposure/bindings?reference=aws-sm:prod/x":                memory.ListStores,
		"/exposure/bindings?server=notes&binding=bob":               memory.ReadBinding,
		"/exposure/bindings?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa": memory.ListServers,
		"/exposure/bindings?agent=a":                                memory.ListBindings,
		"/exposure/people?store=aws-sm":                             memory.ReadSeen,
		"/exposure/people?store=x":                                  memory.ReadLag,
		"/audit":                                                    memory.ReadEntries,
		"/audit/01ARZ3NDEKTSV4RRFFQ69G5FAV":                         memory.ReadReceipt,
		"/posture":                                                  memory.ListStores,
	} {
		f.tables.Inject(op, memory.Refuse())
		f.call(t, "auditor", "GET", path, nil).want(t, 503, "unavailable")
		f.tables.Clear()
	}
}
