package handler

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// TestWhoMayAskAboutPeople: the auditor and the super admin. Whoever asks is
// recorded, and what it was about.
func TestWhoMayAskAboutPeople(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, path := range []string{"/audit", "/audit/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/exposure/bindings?store=aws-sm", "/exposure/people?store=aws-sm"} {
		for who := range people {
			a := f.call(t, who, "GET", path, nil)
			switch allowed := who == "auditor" || who == "root"; {
			case allowed && a.Code == 403, !allowed && a.Code != 403:
				t.Errorf("%s of %s is answered %d", path, who, a.Code)
			}
			if r := f.records(a); len(r) != 1 || !strings.HasPrefix(r[0].Object, "audit/") {
				t.Errorf("%s of %s is recorded as %+v", path, who, r)
			}
		}
	}
	a := f.call(t, "auditor", "GET", "/exposure/people?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa", nil).want(t, 200, "")
	if r := f.records(a); r[0].Object != "audit/exposure/principal/p-aliceaaaaaaaaaaaaaaaaaaaaa" || r[0].Target != "read_audit" {
		t.Errorf("recorded %+v", r)
	}
	f.clean(t)
}

// TestEveryFilterOfTheAudit: each alone finds its own, and all together.
func TestEveryFilterOfTheAudit(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	for i, c := range []called{
		{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "one", reference: "aws-sm:prod/notes#token", requestID: "r-1"},
		{principal: "p-bobaaaaaaaaaaaaaaaaaaaaaaa", agent: "oidc:bot", server: "notes", binding: "two", reason: broker.UpstreamFailed},
		{principal: "p-bobaaaaaaaaaaaaaaaaaaaaaaa", server: "wiki", binding: "one", reference: "aws-sm:prod/wiki"},
	} {
		c.at = now.Add(time.Duration(i-10) * time.Minute)
		f.happened(t, c)
	}
	f.keep(t, broker.Record{Schema: 1, Receipt: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Phase: broker.Outcome, At: now, Nonce: "n", Environment: "dev", Principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", Server: "notes"})
	for query, want := range map[string][]string{
		"":                                       {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/wiki/one", "p-bobaaaaaaaaaaaaaaaaaaaaaaa/notes/two", "p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"principal=p-aliceaaaaaaaaaaaaaaaaaaaaa": {"p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"agent=oidc:bot":                         {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/notes/two"},
		"server=notes":                           {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/notes/two", "p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"server=notes&binding=one":               {"p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"reference=aws-sm:prod/notes%23x":        {"p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"}, // whatever its key
		"request_id=r-1":                         {"p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"reason=upstream_failed":                 {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/notes/two"},
		"principal=p-bobaaaaaaaaaaaaaaaaaaaaaaa&server=wiki":                      {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/wiki/one"},
		"principal=p-bobaaaaaaaaaaaaaaaaaaaaaaa&reason=internal":                  nil,
		"principal=p-nobodyaaaaaaaaaaaaaaaaaaaa":                                  nil,
		"server=none&binding=none":                                                nil,
		"reference=none:at/all":                                                   nil,
		"from=" + stamp(now.Add(-9*time.Minute-30*time.Second)):                   {"p-bobaaaaaaaaaaaaaaaaaaaaaaa/wiki/one", "p-bobaaaaaaaaaaaaaaaaaaaaaaa/notes/two"},
		"to=" + stamp(now.Add(-9*time.Minute-30*time.Second)):                     {"p-aliceaaaaaaaaaaaaaaaaaaaaa/notes/one"},
		"principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&to=" + stamp(now.Add(-time.Hour)): nil,
	} {
		a := f.call(t, "auditor", "GET", "/audit?"+query, nil).want(t, 200, "")
		var got []string
		for i, p := range a.items("principal") {
			got = append(got, p+"/"+a.items("server")[i]+"/"+a.items("binding")[i])
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", query, d)
		}
		if rows, _ := f.cells(t, "auditor", "/audit?format=csv&"+query); len(rows) != len(want)+1 || !slices.Equal(rows[0], entryHeader()) {
			t.Errorf("%s as CSV: %v", query, rows)
		}
	}
}

// TestTheTimeThatAQuestionCovers: a day unless told, 400 days at most.
func TestTheTimeThatAQuestionCovers(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	f.happened(t, called{principal: "p-oldaaaaaaaaaaaaaaaaaaaaaaa", at: now.Add(-25 * time.Hour)})
	f.happened(t, called{principal: "p-new", at: now.Add(-time.Hour)})
	if got := f.call(t, "auditor", "GET", "/audit", nil).items("principal"); !slices.Equal(got, []string{"p-new"}) {
		t.Errorf("the last day has %v", got)
	}
	if got := f.call(t, "auditor", "GET", "/audit?to="+stamp(now.Add(-24*time.Hour)), nil).items("principal"); !slices.Equal(got, []string{"p-oldaaaaaaaaaaaaaaaaaaaaaaa"}) {
		t.Errorf("the day before has %v", got)
	}
	day := 24 * time.Hour
	f.call(t, "auditor", "GET", "/audit?from="+stamp(now.Add(-400*day))+"&to="+stamp(now), nil).want(t, 200, "")
	f.call(t, "auditor", "GET", "/audit?from="+stamp(now.Add(-400*day-time.Second))+"&to="+stamp(now), nil).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/audit?from="+stamp(now)+"&to="+stamp(now), nil).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/audit?from="+stamp(now.Add(day)), nil).want(t, 422, "invalid")
	for _, query := range []string{"from=yesterday", "from=" + canary, "to=0001-01-01", "limit=0", "limit=201", "limit=-1", "limit=99999999999999999999",
		"server=" + canary, "binding=one", "reason=" + canary, "reference=" + canary, "format=xml", "principal=" + strings.Repeat("p", 257), "after=" + strings.Repeat("a", 4097)} {
		f.call(t, "auditor", "GET", "/audit?"+query, nil).want(t, 422, "invalid")
	}
	long := url.QueryEscape(strings.Repeat("\U0001F600", 256)) // 256 characters, 1024 bytes
	a := f.call(t, "auditor", "GET", "/audit?principal="+long+"&agent="+long, nil).want(t, 422, "invalid")
	if r := f.records(a); len(r) != 1 || r[0].Object != "audit/entries" {
		t.Errorf("recorded %+v", r)
	}
	f.call(t, "auditor", "GET", "/exposure/people?principal="+long, nil).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/audit?from=1960-01-01T00:00:00Z&to=1960-02-01T00:00:00Z", nil).want(t, 200, "")
	f.clean(t)
}

// TestPagesOfTheAuditAreWhole while calls go on: each entry that was there
// before the first page stands on one page, once.
func TestPagesOfTheAuditAreWhole(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 23 {
		want = append(want, f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", at: time.Now().Add(-time.Duration(i+1) * time.Minute)}))
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", at: time.Now()})
				time.Sleep(time.Millisecond)
			}
		}
	})
	got := f.pages(t, "auditor", "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&limit=2", "receipt")
	close(stop)
	writing.Wait()
	seen := map[string]int{}
	for _, receipt := range got {
		seen[receipt]++
	}
	for _, receipt := range want {
		if seen[receipt] != 1 {
			t.Errorf("a receipt stands on %d pages", seen[receipt])
		}
	}
}

// TestATokenOpensItsOwnQuestionOnly: not another one, not in another
// environment, and nothing that was made up.
func TestATokenOpensItsOwnQuestionOnly(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for i := range 3 {
		f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", at: time.Now().Add(-time.Duration(i) * time.Minute)})
	}
	next := func(f *fixture, path string) string {
		token, _ := f.call(t, "auditor", "GET", path, nil).want(t, 200, "").body["next"].(string)
		return token
	}
	token := next(f, "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&limit=1")
	if token == "" {
		t.Fatal("there is one page only")
	}
	f.call(t, "auditor", "GET", "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&limit=200&after="+token, nil).want(t, 200, "")
	other := newFixture(t)
	other.environment = "dev"
	other.call(t, "auditor", "GET", "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after="+token, nil).want(t, 422, "invalid")
	forged := place{f.question("list-audit", "", "", "p-aliceaaaaaaaaaaaaaaaaaaaaa", "", "", "", "", "", ""), time.Now().Add(-500 * 24 * time.Hour), time.Now(), "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
	elsewhere := forged
	elsewhere.from, elsewhere.after = time.Now().Add(-time.Hour), "prod/p-aliceaaaaaaaaaaaaaaaaaaaaa"
	for _, path := range []string{
		"/audit?after=" + token, "/audit?principal=p-bobaaaaaaaaaaaaaaaaaaaaaaa&after=" + token, "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&server=notes&after=" + token,
		"/exposure/people?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + token, "/exposure/bindings?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + token, "/posture?after=" + token,
		"/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + token + "A", "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + token[1:], "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=p-aliceaaaaaaaaaaaaaaaaaaaaa",
		"/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + forged.token(), "/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + elsewhere.token(),
		"/audit?principal=p-aliceaaaaaaaaaaaaaaaaaaaaa&after=" + url.QueryEscape(canary),
		"/posture?after=" + place{of: f.question("list-posture"), after: "a/b/c"}.token(), "/posture?after=" + place{of: f.question("list-posture"), after: "/"}.token(),
		"/exposure/people?store=aws-sm&after=" + place{of: f.question("list-seen-people", "store", "aws-sm"), after: "../" + canary}.token(),
		"/exposure/bindings?store=aws-sm&after=" + place{of: f.question("list-exposed-bindings", "store", "aws-sm"), after: "\x00" + canary}.token(),
	} {
		f.call(t, "auditor", "GET", path, nil).want(t, 422, "invalid")
	}
	f.clean(t)
}

// TestWhyWasThisRefused: the receipt alone says it, from the audit table itself.
func TestWhyWasThisRefused(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	refused := broker.Record{Schema: 1, Receipt: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Phase: broker.Refused, At: time.Now().UTC(), Nonce: "n", Writer: "w", Sequence: 3,
		Environment: "prod", Server: "notes", Principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", Kind: broker.User, Method: "tools/call", Action: broker.CallTool, Target: "erase",
		Reason: broker.PolicyForbids, Status: 403, Policy: "set-1", Policies: []string{"no-erasing"}, Shadow: &broker.Shadowed{Set: "set-2", Effect: "forbid"},
		Candidates: []broker.Candidate{{Binding: "dev-notes", Version: 1, Rank: "group", State: broker.Active}}}
	if err := f.Append(t.Context(), refused); err != nil { // and nothing is indexed
		t.Fatal(err)
	}
	a := f.call(t, "auditor", "GET", "/audit/"+refused.Receipt, nil).want(t, 200, "")
	for _, want := range []string{`"explanation":"A policy on calls forbids it`, `"policies":["no-erasing"]`, `"shadow":{"policy_set":"set-2","effect":"forbid"}`,
		`"candidates":[{"binding":"dev-notes","version":1,"rank":"group","state":"active"}]`, `"reason":"policy_forbids"`} {
		if !strings.Contains(a.Body.String(), want) {
			t.Errorf("%s is missing in %s", want, a.Body)
		}
	}
	if hash, err := refused.Hash(); err != nil || !strings.Contains(a.Body.String(), hash) {
		t.Errorf("the hash is missing: %v", err)
	}
	change := f.call(t, "admin", "PUT", "/servers/notes", strings.Replace(serverBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
	a = f.call(t, "auditor", "GET", "/audit/"+change.Header().Get("Bindery-Receipt"), nil).want(t, 200, "")
	if records := a.body["records"].([]any); len(records) != 2 || a.body["explanation"] != "It went well." ||
		!strings.Contains(records[0].(map[string]any)["before"].(string), `"state":"active"`) || !strings.Contains(records[0].(map[string]any)["after"].(string), `"state":"suspended"`) {
		t.Errorf("%s", a.Body)
	}
	foreign := refused
	foreign.Receipt, foreign.Environment = "01ARZ3NDEKTSV4RRFFQ69G5FAW", "dev"
	if err := f.Append(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	f.call(t, "auditor", "GET", "/audit/"+foreign.Receipt, nil).want(t, 404, "not_found")
	f.call(t, "auditor", "GET", "/audit/01ARZ3NDEKTSV4RRFFQ69G5FAX", nil).want(t, 404, "not_found")
	f.call(t, "auditor", "GET", "/audit/none", nil).want(t, 422, "invalid")
}

// TestTheIndexSaysHowFarBehindItIs.
func TestTheIndexSaysHowFarBehindItIs(t *testing.T) {
	f := newFixture(t)
	lag := func() map[string]any {
		return f.call(t, "auditor", "GET", "/audit", nil).want(t, 200, "").body["lag"].(map[string]any)
	}
	if l := lag(); len(l) != 1 || l["seconds"] != 0.0 {
		t.Errorf("an empty index says %v", l)
	}
	f.happened(t, called{principal: "p-aliceaaaaaaaaaaaaaaaaaaaaa", at: time.Now().Add(-90 * time.Second)})
	if l := lag(); l["newest"] == nil || l["indexed"] == nil || l["seconds"].(float64) < 90 {
		t.Errorf("the index says %v", l)
	}
}

// TestReferencesOfFactsAreAnsweredAsTheyAreWritten, of those that were recorded
// before too: what the index needs to find them is no part of them.
func TestReferencesOfFactsAreAnsweredAsTheyAreWritten(t *testing.T) {
	f := newFixture(t)
	const receipt, reference = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "aws-sm:prod/a=b#token"
	parsed, err := broker.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	at, err := broker.ReceiptTime(receipt)
	if err != nil {
		t.Fatal(err)
	}
	fact := broker.Fact{Receipt: receipt, Kind: broker.ReferenceChanged, Environment: "prod", Object: "reference/" + reference, References: []broker.Reference{parsed}}
	if err := f.desk.Journal.Tell(t.Context(), fact, at); err != nil {
		t.Fatal(err)
	}
	if err := f.tables.IndexRecords(t.Context(), f.tables.Records(receipt)); err != nil {
		t.Fatal(err)
	}
	const found = "/audit?from=2016-07-01T00:00:00Z&to=2016-08-01T00:00:00Z&reference=aws-sm:prod/a%3Db"
	entry := f.call(t, "auditor", "GET", found, nil).want(t, 200, "").body["items"].([]any)[0].(map[string]any)
	record := f.call(t, "auditor", "GET", "/audit/"+receipt, nil).want(t, 200, "").body["records"].([]any)[0].(map[string]any)
	for what, got := range map[string]any{"the entry": entry["references"], "the record": record["references"]} {
		if d := cmp.Diff([]any{reference}, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	rows, _ := f.cells(t, "auditor", found+"&format=csv")
	if !slices.Contains(rows[1], reference) {
		t.Errorf("the table: %v", rows)
	}
}
