package handler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// holding stands in for the adapters of stores.
type holding struct {
	check  broker.StoreCheck
	held   []string
	denied bool
	err    error
	used   []broker.Reference
}

func (h *holding) CheckStore(_ context.Context, _ broker.Store, _ []broker.Store, used []broker.Reference) (broker.StoreCheck, error) {
	h.used = used
	h.check.LeastPolicy = "least"
	return h.check, h.err
}

// ListStore gives two names a page.
func (h *holding) ListStore(_ context.Context, of broker.Store, _ []broker.Store, after string, _ int) (found []broker.Reference, next string, err error) {
	if h.denied {
		return nil, "", broker.ErrStoreDenied
	}
	for _, name := range h.held {
		if name <= after {
			continue
		}
		if len(found) == 2 {
			return found, found[1].Path(), h.err
		}
		r, err := broker.ParseReference(of.Name + ":" + name)
		if err != nil {
			return nil, "", err
		}
		found = append(found, r)
	}
	return found, "", h.err
}

func (f *fixture) holding() *holding { return f.holders.(*holding) }

func TestCheckSaysHowAStoreStands(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.holding().check.Warnings = []broker.StoreWarning{{Word: broker.PathDenied, Names: []string{"prod/x"}}}
	a := f.call(t, "admin", "POST", "/stores/aws-sm/check", nil).want(t, 200, "")
	warnings := a.body["warnings"].([]any)
	if a.body["connected"] != true || a.body["least_policy"] != "least" || len(warnings) != 1 || warnings[0].(map[string]any)["word"] != "path_denied" {
		t.Errorf("answered %s", a.Body)
	}
	if used := f.holding().used; len(used) != 1 || used[0].String() != "aws-sm:prod/notes" {
		t.Errorf("the adapter was told of %v", used)
	}
	if records := f.records(a); len(records) != 2 || records[0].Method != "check-store" || records[0].Object != "store/aws-sm" {
		t.Errorf("recorded %+v", records)
	}
}

func TestCheckNamesWhyAStoreIsNotConnected(t *testing.T) {
	for cause, err := range map[string]error{"denied": broker.ErrStoreDenied, "key": broker.ErrKeyUnavailable, "missing": broker.ErrSecretMissing,
		"malformed": broker.ErrSecretMalformed, "unavailable": broker.ErrUnavailable} {
		f := newFixture(t)
		f.seed(t)
		f.holding().err = fmt.Errorf("%w: "+canary, err)
		a := f.call(t, "admin", "POST", "/stores/aws-sm/check", nil).want(t, 200, "")
		if a.body["connected"] != false || a.body["cause"] != cause || a.body["least_policy"] != "least" {
			t.Errorf("%s: answered %s", cause, a.Body)
		}
		if records := f.records(a); len(records) != 2 || records[1].Reason != broker.ReasonOf(err) {
			t.Errorf("recorded %+v", records)
		}
		f.clean(t)
	}
}

// TestEveryWarningHasItsText: and the document lists every word.
func TestEveryWarningHasItsText(t *testing.T) {
	document, err := newFixture(t).Document()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{broker.ReadsMore, broker.ReadsAll, broker.Writes, broker.IsRoot, broker.PathDenied, broker.Unproven, broker.VariableOff, broker.KeyUnbound}
	for _, word := range words {
		if storeWarnings[word] == "" || !strings.Contains(string(document), `"`+word+`"`) {
			t.Errorf("%s has no text, or is not in the document", word)
		}
	}
	if len(words) != len(storeWarnings) {
		t.Errorf("%d words and %d texts", len(words), len(storeWarnings))
	}
}

// TestASuspendedStoreIsNotAsked: somebody stopped Bindery from signing in there.
func TestASuspendedStoreIsNotAsked(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/aws-sm", `{"kind":"aws-sm","paths":["prod/*"],"state":"suspended"}`, "If-Match", `"v1"`).want(t, 200, "")
	for _, o := range [][2]string{{"POST", "check"}, {"GET", "references"}, {"POST", "sync"}} {
		a := f.call(t, "root", o[0], "/stores/aws-sm/"+o[1], nil).want(t, 422, "invalid")
		if detail, _ := a.body["detail"].(string); !strings.HasPrefix(detail, "store_not_registered: ") {
			t.Errorf("%s: answered %s", o[1], a.Body)
		}
		f.call(t, "root", o[0], "/stores/none/"+o[1], nil).want(t, 404, "not_found")
		f.call(t, "owner", o[0], "/stores/none/"+o[1], nil).want(t, 403, "forbidden")
		f.call(t, "owner", o[0], "/stores/aws-sm/"+o[1], nil).want(t, 403, "forbidden")
	}
	f.call(t, "auditor", "POST", "/stores/aws-sm/check", nil).want(t, 403, "forbidden")
	f.call(t, "auditor", "POST", "/stores/aws-sm/sync", nil).want(t, 403, "forbidden")
}

// items gives a member of each item of a list.
func items(a answer, member string) (list []string) {
	all, _ := a.body["items"].([]any)
	for _, item := range all {
		list = append(list, fmt.Sprint(item.(map[string]any)[member]))
	}
	return list
}

func TestReferencesAreListedByPagesWithWhoUsesThem(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.holding().held = []string{"prod/a", "prod/b", "prod/notes"}
	a := f.call(t, "auditor", "GET", "/stores/aws-sm/references", nil).want(t, 200, "")
	if got := items(a, "reference"); !slices.Equal(got, []string{"aws-sm:prod/a", "aws-sm:prod/b"}) || a.body["listable"] != true {
		t.Errorf("answered %s", a.Body)
	}
	next := a.body["next"].(string)
	b := f.call(t, "auditor", "GET", "/stores/aws-sm/references?after="+next, nil).want(t, 200, "")
	if got := items(b, "reference"); !slices.Equal(got, []string{"aws-sm:prod/notes"}) || b.body["next"] != nil ||
		!strings.Contains(b.Body.String(), `"binding":"dev-notes"`) {
		t.Errorf("answered %s", b.Body)
	}
	f.call(t, "root", "PUT", "/stores/other", storeBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "auditor", "GET", "/stores/other/references?after="+next, nil).want(t, 422, "invalid") // a token of another list
	f.call(t, "admin", "DELETE", strings.TrimSuffix(verify, "/verify"), nil, "If-Match", `"v1"`).want(t, 204, "")
	b = f.call(t, "auditor", "GET", "/stores/aws-sm/references?after="+next, nil).want(t, 200, "")
	if strings.Contains(b.Body.String(), "dev-notes") {
		t.Errorf("a deleted card still uses it: %s", b.Body)
	}
}

// TestAStoreThatMayNotBeListedStillSaysWhatIsUsed: with the bindings.
func TestAStoreThatMayNotBeListedStillSaysWhatIsUsed(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.holding().denied = true
	f.call(t, "root", "PUT", "/servers/notes/bindings/more", bindingBody, "If-None-Match", "*").want(t, 200, "")
	var bindings int
	for after, pages := "", 0; ; pages++ {
		a := f.call(t, "admin", "GET", "/stores/aws-sm/references?limit=1&after="+after, nil).want(t, 200, "")
		if a.body["listable"] != false || pages > 3 || !slices.Equal(items(a, "reference"), []string{"aws-sm:prod/notes"}) {
			t.Fatalf("answered %s", a.Body)
		}
		bindings += strings.Count(a.Body.String(), `"binding":`)
		next, more := a.body["next"].(string)
		if !more {
			break
		}
		after = next
	}
	if bindings != 2 {
		t.Errorf("%d bindings use it", bindings)
	}
}

func TestSyncResolvesWhatLiveBindingsUse(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const card = "/servers/notes/bindings/"
	for name, body := range map[string]string{"twin": bindingBody, "stopped": strings.Replace(bindingBody, `"active"`, `"suspended"`, 1)} {
		f.call(t, "root", "PUT", card+name, body, "If-None-Match", "*").want(t, 200, "")
	}
	a := f.call(t, "admin", "POST", "/stores/aws-sm/sync", nil).want(t, 200, "")
	if !slices.Equal(items(a, "reference"), []string{"aws-sm:prod/notes"}) || !slices.Equal(items(a, "result"), []string{"ok"}) ||
		strings.Count(a.Body.String(), `"result":"ok"`) != 3 || strings.Contains(a.Body.String(), "stopped") {
		t.Errorf("answered %s", a.Body)
	}
	records := f.records(a)
	if len(records) != 2 || records[0].Phase != broker.Intent || len(records[1].Accesses) != 1 || records[1].Accesses[0].Version != "v1" {
		t.Errorf("recorded %+v", records)
	}
	var seen []string // whoever syncs has used the secret, by no binding
	for _, s := range broker.Sightings(records[1]) {
		seen = append(seen, string(s.By)+" "+s.ID)
	}
	if want := []string{"principal p-admin", "reference aws-sm:prod/notes", "store aws-sm"}; !slices.Equal(seen, want) {
		t.Errorf("seen %v", seen)
	}
	f.clean(t)
}

func TestSyncSaysWhatBecameOfAReference(t *testing.T) {
	for word, err := range map[string]error{"missing": broker.ErrSecretMissing, "denied": broker.ErrStoreDenied, "key": broker.ErrKeyUnavailable,
		"malformed": broker.ErrSecretMalformed, "unavailable": broker.ErrUnavailable} {
		f := newFixture(t)
		f.seed(t)
		f.registry.Sources[broker.Static] = failing{fmt.Errorf("%w: "+canary, err)}
		a := f.call(t, "admin", "POST", "/stores/aws-sm/sync", nil).want(t, 200, "")
		if !slices.Equal(items(a, "result"), []string{word}) {
			t.Errorf("%s: answered %s", word, a.Body)
		}
		if records := f.records(a); len(records) != 2 || records[1].Reason != broker.ReasonOf(err) {
			t.Errorf("recorded %+v", records)
		}
		f.clean(t)
	}
}

// TestSyncIsPaged: every use stands on one page.
func TestSyncIsPaged(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for i := range 4 {
		f.call(t, "root", "PUT", fmt.Sprintf("/servers/notes/bindings/card-%d", i), bindingBody, "If-None-Match", "*").want(t, 200, "")
	}
	seen, pages := 0, 0
	for after := ""; ; pages++ {
		a := f.call(t, "admin", "POST", "/stores/aws-sm/sync?limit=2&after="+after, nil).want(t, 200, "")
		seen += strings.Count(a.Body.String(), `"binding":`)
		next, more := a.body["next"].(string)
		if !more || pages > 5 {
			break
		}
		after = next
	}
	if seen != 5 || pages != 2 {
		t.Errorf("%d bindings on %d further pages", seen, pages)
	}
	f.tables.Inject(memory.ListUses, memory.Refuse())
	f.call(t, "admin", "POST", "/stores/aws-sm/sync", nil).want(t, 503, "unavailable")
}
