package handler

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

const noteBody = `{"note":"the team rotates it today"}`

var missingNotice = noticeOf(broker.NoticeMissing, "reference/aws-sm:prod/gone", "notes/dev-notes", "notes/other")

func noticeOf(kind broker.NoticeKind, subject string, bindings ...string) broker.Notice {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	n := broker.Notice{Environment: "prod", ID: broker.NoticeID(kind, subject), Kind: kind, Subject: subject, Bindings: bindings,
		State: broker.NoticeOpen, Since: at, Seen: at, Told: broker.NoticeOpen, ToldAt: at}
	if servers := serversOf(n); len(servers) == 1 {
		n.Server = servers[0]
	}
	return n
}

func (f *fixture) notice(t testing.TB, n broker.Notice) {
	t.Helper()
	if err := f.tables.PutNotice(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// listed gives the notices that somebody sees, as "state subject cards".
func (f *fixture) noticesFor(t *testing.T, who, query string) []string {
	t.Helper()
	list := []string{}
	after := ""
	for pages := 0; ; pages++ {
		a := f.call(t, who, http.MethodGet, "/notices?limit=2"+query+after, nil)
		if a.Code != http.StatusOK || pages > 20 {
			t.Fatalf("%s: %d %s", who, a.Code, a.Body)
		}
		for _, item := range a.body["items"].([]any) {
			n := item.(map[string]any)
			line := n["state"].(string) + " " + n["subject"].(string)
			if cards, ok := n["bindings"].([]any); ok {
				for _, c := range cards {
					line += " " + c.(string)
				}
			}
			list = append(list, line)
		}
		next, _ := a.body["next"].(string)
		if after = "&after=" + next; next == "" {
			slices.Sort(list)
			return list
		}
	}
}

// TestOwnersSeeNoticesOfTheirServers, and of shared ones their own cards.
func TestOwnersSeeNoticesOfTheirServers(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.server(t, "tickets", "team-other")
	closed, pending := noticeOf(broker.NoticeExpired, "binding/notes/old", "notes/old"), noticeOf(broker.NoticeUnused, "binding/notes/idle", "notes/idle")
	closed.State, pending.State = broker.NoticeClosedState, broker.NoticePending
	for _, n := range []broker.Notice{missingNotice, closed, pending, noticeOf(broker.NoticeDenied, "reference/aws-sm:prod/shared", "notes/dev-notes", "tickets/bot"),
		noticeOf(broker.NoticeUnused, "binding/tickets/bot", "tickets/bot"), noticeOf(broker.NoticeUnreachable, "store/vault")} {
		f.notice(t, n)
	}
	ours := []string{"closed binding/notes/old notes/old", "open reference/aws-sm:prod/gone notes/dev-notes notes/other", "open reference/aws-sm:prod/shared notes/dev-notes"}
	theirs := []string{"open binding/tickets/bot tickets/bot", "open reference/aws-sm:prod/shared tickets/bot"}
	all := []string{ours[0], theirs[0], ours[1], "open reference/aws-sm:prod/shared notes/dev-notes tickets/bot", "open store/vault"}
	for who, want := range map[string][]string{"owner": ours, "other": theirs, "admin": all, "auditor": all, "nobody": {}} {
		if d := cmp.Diff(want, f.noticesFor(t, who, "")); d != "" {
			t.Errorf("%s: %s", who, d)
		}
	}
	for query, want := range map[string][]string{"&state=closed": ours[:1], "&kind=missing": ours[1:2], "&server=tickets": ours[2:], "&state=acknowledged": {}} {
		if d := cmp.Diff(want, f.noticesFor(t, "owner", query)); d != "" {
			t.Errorf("%s: %s", query, d)
		}
	}
	for who, want := range map[string]int{"owner": 200, "other": 403, "nobody": 403, "auditor": 200} {
		if a := f.call(t, who, http.MethodGet, "/notices/"+missingNotice.ID, nil); a.Code != want {
			t.Errorf("%s reads: %d", who, a.Code)
		}
		unknown := f.call(t, who, http.MethodGet, "/notices/"+noticeOf(broker.NoticeKey, "store/none").ID, nil)
		if unknown.Code != map[int]int{200: 404, 403: 403}[want] && who != "owner" {
			t.Errorf("%s reads one that never was: %d", who, unknown.Code)
		}
	}
	if a := f.call(t, "admin", http.MethodGet, "/notices/"+pending.ID, nil); a.Code != 404 {
		t.Errorf("a pending one: %d", a.Code)
	}
}

// TestWhoMayAcknowledge: who owns each server that the notice concerns, and says
// which version they mean.
func TestWhoMayAcknowledge(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.server(t, "tickets", "team-other")
	shared, store := noticeOf(broker.NoticeDenied, "reference/aws-sm:prod/shared", "notes/dev-notes", "tickets/bot"), noticeOf(broker.NoticeUnreachable, "store/vault")
	for _, n := range []broker.Notice{missingNotice, shared, store} {
		f.notice(t, n)
	}
	say := func(who string, n broker.Notice, body, version string) int {
		return f.call(t, who, http.MethodPost, "/notices/"+n.ID+"/acknowledge", body, "If-Match", version).Code
	}
	for _, c := range []struct {
		who  string
		of   broker.Notice
		want int
	}{{"nobody", missingNotice, 403}, {"other", missingNotice, 403}, {"auditor", missingNotice, 403}, {"owner", shared, 403}, {"other", shared, 403},
		{"owner", store, 403}, {"owner", missingNotice, 200}, {"admin", shared, 200}, {"root", store, 200}} {
		if got := say(c.who, c.of, noteBody, `"v1"`); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.who, c.of.Subject, got, c.want)
		}
	}
	n, err := f.tables.Notice(t.Context(), "prod", missingNotice.ID)
	if err != nil || n.State != broker.NoticeAcknowledged || n.By != "p-owner" || n.Note != "the team rotates it today" || n.Told != broker.NoticeOpen || n.Version != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	if got := say("owner", missingNotice, noteBody, `"v1"`); got != 412 {
		t.Errorf("a version that is over: %d", got)
	}
	if got := say("owner", missingNotice, `{"note":""}`, `"v2"`); got != 422 {
		t.Errorf("no note: %d", got)
	}
	n.State = broker.NoticeClosedState
	f.notice(t, n)
	if got := say("owner", missingNotice, noteBody, `"v3"`); got != 412 && got != 409 {
		t.Errorf("a closed one: %d", got)
	}
}

// TestACardNamesItsOpenNotices, and its server does.
func TestACardNamesItsOpenNotices(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	expiring := noticeOf(broker.NoticeExpiring, "binding/notes/dev-notes", "notes/dev-notes")
	secret := noticeOf(broker.NoticeDeleting, "reference/aws-sm:prod/notes") // whose list of cards is full of others
	over := noticeOf(broker.NoticeExpired, "binding/notes/dev-notes", "notes/dev-notes")
	over.State = broker.NoticeClosedState
	for _, n := range []broker.Notice{expiring, secret, over, noticeOf(broker.NoticeExpired, "binding/notes/another", "notes/another")} {
		f.notice(t, n)
	}
	kinds := func(path string) string {
		list, _ := f.call(t, "owner", http.MethodGet, path, nil).body["open_notices"].([]any)
		var found []string
		for _, n := range list {
			found = append(found, n.(map[string]any)["kind"].(string))
		}
		slices.Sort(found)
		return strings.Join(found, " ")
	}
	if got := kinds("/servers/notes/bindings/dev-notes"); got != "deleting expiring" {
		t.Errorf("the card: %s", got)
	}
	if got := kinds("/servers/notes"); got != "expired expiring" {
		t.Errorf("the server: %s", got)
	}
}

// TestASyncOpensAndClosesNotices, but closes none by what it saw a part of.
func TestASyncOpensAndClosesNotices(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	gone, err := broker.ParseReference("aws-sm:prod/gone#token")
	if err != nil {
		t.Fatal(err)
	}
	card, err := f.tables.Binding(t.Context(), f.route("notes"), "dev-notes")
	if err != nil {
		t.Fatal(err)
	}
	card.Fields = []broker.Field{{Name: "token", Reference: gone}}
	for _, name := range []string{"first", "second"} {
		card.Name, card.Version = name, 0
		if err := f.tables.PutBinding(t.Context(), card); err != nil {
			t.Fatal(err)
		}
	}
	open := []string{"open reference/aws-sm:prod/gone notes/first notes/second"}
	sync := func(query string) string {
		t.Helper()
		a := f.call(t, "admin", http.MethodPost, "/stores/aws-sm/sync"+query, nil)
		if a.Code != http.StatusOK {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		next, _ := a.body["next"].(string)
		return next
	}
	sync("")
	if d := cmp.Diff(open, f.noticesFor(t, "owner", "")); d != "" {
		t.Error(d)
	}
	card.Version, card.State = 1, broker.Suspended // the second one: the first still lacks its secret
	if err := f.tables.PutBinding(t.Context(), card); err != nil {
		t.Fatal(err)
	}
	for next, pages := sync("?limit=1"), 0; next != "" && pages < 9; pages++ {
		next = sync("?limit=1&after=" + next)
	}
	if d := cmp.Diff(open, f.noticesFor(t, "owner", "")); d != "" {
		t.Error(d)
	}
	sync("")
	if d := cmp.Diff([]string{"open reference/aws-sm:prod/gone notes/first"}, f.noticesFor(t, "owner", "")); d != "" {
		t.Error(d)
	}
	card.Name = "first"
	if err := f.tables.PutBinding(t.Context(), card); err != nil {
		t.Fatal(err)
	}
	sync("")
	if got := f.noticesFor(t, "owner", "&state=open"); len(got) > 0 {
		t.Error(got)
	}
}
