package handler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// use is what a card says of its use, read alone and in the list.
func (f *fixture) use(t *testing.T, who string) map[string]any {
	t.Helper()
	card := f.call(t, who, "GET", "/servers/notes/bindings/dev-notes", nil).want(t, 200, "")
	list := f.call(t, who, "GET", "/servers/notes/bindings?limit=1", nil).want(t, 200, "")
	if d := cmp.Diff(card.body["use"], list.body["items"].([]any)[0].(map[string]any)["use"]); d != "" {
		t.Errorf("the list says otherwise: %s", d)
	}
	return card.body["use"].(map[string]any)
}

// TestACardSaysHowItsCallsGo, without saying whose.
func TestACardSaysHowItsCallsGo(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.bind(t, "notes", "later", `{"anyone":true}`) // so that the list has two pages
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	c := called{principal: "p-" + canary, server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", version: "v1"}
	want := map[string]any{"health": "unused"}
	for i, step := range []struct {
		reason  broker.Reason
		version string
		health  string
	}{
		{"", "v1", "good"}, {broker.UpstreamAuth, "v1", "failing"}, {broker.CallerGone, "v1", "good"}, {broker.StoreDenied, "v1", "failing"}, {"", "v2", "good"},
	} {
		if d := cmp.Diff(want, f.use(t, "owner")); d != "" {
			t.Errorf("before step %d: %s", i, d)
		}
		c.at, c.reason, c.version = at.Add(time.Duration(i)*time.Minute), step.reason, step.version
		f.happened(t, c)
		want["last_used"], want["health"] = stamp(c.at), step.health
		if step.reason == "" {
			want["last_good"], want["last_rotated"] = stamp(c.at), stamp(c.at)
			delete(want, "last_reason")
		} else {
			want["last_reason"] = string(step.reason)
		}
	}
	if d := cmp.Diff(want, f.use(t, "owner")); d != "" {
		t.Error(d)
	}
	if strings.Contains(f.seen.String(), canary) {
		t.Error("a card says who used it")
	}
	if a := f.call(t, "owner", "GET", "/servers/notes/bindings/dev-notes/versions/1", nil); a.body["use"] != nil {
		t.Errorf("an old version says how it is used: %s", a.Body)
	}
}

// TestACardIsAnsweredWithoutTheIndex: its health is unknown then, unless the
// card itself says it.
func TestACardIsAnsweredWithoutTheIndex(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes", version: "v1", at: time.Now()})
	for _, op := range []memory.Op{memory.ReadUsages, memory.ReadRotations} {
		f.tables.Inject(op, memory.Refuse(), memory.Refuse())
		if d := cmp.Diff(map[string]any{"health": "unknown"}, f.use(t, "admin")); d != "" {
			t.Error(d)
		}
	}
	f.tables.Clear()
	f.call(t, "root", "PUT", "/servers/notes/bindings/dev-notes", strings.Replace(bindingBody, `"state":"active"`, `"state":"suspended"`, 1), "If-Match", `"v1"`).want(t, 200, "")
	f.tables.Inject(memory.ReadUsages, memory.Refuse(), memory.Refuse())
	if d := cmp.Diff(map[string]any{"health": "stopped"}, f.use(t, "admin")); d != "" {
		t.Error(d)
	}
}

// TestACardThatRestsOnWhatIsRevokedIsStopped, and no longer when that is lifted;
// where it cannot be told, the card is not called good.
func TestACardThatRestsOnWhatIsRevokedIsStopped(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes", version: "v1", at: time.Now()})
	for kind, subject := range map[string]string{"binding": "notes/dev-notes", "server": "notes", "store": "aws-sm", "reference": "aws-sm:prod/notes"} {
		id := f.stop(t, "admin", kind, subject).want(t, 200, "").body["revocation"].(string)
		if got := f.use(t, "admin")["health"]; got != "stopped" {
			t.Errorf("its %s is revoked, and it is %v", kind, got)
		}
		f.call(t, "root", "POST", "/revocations/"+id+"/lift", liftBody).want(t, 200, "")
		if got := f.use(t, "admin")["health"]; got != "good" {
			t.Errorf("its %s is lifted, and it is %v", kind, got)
		}
	}
	f.tables.Inject(memory.ReadMarkers, memory.Fault{}, memory.Refuse())
	list := f.call(t, "admin", "GET", "/servers/notes/bindings?limit=1", nil).want(t, 200, "")
	if got := list.body["items"].([]any)[0].(map[string]any)["use"].(map[string]any)["health"]; got != "unknown" {
		t.Errorf("without the markers it is %v", got)
	}
}

// TestHealth: what a card refuses by itself comes before how its calls went.
func TestHealth(t *testing.T) {
	now := time.Now()
	server := broker.Server{Name: "notes", State: broker.Active, URL: "https://notes.example.com/mcp"}
	origin, err := broker.OriginDigest(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	good := broker.Usage{Last: now, LastGood: now}
	for name, c := range map[string]struct {
		change func(*card)
		usage  broker.Usage
		want   string
	}{
		"good":                        {func(*card) {}, good, "good"},
		"never called":                {func(*card) {}, broker.Usage{}, "unused"},
		"failing":                     {func(*card) {}, broker.Usage{Last: now, LastGood: now, Reason: broker.StoreDenied}, "failing"},
		"left by its only caller":     {func(*card) {}, broker.Usage{Last: now, Reason: broker.CallerGone}, "unknown"},
		"its caller's token ended":    {func(*card) {}, broker.Usage{Last: now, LastGood: now, Reason: broker.TokenExpired}, "good"},
		"suspended":                   {func(c *card) { c.binding.State = broker.Suspended }, good, "stopped"},
		"revoked":                     {func(c *card) { c.binding.State = broker.Revoked }, good, "stopped"},
		"of a stopped server":         {func(c *card) { c.server.State = broker.Suspended }, good, "stopped"},
		"of a server that is pending": {func(c *card) { c.server.State = broker.Pending }, good, "pending"},
		"expired":                     {func(c *card) { c.binding.Expires = now }, good, "expired"},
		"expires later":               {func(c *card) { c.binding.Expires = now.Add(time.Second) }, good, "good"},
		"its server was moved":        {func(c *card) { c.server.URL = "https://moved.example.com" }, good, "pending"},
	} {
		one := card{server, broker.Binding{State: broker.Active, Origin: origin}}
		c.change(&one)
		got := stoppedBy(one, now)
		if got == "" {
			got = healthOf(c.usage)
		}
		if got != c.want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// TestACardNamesThePoliciesInForce: a reviewer sees what else decides over its calls.
func TestACardNamesThePoliciesInForce(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	named := func() any {
		return f.call(t, "owner", "GET", "/servers/notes/bindings/dev-notes", nil).want(t, 200, "").body["policy_set"]
	}
	if got := named(); got != nil {
		t.Errorf("without policies the card names %v", got)
	}
	id := f.stored(t, noDeletion, deletionTests)
	f.inForce(t, id, "").want(t, 200, "")
	if got := named(); got != id {
		t.Errorf("the card names %v, in force is %s", got, id)
	}
}
