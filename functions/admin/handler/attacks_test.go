package handler

import (
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestHostileBodies: nested without end, and texts that an error must not repeat.
func TestHostileBodies(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	put := func(body string) answer {
		return f.call(t, "admin", "PUT", "/servers/notes", body, "If-Match", `"v1"`)
	}
	put(strings.Repeat("[", 1<<15)).want(t, 400, "malformed")
	put(strings.Replace(serverBody, "https://notes", "https://%zz"+canary+"@notes", 1)).want(t, 422, "literal_secret")
	put(strings.Replace(serverBody, "/mcp", "/mcp?api_key="+canary, 1)).want(t, 422, "literal_secret")
	f.call(t, "admin", "PUT", "/servers/notes?"+canary+".x=1", serverBody, "If-Match", `"v1"`).want(t, 422, "literal_secret")
	f.clean(t)
}

// TestNextNamesNoRowThatIsNotShown: nobody learns names by paging, and who may
// see some sees all of those.
func TestNextNamesNoRowThatIsNotShown(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for i := range 5 {
		owner := []string{"team-notes", "team-other"}[i%2]
		f.call(t, "root", "PUT", fmt.Sprintf("/servers/s-%d", i), strings.Replace(serverBody, "team-notes", owner, 1), "If-None-Match", "*").want(t, 200, "")
	}
	if a := f.call(t, "nobody", "GET", "/servers?limit=1", nil).want(t, 200, ""); strings.Contains(a.Body.String(), "next") {
		t.Errorf("%s", a.Body)
	}
	var seen []string
	for after := ""; ; {
		a := f.call(t, "other", "GET", "/servers?limit=1&after="+after, nil).want(t, 200, "")
		for _, item := range a.body["items"].([]any) {
			seen = append(seen, item.(map[string]any)["name"].(string))
		}
		next, more := a.body["next"].(string)
		if !more {
			break
		}
		after = next
	}
	if got := strings.Join(seen, " "); got != "s-1 s-3" {
		t.Errorf("seen %s", got)
	}
}

// TestAnOwnerDoesNotUndoAStop: not by a later end, not by aiming a stopped card
// elsewhere or putting it behind another, not by deleting it.
func TestAnOwnerDoesNotUndoAStop(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const path = "/servers/notes/bindings/dev-notes"
	suspended := strings.Replace(bindingBody, `"active"`, `"suspended"`, 1)
	ended := strings.Replace(bindingBody, `"state"`, `"expires":"2020-01-01T00:00:00Z","state"`, 1)
	f.call(t, "admin", "PUT", path, ended, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "owner", "PUT", path, bindingBody, "If-Match", `"v2"`).want(t, 403, "forbidden")
	f.call(t, "owner", "PUT", path, strings.Replace(ended, "2020", "2090", 1), "If-Match", `"v2"`).want(t, 403, "forbidden")
	f.call(t, "admin", "PUT", path, suspended, "If-Match", `"v2"`).want(t, 200, "")
	f.call(t, "owner", "PUT", path, strings.Replace(suspended, `"dev"`, `"elsewhere"`, 1), "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "owner", "PUT", path, strings.Replace(suspended, `"allow"`, `"priority":-1,"allow"`, 1), "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "owner", "DELETE", path, nil, "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "admin", "DELETE", path, nil, "If-Match", `"v3"`).want(t, 204, "")
	const tool = "/servers/notes/tools/whoami"
	f.call(t, "admin", "PUT", tool, strings.Replace(toolBody, `"active"`, `"suspended"`, 1), "If-None-Match", "*").want(t, 200, "")
	f.call(t, "owner", "DELETE", tool, nil, "If-Match", `"v1"`).want(t, 403, "forbidden")
	f.call(t, "admin", "DELETE", tool, nil, "If-Match", `"v1"`).want(t, 204, "")
}

// TestAMovedServerKeepsNoOpenNetwork without a super admin.
func TestAMovedServerKeepsNoOpenNetwork(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	opened := strings.Replace(serverBody, `"state"`, `"networks":["10.0.0.0/8"],"state"`, 1)
	f.call(t, "root", "PUT", "/servers/notes", opened, "If-Match", `"v1"`).want(t, 200, "")
	moved := strings.Replace(opened, "notes.example.com", "10.66.66.66", 1)
	f.call(t, "admin", "PUT", "/servers/notes", moved, "If-Match", `"v2"`).want(t, 403, "forbidden")
	f.call(t, "root", "PUT", "/servers/notes", moved, "If-Match", `"v2"`).want(t, 200, "")
}

// TestAReplayIsRecordedAsOne, and a path that is no text is recorded too.
func TestAReplayIsRecordedAsOne(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for range 2 {
		f.call(t, "admin", "PUT", "/servers/notes", serverBody, "If-Match", `"v1"`, "Idempotency-Key", "k").want(t, 200, "")
	}
	if got := strings.Count(f.recorded.String(), `"reason":"`+string(broker.Replayed)+`"`); got != 1 {
		t.Errorf("%d replays recorded", got)
	}
	if a := f.call(t, "nobody", "GET", "/agents/%ff", nil); len(f.records(a)) != 1 {
		t.Errorf("answered %d, recorded %v", a.Code, f.records(a))
	}
}

// TestALongRowCanAlwaysBeStopped: what is too long for the record is named by
// its digest.
func TestALongRowCanAlwaysBeStopped(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	tools := make([]string, 200)
	for i := range tools {
		tools[i] = fmt.Sprintf("%q", strings.Repeat("<", 310)+fmt.Sprint(i))
	}
	long := strings.Replace(bindingBody, `["*"]`, "["+strings.Join(tools, ",")+"]", 1)
	f.call(t, "admin", "PUT", "/servers/notes/bindings/long", long, "If-None-Match", "*").want(t, 200, "")
	a := f.call(t, "admin", "DELETE", "/servers/notes/bindings/long", nil, "If-Match", `"v1"`).want(t, 204, "")
	if r := f.records(a); len(r) != 2 || !strings.Contains(r[0].Before, "sha256") {
		t.Errorf("recorded %d", len(r))
	}
}

// TestNoAddressIsMadeAnother: whoever asks at one that another reader might take
// for another is not sent there with what they sent.
func TestNoAddressIsMadeAnother(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, path := range []string{"//servers/notes", "/servers/../servers/notes", "/servers/./notes", "/servers/notes/", "/servers%2Fnotes", "/..//evil.example.com"} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
			if a := f.call(t, "root", method, path, nil).want(t, 404, "not_found"); a.Header().Get("Location") != "" {
				t.Errorf("%s %s leads to %s", method, path, a.Header().Get("Location"))
			}
		}
	}
}

// TestWrongPlacesDoNotMultiply: a body that is wrong in every place, or below a
// long name, is answered with a few of them.
func TestWrongPlacesDoNotMultiply(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	long, many := strings.Repeat("a", maxKey), strings.Repeat("0,", maxList-1)
	for name, body := range map[string]string{
		"wrong everywhere":                `{"attach":[` + many + `0]}`,
		"secrets below a long name":       `{"` + long + `":[` + strings.Repeat(`"`+githubCanary+`",`, maxList-1) + `0]}`,
		"a secret where one belongs, but": `{"x":{"value":"` + githubCanary + `"},"server":"notes","value":"` + canary + `"}`,
	} {
		path := map[bool]string{true: "/values/a", false: "/servers/notes"}[strings.Contains(body, `"server"`)]
		a := f.call(t, "root", "PUT", path, body, "If-Match", `"v1"`).want(t, 422, "")
		if wrong := a.body["errors"].([]any); len(wrong) > maxFindings || a.Body.Len() > 4096 {
			t.Errorf("%s: %d places in %d bytes", name, len(wrong), a.Body.Len())
		}
	}
	s := scan{h: f.Handler}
	s.value(map[string]any{long: []any{[]any{githubCanary}}}, "body", false)
	if len(s.found) != 1 || s.found[0].Location != "body" {
		t.Errorf("found %+v", s.found)
	}
	f.keepsNothing(t)
}
